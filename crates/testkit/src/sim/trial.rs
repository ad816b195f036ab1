//! Runs scenarios and checks what comes out.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::TryStreamExt;
use rustwren_core::clock::Clock;
use rustwren_core::entry::{Call, Entry, Target};
use rustwren_core::error::{Error, ErrorKind};
use rustwren_core::image::ImageId;
use rustwren_core::invoker::{Invoker, JobSpec};
use rustwren_core::scheduler::outbox::Outbox;
use rustwren_core::scheduler::slots::Slots;
use rustwren_core::scheduler::stats::{JobStats, Progress};
use rustwren_core::scheduler::{Budget, Commands, JobRun, OnError, Resources};
use rustwren_core::storage::Storage;
use tokio::sync::Semaphore;

use super::chaos::{Chaos, Faults, Stack};
use super::clock::{SimClock, lock};
use super::consumer::Collector;
use super::executor::SimExecutor;
use super::ledger::Ledger;
use super::scenario::{Cancel, JobPlan, Scenario};
use super::source::Source;
use super::work::HashWork;

/// How one job of a scenario went.
#[derive(Debug, Clone)]
pub struct Report {
    /// How it ended.
    pub end: Result<(), Error>,
    /// When it ended.
    pub at: Duration,
    /// Its last numbers.
    pub progress: Progress,
    /// What it cost.
    pub stats: JobStats,
    /// Most of its invocations that ran at once.
    pub most_running: usize,
}

/// A run that broke a promise.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The seed that shows it.
    pub seed: u64,
    /// What was broken.
    pub violations: Vec<String>,
    /// What happened, event by event.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What led to the first violation, and a little of what followed.
        const BEFORE: usize = 300;
        const AFTER: usize = 20;
        let first =
            self.trace.iter().position(|line| line.starts_with(Ledger::MARK)).unwrap_or(self.trace.len());
        let skipped = first.saturating_sub(BEFORE);
        if skipped > 0 {
            writeln!(f, "... {skipped} events before")?;
        }
        for line in self.trace.iter().skip(skipped).take(first - skipped + AFTER) {
            writeln!(f, "{line}")?;
        }
        let mut scenario = Scenario::draw(self.seed);
        let chaos = Chaos::draw(self.seed, &mut scenario.provider);
        writeln!(f, "{scenario:?}\n{chaos:?}")?;
        for violation in &self.violations {
            writeln!(f, "violation: {violation}")?;
        }
        write!(
            f,
            "again: RUSTWREN_SIM_SEED={} cargo test -p rustwren-testkit --test simulation many_seeds",
            self.seed
        )
    }
}

/// Runs the scenario of a seed, with chaos around it if the seed says so. A failure has the trace, from a second run.
pub fn run(seed: u64) -> Result<Vec<Report>, Box<Failure>> {
    let mut scenario = Scenario::draw(seed);
    let chaos = Chaos::draw(seed, &mut scenario.provider);
    match run_chaos(&scenario, chaos.as_ref(), false) {
        Ok((reports, _)) => Ok(reports),
        Err(first) => Err(match run_chaos(&scenario, chaos.as_ref(), true) {
            Err(again) => again,
            Ok(_) => first,
        }),
    }
}

/// Where a job's holder leaves what is known of it when all is over.
struct Place {
    outcome: Mutex<Option<Outcome>>,
    ended: Arc<Semaphore>,
}

/// What is known of a job when all is over.
struct Outcome {
    collector: Collector,
    end: Result<(), Error>,
    at: Duration,
}

/// Runs a scenario without chaos; with `trace`, a failure says what happened.
pub fn run_scenario(scenario: &Scenario, trace: bool) -> Result<Vec<Report>, Box<Failure>> {
    Ok(run_chaos(scenario, None, trace)?.0)
}

