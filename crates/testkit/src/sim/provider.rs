//! What a simulated provider is like: its limits, its speed and its faults.

use std::time::Duration;

use rustwren_core::price::Price;

use super::work::Times;

/// A provider. All rates are probabilities from 0 to 1.
#[derive(Debug, Clone)]
pub struct Provider {
    /// Invocations it says it runs at once.
    pub concurrency: usize,
    /// Invocations that may wait behind each running one.
    pub pipelining: usize,
    /// Invocations it really takes at once; more are throttled.
    pub capacity: usize,
    /// How long it asks to wait when it throttles.
    pub retry_after: Option<Duration>,
    /// Rate of invocations throttled for no visible reason.
    pub throttle: f64,
    /// From the client to a worker, and back.
    pub latency: Duration,
    /// Starting a worker, the first time and after it died.
    pub cold_start: Duration,
    /// How long elements take.
    pub times: Times,
    /// Where the time belongs to the element and not to the attempt: the seed that it is drawn from.
    pub fixed_times: Option<u64>,
    /// Rate of invocations that fail before they reach a worker.
    pub transient: f64,
    /// Rate of invocations whose worker is lost: an error, and only what was streamed is known.
    pub lost: f64,
    /// Rate of invocations that are taken and never reach a worker; nothing is ever heard of them.
    pub vanish: f64,
    /// Rate of invocations of which nothing more is heard from some moment after they began.
    pub silent: f64,
    /// Whether it tells when a worker has begun.
    pub reports_start: bool,
    /// How often it tells that a worker is alive.
    pub heartbeat: Option<Duration>,
    /// Whether it says that its workers differ in speed.
    pub stragglers: bool,
    /// How long an invocation may last. What is finished then comes back; an element that alone takes longer fails.
    pub max_duration: Option<Duration>,
    /// What its workers cost.
    pub price: Option<Price>,
    /// Rate of elements whose process is killed under them.
    pub crash: f64,
    /// Rate of deaths for which all unfinished elements of the process are suspected, instead of one blamed.
    pub suspects: f64,
    /// Rate of invocations that the worker gives back unfinished.
    pub hand_back: f64,
    /// Rate of elements after which what is finished is streamed.
    pub stream: f64,
    /// Rate of invocations whose streamed batches come in any order.
    pub shuffle: f64,
    /// Rate of batches that are reported twice: streamed twice, or streamed and in the reply.
    pub duplicate: f64,
    /// Rate of invocations given up that report results afterwards.
    pub ghosts: f64,
    /// Largest sum of input bytes inside an invocation.
    pub max_inline_input: usize,
    /// Outputs larger than this go through storage.
    pub max_inline_output: usize,
    /// Rate of stored outputs that are not there when they are fetched.
    pub misplaced: f64,
}

impl Provider {
    /// A provider without faults, on which every element takes 10 ms.
    pub fn flawless(concurrency: usize) -> Self {
        Self {
            concurrency,
            pipelining: 0,
            capacity: usize::MAX,
            retry_after: None,
            throttle: 0.0,
            latency: Duration::from_millis(1),
            cold_start: Duration::ZERO,
            times: Times::Constant(Duration::from_millis(10)),
            fixed_times: None,
            transient: 0.0,
            lost: 0.0,
            vanish: 0.0,
            silent: 0.0,
            reports_start: true,
            heartbeat: None,
            stragglers: false,
            max_duration: None,
            price: None,
            crash: 0.0,
            suspects: 0.0,
            hand_back: 0.0,
            stream: 0.0,
            shuffle: 0.0,
            duplicate: 0.0,
            ghosts: 0.0,
            max_inline_input: usize::MAX,
            max_inline_output: usize::MAX,
            misplaced: 0.0,
        }
    }
}
