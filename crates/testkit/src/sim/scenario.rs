//! Providers and jobs drawn from a seed.

use std::collections::HashMap;
use std::time::Duration;

use rustwren_core::price::Price;
use rustwren_core::scheduler::retry::RetryPolicy;
use rustwren_core::scheduler::{Backups, Budget, JobOptions, OnError};

use super::consumer::Consumer;
use super::provider::Provider;
use super::source::Feed;
use super::work::{Poison, Times};

/// What is cancelled while the job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancel {
    /// The whole job.
    Job,
    /// One element.
    Element(u64),
}

/// One job and what its holder does.
#[derive(Debug, Clone)]
pub struct JobPlan {
    /// How many elements.
    pub size: u64,
    /// Most bytes of padding of an input.
    pub padding: usize,
    /// What the job is told.
    pub options: JobOptions,
    /// Elements that one process works on at once.
    pub concurrency: u32,
    /// Whether its function takes lists.
    pub lists: bool,
    /// How inputs come.
    pub feed: Feed,
    /// How results are taken.
    pub consumer: Consumer,
    /// When it begins.
    pub begins: Duration,
    /// What is cancelled, and when, counted from the job's beginning.
    pub cancels: Vec<(Duration, Cancel)>,
    /// Elements that misbehave.
    pub poison: HashMap<u64, Poison>,
}

impl JobPlan {
    /// A plain job of so many elements.
    pub fn plain(size: u64) -> Self {
        Self {
            size,
            padding: 0,
            options: JobOptions::default(),
            concurrency: 1,
            lists: false,
            feed: Feed::READY,
            consumer: Consumer::HoldAll,
            begins: Duration::ZERO,
            cancels: Vec::new(),
            poison: HashMap::new(),
        }
    }
}

/// A provider and the jobs that share it.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Of all that is drawn during the run.
    pub seed: u64,
    /// The provider.
    pub provider: Provider,
    /// The jobs of one executor.
    pub jobs: Vec<JobPlan>,
}

impl Scenario {
    /// The scenario of a seed.
    pub fn draw(seed: u64) -> Self {
        let mut draw = Draw(fastrand::Rng::with_seed(seed));
        let provider = draw.provider();
        let jobs = (0..draw.pick(&[1, 1, 1, 2, 3])).map(|_| draw.job()).collect();
        let mut scenario = Self { seed, provider, jobs };
        scenario.limit();
        scenario.list();
        scenario
    }

    /// Makes half of the jobs of every fourth scenario ones over lists.
    fn list(&mut self) {
        // A stream of chance of its own, as for budgets.
        let mut draw = Draw(fastrand::Rng::with_seed(self.seed ^ 0x6c69_7374));
        if draw.0.u8(..4) > 0 {
            return;
        }
        for job in &mut self.jobs {
            if draw.0.bool() {
                (job.lists, job.concurrency) = (true, 8);
            }
        }
    }

    /// Gives the jobs of every fourth scenario budgets.
    fn limit(&mut self) {
        // A stream of chance of its own: a scenario without budgets stays what it was.
        let mut draw = Draw(fastrand::Rng::with_seed(self.seed ^ 0x6275_6467_6574));
        if draw.0.u8(..4) > 0 {
            return;
        }
        self.provider.price = Some(Price {
            per_gb_second: 0.000_016,
            per_vcpu_second: 0.0,
            per_request: 0.000_000_2,
            granularity: Duration::from_millis(draw.pick(&[1, 100])),
            minimum: Duration::from_millis(draw.pick(&[0, 1000])),
            memory_gb: 2.0,
            vcpus: 1.0,
        });
        for job in &mut self.jobs {
            job.options.budget = draw.budget(job.size, &self.provider);
        }
    }
}

struct Draw(fastrand::Rng);