/// Runs a scenario with chaos around its provider, and says what that did.
pub fn run_chaos(
    scenario: &Scenario,
    chaos: Option<&Chaos>,
    trace: bool,
) -> Result<(Vec<Report>, Faults), Box<Failure>> {
    let clock = SimClock::new();
    let mut executor = SimExecutor::new(clock.clone(), scenario.seed);
    let mut work = HashWork::default();
    for (number, job) in scenario.jobs.iter().enumerate() {
        work.poison.insert(name(number), job.poison.clone());
    }
    let (spawner, provider) = (executor.spawner(), scenario.provider.clone());
    let stack = Stack::new(provider, chaos, work, &clock, spawner, scenario.seed, trace);
    let ledger = Arc::clone(&stack.ledger);
    let slots = Slots::new(stack.invoker.limits());
    let resources = Resources {
        invoker: Arc::clone(&stack.invoker),
        storage: Arc::clone(&stack.storage),
        clock: Arc::new(clock.clone()),
        slots: Arc::clone(&slots),
    };
    let ended = Arc::new(Semaphore::new(0));
    let outcomes: Vec<Arc<Place>> = scenario
        .jobs
        .iter()
        .map(|_| Arc::new(Place { outcome: Mutex::default(), ended: Arc::clone(&ended) }))
        .collect();
    executor
        .spawner()
        .spawn("end", end(Arc::clone(&stack.invoker), Arc::clone(&ledger), ended, outcomes.len()));
    for (number, plan) in scenario.jobs.iter().enumerate() {
        start(&executor, &clock, number, plan, &resources, &ledger, &outcomes[number]);
    }
    if let Err(stuck) = executor.run() {
        lock(&ledger).violation(stuck.to_string());
    }
    let left = executor.block_on(stored(&stack.objects)).unwrap_or_default();
    // What cannot be deleted stays, until `rustwren jobs clean`.
    let may_stay = chaos.is_some_and(Chaos::troubles_storage);
    if let Some(key) = left.iter().find(|key| key.contains("/spill/") && !may_stay) {
        lock(&ledger).violation(format!("the inputs {key} were left behind"));
    }
    drop(resources);
    let mut reports = Vec::new();
    let mut deliveries = 0;
    for (plan, outcome) in scenario.jobs.iter().zip(outcomes) {
        if let Some(outcome) = lock(&outcome.outcome).take() {
            deliveries += outcome.collector.deliveries;
            let excused = may_stay && scenario.provider.max_inline_input < usize::MAX;
            reports.push(check(plan, &outcome, &ledger, excused));
        }
    }
    let mut ledger = lock(&ledger);
    if slots.in_flight() > 0 {
        ledger.violation(format!("{} slots were not given back", slots.in_flight()));
    }
    // Each of these wakes a task a few times at most.
    let causes = clock.rung() + ledger.invocations() + deliveries + 100;
    if executor.polls() > 8 * causes {
        ledger.violation(format!("{} polls for {causes} events", executor.polls()));
    }
    drop(ledger);
    let (violations, trace) = stack.findings();
    if violations.is_empty() {
        return Ok((reports, stack.faults()));
    }
    Err(Box::new(Failure { seed: scenario.seed, violations, trace }))
}

/// Shuts the provider down when all jobs have ended: what still goes on there, nobody waits for.
async fn end(invoker: Arc<dyn Invoker>, ledger: Arc<Mutex<Ledger>>, ended: Arc<Semaphore>, jobs: usize) {
    // An error would mean that it was closed, which nobody does.
    if ended.acquire_many(jobs as u32).await.is_err() {
        return;
    }
    let left = lock(&ledger).under_way();
    if left > 0 {
        lock(&ledger).violation(format!("{left} invocations are under way when all jobs have ended"));
    }
    invoker.shutdown().await;
}

/// The keys of all that is stored.
async fn stored(storage: &dyn Storage) -> Vec<String> {
    let objects: Result<Vec<_>, _> = storage.list("").try_collect().await;
    objects.unwrap_or_default().into_iter().map(|object| object.key.to_string()).collect()
}

fn name(number: usize) -> String {
    format!("job-{number}")
}

fn spec(number: usize, plan: &JobPlan) -> JobSpec {
    let call = if plan.lists { Call::Steps } else { Call::Map };
    let target = Target::Named { name: "simulated".to_owned(), call };
    JobSpec {
        id: name(number),
        label: name(number),
        entry: Entry { image: ImageId([0; 32]), target },
        shared: None,
        task_timeout: None,
        concurrency: plan.concurrency,
    }
}

/// Spawns a job, its holder and whoever cancels it.
fn start(
    executor: &SimExecutor,
    clock: &SimClock,
    number: usize,
    plan: &JobPlan,
    resources: &Resources,
    ledger: &Arc<Mutex<Ledger>>,
    place: &Arc<Place>,
) {
    let spawner = executor.spawner();
    let (plan, job) = (plan.clone(), name(number));
    let (clock, resources, ledger, place) =
        (clock.clone(), resources.clone(), Arc::clone(ledger), Arc::clone(place));
    lock(&ledger).announce(&job, &plan.options);
    let inner = spawner.clone();
    spawner.spawn(format!("{job} holder"), async move {
        clock.sleep(plan.begins).await;
        let seed = plan.options.seed;
        let source = Source {
            feed: plan.feed,
            clock: Arc::new(clock.clone()),
            seed,
            padding: plan.padding,
            next: 0,
            end: plan.size,
            sleep: None,
            book: Some((Arc::clone(&ledger), job.clone())),
        };
        let outbox = Outbox::new(Commands::default(), plan.options.result_buffer);
        let spec = Arc::new(spec(number, &plan));
        let run = JobRun::new(spec, plan.options.clone(), Box::new(source), outbox.clone(), resources);
        inner.spawn(format!("{job} scheduler"), run);
        if !plan.cancels.is_empty() {
            let cancels =
                cancel(clock.clone(), job.clone(), plan.cancels, outbox.clone(), Arc::clone(&ledger));
            inner.spawn(format!("{job} cancels"), cancels);
        }
        let mut collector = Collector {
            job,
            seed,
            padding: plan.padding,
            lists: plan.lists,
            outbox,
            ledger,
            clock: clock.clone(),
            got: Vec::new(),
            outputs: 0,
            failed: 0,
            deliveries: 0,
        };
        let end = collector.collect(plan.consumer).await;
        let at = clock.now();
        *lock(&place.outcome) = Some(Outcome { collector, end, at });
        place.ended.add_permits(1);
    });
}

