//! `rustwren doctor`: every leg of a job's way, tried by itself, with its time.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use rustwren::__cli::config::{Config, LoadOptions};
use rustwren::__cli::durable::jobs::State;
use rustwren::__cli::registry;
use rustwren::blocking::block_on;
use rustwren::provision::SetupOptions;
use rustwren::storage::{Key, StorageExt as _};
use rustwren::{Error, ErrorKind, Executor, JobStats, Result};
use serde::Serialize;

use crate::args::Cli;
use crate::failure::Failure;
use crate::human;
use crate::output::{self, DIM, GOOD, WARNING};
use crate::place::Place;
use crate::provider::Providers;

/// One leg and how it went.
#[derive(Debug, Serialize)]
struct Leg {
    name: Cow<'static, str>,
    seconds: f64,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// What was found, leg by leg; the first failure is the last leg.
#[derive(Debug, Default, Serialize)]
struct Report {
    legs: Vec<Leg>,
    /// Jobs that nobody drives and that have not ended.
    abandoned_jobs: Vec<String>,
}

impl Report {
    /// Tries a leg; its outcome is the report's next line.
    fn leg<T>(&mut self, name: &'static str, attempt: impl FnOnce() -> Result<(T, String)>) -> Result<T> {
        let started = Instant::now();
        let result = attempt();
        self.add(name, started.elapsed(), result)
    }

    fn add<T>(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        time: Duration,
        result: Result<(T, String)>,
    ) -> Result<T> {
        let name = name.into();
        let seconds = time.as_secs_f64();
        match result {
            Ok((value, detail)) => {
                self.legs.push(Leg { name, seconds, detail, error: None, hint: None });
                Ok(value)
            }
            Err(error) => {
                let hint = error.hint().map(ToOwned::to_owned);
                let text = error.to_string();
                let message = text.split("\nhint: ").next().unwrap_or(&text).to_owned();
                let leg = Leg { name, seconds, detail: String::new(), error: Some(message), hint };
                self.legs.push(leg);
                Err(error)
            }
        }
    }

