//! What goes wrong, and how often: every knob of the crate.

use std::time::Duration;

use crate::delay::Delay;
use crate::ramp::Ramp;

/// What goes wrong with invocations. All rates are shares of invocations from 0 to 1, unless they say otherwise.
///
/// Of throttling, transient errors, loss, crashes and hand-backs at most one befalls an invocation, and the first of
/// them in that order goes before the others; everything else comes on top.
#[derive(Debug, Clone, PartialEq)]
pub struct ChaosPlan {
    /// How many invocations the provider claims to run at once, whatever is true; as many as the wrapped one
    /// claims when not given. Those that the wrapped one does not take at once wait inside.
    pub concurrency: Option<usize>,
    /// How fast the client may grow; without limit when not given. More is throttled. With it, or with cold starts,
    /// there is no pipelining: an invocation that cannot run at once is not taken.
    pub ramp: Option<Ramp>,
    /// How long environments stay warm when nothing is sent to them.
    pub keep_warm: Duration,
    /// How long the start of an environment takes, before its first invocation begins.
    pub cold_start: Delay,
    /// On the way to the worker, and once more on the way back.
    pub latency: Delay,
    /// Invocations throttled for no visible reason.
    pub throttled: f64,
    /// How long throttles ask to wait; they ask for nothing when not given.
    pub retry_after: Option<Duration>,
    /// Invocations that fail as by an error inside the provider, before they reach a worker.
    pub transient: f64,
    /// Invocations that are never answered. They end when they are given up.
    pub lost: f64,
    /// Of lost invocations, those that a worker runs all the same.
    pub lost_after: f64,
    /// Invocations whose worker dies before it did anything.
    pub crashed: f64,
    /// Invocations whose worker runs them and dies before it has answered. Results that it streamed earlier may or
    /// may not have come through.
    pub crashed_after: f64,
    /// Invocations of which the worker gives a part (or all) back, not begun.
    pub handed_back: f64,
    /// Invocations that are run twice. Results of the second run are reported as they come, for
    /// [`linger`](Self::linger) also after the invocation has ended.
    pub duplicated: f64,
    /// How much later the second run begins.
    pub duplicate_delay: Delay,
    /// Invocations that take much longer: their results and their answer are held back.
    pub stragglers: f64,
    /// By which factor stragglers take longer at least; a Pareto tail with exponent 1.5 goes beyond.
    pub straggler_factor: f64,
    /// The least and the most that a straggler is held back.
    pub straggler_delay: (Duration, Duration),
    /// Of batches of results that are reported while an invocation runs: those that come after the next one.
    pub reordered: f64,
    /// Of batches of results that are reported while an invocation runs: those that are reported once more, up to
    /// [`linger`](Self::linger) later.
    pub repeated: f64,
    /// Of invocations that are given up while they run: those whose worker does not stop at once, and goes on
    /// reporting results for [`linger`](Self::linger).
    pub ghosts: f64,
    /// How late repeated results come at most, and how long second runs go on after the first and workers that were
    /// told to stop.
    pub linger: Duration,
}

impl ChaosPlan {
    /// Nothing goes wrong.
    pub fn calm() -> Self {
        Self {
            concurrency: None,
            ramp: None,
            keep_warm: Duration::from_mins(5),
            cold_start: Delay::None,
            latency: Delay::None,
            throttled: 0.0,
            retry_after: None,
            transient: 0.0,
            lost: 0.0,
            lost_after: 0.5,
            crashed: 0.0,
            crashed_after: 0.0,
            handed_back: 0.0,
            duplicated: 0.0,
            duplicate_delay: Delay::Uniform(Duration::ZERO, Duration::from_secs(1)),
            stragglers: 0.0,
            straggler_factor: 8.0,
            straggler_delay: (Duration::from_secs(1), Duration::from_mins(1)),
            reordered: 0.0,
            repeated: 0.0,
            ghosts: 0.0,
            linger: Duration::from_secs(2),
        }
    }

    /// A little of everything that RustWren hides from its users.
    pub fn flaky() -> Self {
        Self {
            cold_start: Delay::Uniform(Duration::from_millis(10), Duration::from_millis(100)),
            throttled: 0.05,
            retry_after: Some(Duration::from_millis(100)),
            transient: 0.03,
            lost: 0.01,
            crashed: 0.02,
            crashed_after: 0.02,
            handed_back: 0.05,
            duplicated: 0.05,
            stragglers: 0.03,
            reordered: 0.2,
            repeated: 0.1,
            ghosts: 0.5,
            ..Self::calm()
        }
    }

    /// AWS Lambda on a bad day: its ramp, its cold starts, and 2 % of invocations lost, 1 % of workers crashed.
    pub fn lambda() -> Self {
        Self {
            ramp: Some(Ramp::lambda(10_000)),
            cold_start: Delay::Uniform(Duration::from_millis(60), Duration::from_millis(300)),
            latency: Delay::Uniform(Duration::from_millis(5), Duration::from_millis(15)),
            lost: 0.02,
            crashed: 0.005,
            crashed_after: 0.005,
            ..Self::calm()
        }
    }

    /// Whether it matters in which environment an invocation runs.
    pub(crate) fn has_environments(&self) -> bool {
        self.ramp.is_some() || !self.cold_start.is_none()
    }
}

impl Default for ChaosPlan {
    fn default() -> Self {
        Self::calm()
    }
}

/// What goes wrong with storage. All rates are shares of operations from 0 to 1. What storage promises about reads
/// after writes holds all the same: providers keep that, so nothing may be learnt from breaking it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoragePlan {
    /// Operations that are slow.
    pub slow: f64,
    /// By how much.
    pub slow_by: Delay,
    /// Operations that fail as by an error inside the provider, and did nothing. A listing may fail half-way.
    pub transient: f64,
    /// Operations that are throttled.
    pub throttled: f64,
    /// How long throttles ask to wait; they ask for nothing when not given.
    pub retry_after: Option<Duration>,
    /// Writes and deletions that are made and answered with an error all the same.
    pub ambiguous: f64,
}

impl StoragePlan {
    /// Nothing goes wrong.
    pub fn calm() -> Self {
        Self {
            slow: 0.0,
            slow_by: Delay::Uniform(Duration::from_millis(10), Duration::from_millis(500)),
            transient: 0.0,
            throttled: 0.0,
            retry_after: None,
            ambiguous: 0.0,
        }
    }

    /// A little of everything.
    pub fn flaky() -> Self {
        Self { slow: 0.1, transient: 0.03, throttled: 0.02, ambiguous: 0.02, ..Self::calm() }
    }

    /// An object store on a bad day.
    pub fn lambda() -> Self {
        Self {
            slow: 0.05,
            slow_by: Delay::Uniform(Duration::from_millis(20), Duration::from_secs(1)),
            transient: 0.005,
            throttled: 0.005,
            ambiguous: 0.002,
            ..Self::calm()
        }
    }
}

impl Default for StoragePlan {
    fn default() -> Self {
        Self::calm()
    }
}