async fn cancel(
    clock: SimClock,
    job: String,
    cancels: Vec<(Duration, Cancel)>,
    outbox: Outbox,
    ledger: Arc<Mutex<Ledger>>,
) {
    let begin = clock.now();
    for (at, what) in cancels {
        clock.sleep((begin + at).saturating_sub(clock.now())).await;
        if outbox.end().is_some() {
            return;
        }
        lock(&ledger).note(clock.now(), || format!("{job}: cancel {what:?}"));
        match what {
            Cancel::Job => {
                lock(&ledger).account(&job).cancelled = true;
                outbox.commands().cancel();
            }
            Cancel::Element(index) => {
                let mut ledger = lock(&ledger);
                let account = ledger.account(&job);
                account.elements.entry(index).or_default().cancelled = true;
                // Results of cancelled elements are dropped, so that the bytes no longer add up.
                account.unbounded = true;
                outbox.commands().cancel_element(index);
            }
        }
    }
}

/// Checks a job's end against the book. `excused`: trouble that the book knows nothing of may have worn its patience out.
fn check(plan: &JobPlan, outcome: &Outcome, ledger: &Arc<Mutex<Ledger>>, excused: bool) -> Report {
    let Outcome { collector, end, at } = outcome;
    let job = &collector.job;
    let progress = collector.outbox.progress();
    if let Err(error) = end {
        error.tasks().iter().for_each(|error| collector.failure(error));
    }
    let mut guard = lock(ledger);
    let mut wrong = Vec::new();
    let mut got = collector.got.clone();
    got.sort_unstable();
    if let Some((twice, _)) = got.iter().zip(got.iter().skip(1)).find(|(one, next)| one == next) {
        wrong.push(format!("element {twice} has two results"));
    }
    if got.last().is_some_and(|last| *last >= plan.size) {
        wrong.push(format!("a result for element {:?} of {}", got.last(), plan.size));
    }
    if progress.running != 0 {
        wrong.push(format!("{} elements run when the job has ended", progress.running));
    }
    let (stats, budget) = (collector.outbox.stats(), plan.options.budget);
    if budget.invocations.is_some_and(|most| stats.invocations - stats.throttled > most)
        || budget.worker_time.is_some_and(|most| stats.worker_time > most)
        || budget.cost.is_some_and(|most| stats.cost > most)
    {
        wrong.push(format!("{budget:?} was not kept to: {stats:?}"));
    }
    if stats.wasted > stats.worker_time || stats.wasted_cost > stats.cost {
        wrong.push(format!("more is wasted than was spent: {stats:?}"));
    }
    let account = guard.account(job);
    match end {
        Ok(()) => {
            if got.len() as u64 != plan.size {
                wrong.push(format!("{} results for {} elements", got.len(), plan.size));
            }
            let expected = (Some(plan.size), collector.outputs, collector.failed);
            if (progress.total, progress.done, progress.failed) != expected {
                wrong.push(format!("{progress:?}, but {expected:?} were delivered"));
            }
            if account.cancelled {
                // It may have ended before the order came through, at the same moment.
            } else if plan.feed.fails_at.is_some_and(|at| at < plan.size) {
                wrong.push("the source failed and the job did not".to_owned());
            }
        }
        Err(error) => {
            let justified = match error.kind() {
                ErrorKind::Cancelled => account.cancelled,
                ErrorKind::Config => plan.feed.fails_at.is_some_and(|at| at < plan.size),
                ErrorKind::Unavailable => excused || account.out_of_patience(),
                ErrorKind::Budget => plan.options.budget != Budget::default(),
                ErrorKind::Task => plan.options.on_error == OnError::FailFast && error.tasks().len() == 1,
                _ => false,
            };
            if !justified {
                wrong.push(format!("ended without need: {error}"));
            }
        }
    }
    let most_running = account.most_running;
    for what in wrong {
        guard.violation(format!("{job}: {what}"));
    }
    Report { end: end.clone(), at: *at, progress, stats, most_running }
}