    fn as_text(&self) -> String {
        let mut text = String::new();
        for leg in &self.legs {
            let (style, mark) = if leg.error.is_none() { (GOOD, "ok") } else { (output::ERROR, "failed") };
            let time = format!("{:.1} ms", leg.seconds * 1e3);
            let detail = leg.error.as_deref().unwrap_or(&leg.detail);
            // Writing to a string does not fail.
            let _ok =
                writeln!(text, "{style}{mark:<6}{style:#} {:<10} {time:>10}  {DIM}{detail}{DIM:#}", leg.name);
        }
        if !self.abandoned_jobs.is_empty() {
            let what = human::counted(self.abandoned_jobs.len() as u64, "job");
            let _ok = writeln!(
                text,
                "{WARNING}note{WARNING:#}   {:<10} {:>10}  {what} abandoned: `rustwren jobs list`",
                "jobs", ""
            );
        }
        text
    }
}

/// Tries all legs and prints what was found. An error if one failed.
pub(crate) fn run(cli: &Cli, json: bool) -> std::result::Result<(), Failure> {
    let mut report = Report::default();
    let outcome = try_all(cli, &mut report);
    if outcome.is_ok() {
        report.abandoned_jobs = abandoned(cli)?;
    }
    if json {
        let mut text = serde_json::to_string_pretty(&report).map_err(|error| {
            Error::new(ErrorKind::Internal, "cannot write the report as JSON").with_source(error)
        })?;
        text.push('\n');
        output::data(text.as_bytes())?;
    } else {
        output::data(report.as_text().as_bytes())?;
    }
    Ok(outcome?)
}

/// The configuration, without a progress bar for calls that take no time.
fn load_options(cli: &Cli) -> LoadOptions {
    let options = LoadOptions::of_process().set("client.progress", "never");
    match &cli.config {
        Some(path) => options.file(path),
        None => options,
    }
}

/// Sends a closure the whole way, after a setup, and says how long it took.
pub(super) fn hello(cli: &Cli) -> Result<String> {
    let started = Instant::now();
    let executor = block_on(Executor::connect_with(&load_options(cli)))?;
    let answered = block_on(call(&executor)).map_err(|error| {
        error
            .context("everything is set up, but a first call failed")
            .and_hint("`rustwren doctor` tries each leg")
    })?;
    let time = human::duration(started.elapsed());
    Ok(format!("a closure went the whole way in {time}; process {} answered", answered.0))
}

fn try_all(cli: &Cli, report: &mut Report) -> Result<()> {
    let options = load_options(cli);
    let config = report.leg("config", || {
        let config = Config::load(&registry(), &options)?;
        let file =
            config.file().map_or_else(|| "no file: defaults".to_owned(), |path| path.display().to_string());
        let backend = |settings: &rustwren::config::Settings| {
            let name = settings.backend().unwrap_or("none");
            settings.wraps().map_or_else(|| name.to_owned(), |wrapped| format!("{name} around {wrapped}"))
        };
        let detail =
            format!("{file}; storage {}, compute {}", backend(config.storage()), backend(config.compute()));
        Ok((config, detail))
    })?;
    for leg in Providers::of(config, &SetupOptions::default())?.verify() {
        report.add(leg.name, leg.time, leg.outcome.map(|detail| ((), detail)))?;
    }
    let executor = report.leg("connect", || {
        let executor = block_on(Executor::connect_with(&options))?;
        let limits = executor.limits();
        let detail = format!("{} workers on {}", limits.concurrency, limits.platform.name);
        Ok((executor, detail))
    })?;
    report.leg("storage", || block_on(storage(&executor)).map(|location| ((), location)))?;
    let started = Instant::now();
    let cold = block_on(call(&executor));
    let time = started.elapsed();
    let stats = cold.as_ref().map_or_else(|_| JobStats::default(), |(_, stats)| *stats);
    let cold = cold.map(|(pid, _)| {
        let parts =
            [("start", stats.usage.start), ("fetch", stats.usage.fetch), ("compute", stats.usage.compute)];
        let parts: Vec<String> =
            parts.iter().map(|(name, t)| format!("{name} {:.1} ms", t.as_secs_f64() * 1e3)).collect();
        (pid, format!("first call: {}; answered by process {pid}", parts.join(", ")))
    });
    report.add("worker", time, cold)?;
    report.leg("round trip", || {
        let (pid, _) = block_on(call(&executor))?;
        Ok(((), format!("second call, to the warm process {pid}")))
    })
}

/// Jobs that could go on and do not.
fn abandoned(cli: &Cli) -> Result<Vec<String>> {
    let jobs = Place::open(cli)?.jobs()?;
    Ok(jobs.iter().filter(|job| job.state == State::Abandoned).map(|job| job.id.to_string()).collect())
}

/// Writes, reads and removes an object.
async fn storage(executor: &Executor) -> Result<String> {
    let storage = executor.storage();
    let key = Key::new(format!("doctor/{}", std::process::id()))?;
    storage.put(&key, "well?".into()).await?;
    let back = storage.get(&key).await;
    storage.delete(&key).await?;
    let location = storage.location();
    if back? != "well?" {
        return Err(Error::new(
            ErrorKind::Internal,
            format!("{location} gave back something else than was written"),
        ));
    }
    if storage.exists(&key).await? {
        return Err(Error::new(
            ErrorKind::Internal,
            format!("{location} still has an object that was deleted"),
        ));
    }
    Ok(location)
}

/// Runs a closure on a worker.
async fn call(executor: &Executor) -> Result<(u32, JobStats)> {
    let job = executor.map(|x: u64| (x + 1, std::process::id()), [41]).label("doctor").spawn().await?;
    let handle = job.handle();
    match job.results().await?[..] {
        [(42, pid)] if pid != std::process::id() => Ok((pid, handle.stats())),
        [(42, _)] => Err(Error::new(ErrorKind::Internal, "the task ran in this process, not in a worker")),
        _ => Err(Error::new(ErrorKind::Internal, "the task gave a wrong result")),
    }
}
