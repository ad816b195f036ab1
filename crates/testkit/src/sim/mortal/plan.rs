//! Jobs and the lives of their clients, drawn from a seed.

use std::time::Duration;

use rustwren_core::scheduler::retry::RetryPolicy;
use rustwren_core::scheduler::{JobOptions, OnError};

use crate::sim::provider::Provider;
use crate::sim::storage::StorageFaults;
use crate::sim::work::Times;

/// How the job is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// With its inputs: clients attach to it.
    Durable,
    /// By what its inputs are: clients supply them again.
    Resume,
}

/// One client.
#[derive(Debug, Clone)]
pub struct Life {
    /// When it begins.
    pub begins: Duration,
    /// How long it lives, unless it sees the job's end.
    pub lives: Option<Duration>,
    /// Whether it goes in order, instead of being killed.
    pub leaves: bool,
    /// When it cancels the job, counted from its beginning.
    pub cancels: Option<Duration>,
    /// How its storage behaves.
    pub faults: StorageFaults,
    /// How long it looks at each delivery.
    pub looks: Duration,
    /// Whether it takes everything at once.
    pub holds_all: bool,
}

/// A durable job and its clients.
#[derive(Debug, Clone)]
pub struct MortalPlan {
    /// Of all that is drawn during the run.
    pub seed: u64,
    /// How the job is kept.
    pub keeping: Keeping,
    /// Where each client's invocations run.
    pub provider: Provider,
    /// How many elements.
    pub size: u64,
    /// Most bytes of padding of an input.
    pub padding: usize,
    /// After how many inputs they come again.
    pub period: u64,
    /// Elements whose attempts all fail: those whose index this divides.
    pub fails: Option<u64>,
    /// What the job is told.
    pub options: JobOptions,
    /// How long a sign of life holds.
    pub lease: Duration,
    /// Its clients. The last lives until the job has ended.
    pub lives: Vec<Life>,
}

impl MortalPlan {
    /// The plan of a seed.
    pub fn draw(seed: u64) -> Self {
        let mut draw = Draw(fastrand::Rng::with_seed(seed ^ 0x6d6f_7274_616c));
        let keeping = draw.pick(&[Keeping::Durable, Keeping::Resume]);
        let size = draw.pick(&[0, 1, 7, 50, 300, 300, 1000]);
        let lease = draw.pick(&[Duration::from_secs(15), Duration::from_secs(2), Duration::from_millis(300)]);
        let count = draw.pick(&[1, 2, 3, 4, 6]);
        let span = draw.pick(&[0.2, 2.0, 20.0, 60.0]);
        let worst = draw.pick(&[0.0, 0.0, 1.0]);
        let mut lives: Vec<Life> = (0..count).map(|_| draw.life(span, worst)).collect();
        lives.sort_by_key(|life| life.begins);
        if let Some(last) = lives.last_mut() {
            last.lives = None;
            last.faults.read_only_from = None;
        }
        let provider = draw.provider();
        Self {
            seed,
            keeping,
            provider,
            size,
            padding: draw.pick(&[0, 20, 3000]),
            period: draw.pick(&[u64::MAX, u64::MAX, 1, 5]),
            fails: draw.pick(&[None, None, None, Some(1), Some(40)]),
            options: draw.options(),
            lease,
            lives,
        }
    }
}

struct Draw(fastrand::Rng);

impl Draw {
    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.0.usize(..choices.len())]
    }

    fn rate(&mut self, most: f64) -> f64 {
        if self.0.f64() < 0.5 { 0.0 } else { self.0.f64() * most }
    }

    /// Anything up to `most` seconds, all orders of magnitude alike.
    fn moment(&mut self, most: f64) -> Duration {
        Duration::from_secs_f64(most * 10_f64.powf(-4.0 * self.0.f64()))
    }

    fn life(&mut self, span: f64, worst: f64) -> Life {
        let mean = self.pick(&[0, 1, 20, 200]);
        let latency = match self.0.u8(..3) {
            0 => Times::Constant(Duration::from_millis(mean)),
            1 => Times::Exponential(Duration::from_millis(mean)),
            _ => Times::Pareto { least: Duration::from_millis(mean), alpha: 1.5, most: Times::HOUR },
        };
        let faults = StorageFaults {
            latency,
            lost: self.rate(0.2 * worst),
            unanswered: self.rate(0.2 * worst),
            late: self.rate(0.2 * worst),
            read_only_from: (self.0.u8(..10) == 0).then(|| self.moment(2.0 * span)),
        };
        Life {
            begins: if self.0.bool() {
                self.moment(span)
            } else {
                Duration::from_secs_f64(self.0.f64() * span)
            },
            lives: (self.0.u8(..4) > 0).then(|| self.moment(span)),
            leaves: self.0.u8(..4) == 0,
            cancels: (self.0.u8(..20) == 0).then(|| self.moment(span)),
            faults,
            looks: self.pick(&[Duration::ZERO, Duration::ZERO, Duration::from_millis(5)]),
            holds_all: self.0.bool(),
        }
    }

    fn provider(&mut self) -> Provider {
        let mut provider = Provider::flawless(self.pick(&[1, 2, 10, 50]));
        provider.pipelining = self.pick(&[0, 0, 4]);
        provider.latency = self.pick(&[Duration::ZERO, Duration::from_millis(15)]);
        let mean = Duration::from_micros(self.pick(&[10, 1000, 30_000, 300_000]));
        provider.times = if self.0.bool() {
            Times::Constant(mean)
        } else {
            Times::Pareto { least: mean / 3, alpha: 1.3, most: Times::HOUR }
        };
        provider.transient = self.rate(0.2);
        provider.lost = self.rate(0.1);
        provider.crash = self.rate(0.05);
        provider.hand_back = self.rate(0.2);
        provider.stream = self.rate(1.0);
        provider.duplicate = self.rate(0.5);
        provider.ghosts = self.rate(1.0);
        provider.max_inline_input = self.pick(&[usize::MAX, 4096, 200]);
        provider.max_inline_output = self.pick(&[usize::MAX, 100]);
        provider
    }

    fn options(&mut self) -> JobOptions {
        JobOptions {
            chunk_size: self.pick(&[None, None, Some(1), Some(7), Some(100)]),
            retry: RetryPolicy { retries: self.pick(&[None, Some(0), Some(20)]) },
            on_error: self.pick(&[OnError::Collect, OnError::Collect, OnError::FailFast]),
            result_buffer: self.pick(&[32 << 20, 2000]),
            patience: 1_000_000,
            seed: self.0.u64(..),
            ..JobOptions::default()
        }
    }
}