impl Draw {
    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.0.usize(..choices.len())]
    }

    /// Mostly zero, otherwise up to `most`.
    fn rate(&mut self, most: f64) -> f64 {
        if self.0.f64() < 0.6 { 0.0 } else { self.0.f64() * most }
    }

    fn millis(&mut self, most: u64) -> Duration {
        Duration::from_micros(self.0.u64(..=most * 1000))
    }

    /// Anything from a millisecond to minutes, all orders of magnitude alike.
    fn moment(&mut self) -> Duration {
        Duration::from_secs_f64(10_f64.powf(self.0.f64() * 5.0 - 3.0))
    }

    fn provider(&mut self) -> Provider {
        let concurrency = self.pick(&[1, 2, 3, 10, 100]);
        let mean = self.pick(&[1, 1000, 100_000, 3_000_000]);
        let mean = Duration::from_micros(mean);
        let times = match self.0.u8(..3) {
            0 => Times::Constant(mean),
            1 => Times::Exponential(mean),
            _ => Times::Pareto { least: mean / 3, alpha: 1.1 + self.0.f64(), most: Times::HOUR },
        };
        let (vanish, silent, reports_start) = (self.rate(0.1), self.rate(0.1), self.0.bool());
        let max_duration = self.pick(&[None, None, Some(900), Some(7200)]).map(Duration::from_secs);
        let mut heartbeat = self.pick(&[None, None, Some(3), Some(60)]).map(Duration::from_secs);
        let unheard = silent > 0.0 || vanish > 0.0 && !reports_start;
        if unheard && max_duration.is_none() && heartbeat.is_none() {
            // Or nobody could ever tell a worker that is silent from one that is slow.
            heartbeat = Some(Duration::from_secs(10));
        }
        Provider {
            concurrency,
            pipelining: self.pick(&[0, 0, 1, 4, 32]),
            capacity: if self.0.u8(..4) == 0 { 1 + self.0.usize(..concurrency) } else { usize::MAX },
            retry_after: self
                .pick(&[None, None, Some(0), Some(1), Some(50), Some(3000)])
                .map(Duration::from_millis),
            throttle: self.rate(0.2),
            latency: self.pick(&[Duration::ZERO, Duration::from_micros(20), Duration::from_millis(15)]),
            cold_start: self.pick(&[Duration::ZERO, Duration::from_millis(300)]),
            times,
            fixed_times: None,
            transient: self.rate(0.3),
            lost: self.rate(0.1),
            vanish,
            silent,
            reports_start,
            heartbeat,
            stragglers: self.0.bool(),
            max_duration,
            price: None,
            crash: self.rate(0.05),
            suspects: self.0.f64(),
            hand_back: self.rate(0.2),
            stream: self.rate(1.0),
            shuffle: self.rate(1.0),
            duplicate: self.rate(0.5),
            ghosts: self.rate(1.0),
            max_inline_input: self.pick(&[usize::MAX, usize::MAX, 4096, 200]),
            max_inline_output: self.pick(&[usize::MAX, usize::MAX, 100]),
            misplaced: self.rate(0.3),
        }
    }

    fn options(&mut self) -> JobOptions {
        JobOptions {
            chunk_size: self.pick(&[None, None, None, Some(1), Some(2), Some(7), Some(100)]),
            workers: self.pick(&[None, None, None, Some(1), Some(2), Some(5)]),
            retry: RetryPolicy { retries: self.pick(&[None, Some(0), Some(1), Some(3), Some(20)]) },
            on_error: self.pick(&[OnError::Collect, OnError::Collect, OnError::FailFast]),
            result_buffer: self.pick(&[32 << 20, 100, 2000]),
            input_buffer: self.pick(&[64 << 20, 50, 3000]),
            patience: self.pick(&[10, 30]),
            backups: self.pick(&[
                Backups::Auto,
                Backups::Off,
                Backups::ON,
                Backups::After { factor: 1.0, remaining: 1.0 },
            ]),
            seed: self.0.u64(..),
            ..JobOptions::default()
        }
    }

    /// Time and money are limited only where the provider limits how long an invocation may last: nothing else does.
    fn budget(&mut self, size: u64, provider: &Provider) -> Budget {
        let mut budget = Budget::default();
        if self.0.bool() {
            budget.invocations = Some(self.0.u64(..=size));
        }
        let Some(longest) = provider.max_duration else { return budget };
        let worst = longest + provider.cold_start;
        let most = |share: f64| worst.mul_f64(share * 20.0);
        if self.0.bool() {
            budget.worker_time = Some(most(self.0.f64()));
        }
        if self.0.bool() {
            budget.cost = provider.price.map(|price| price.cost(most(self.0.f64())));
        }
        budget
    }

    fn job(&mut self) -> JobPlan {
        let most = self.pick(&[0, 1, 3, 30, 30, 300, 300, 300, 1000, 3000]);
        let size = self.0.u64(most / 2..=most);
        let mut poison = HashMap::new();
        for _ in 0..self.pick(&[0, 0, 1, 3, 10]) {
            let times = self.pick(&[1, 2, u32::MAX, u32::MAX]);
            let kind = self.pick(&[
                Poison::Panics(times),
                Poison::Killed(times),
                Poison::Faults(times),
                Poison::Vanishes(times),
            ]);
            poison.insert(self.0.u64(..=size), kind);
        }
        let mut cancels = Vec::new();
        if self.0.u8(..8) == 0 {
            cancels.push((self.moment(), Cancel::Job));
        }
        if self.0.u8(..4) == 0 {
            for _ in 0..self.0.usize(..20) {
                // Some lie beyond the end.
                cancels.push((self.moment(), Cancel::Element(self.0.u64(..size + 3))));
            }
        }
        cancels.sort_by_key(|(at, _)| *at);
        let feed = if self.0.bool() {
            Feed::READY
        } else {
            Feed {
                block: 1 + self.0.u32(..200),
                pause: if self.0.bool() { self.millis(50) } else { Duration::ZERO },
                counted: self.0.bool(),
                fails_at: (self.0.u8(..20) == 0).then(|| self.0.u64(..=size)),
            }
        };
        JobPlan {
            size,
            padding: self.pick(&[0, 20, 300]),
            options: self.options(),
            concurrency: self.pick(&[1, 1, 1, 2, 8]),
            lists: false,
            feed,
            consumer: match self.0.u8(..4) {
                0 => Consumer::HoldAll,
                1 => Consumer::Ordered,
                2 => Consumer::Stream(Duration::ZERO),
                _ => Consumer::Stream(self.millis(40)),
            },
            begins: if self.0.bool() { Duration::ZERO } else { self.millis(2000) },
            cancels,
            poison,
        }
    }
}
