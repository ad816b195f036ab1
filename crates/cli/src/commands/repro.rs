//! `rustwren repro`: one failed task again, here.

use std::path::PathBuf;

use bytes::Bytes;
use rustwren::__cli::config::Config;
use rustwren::__cli::durable::{Capsule, JobId, Store};
use rustwren::__cli::error::{Error, ErrorKind, Result};
use rustwren::__cli::invoker::JobSpec;
use rustwren::__cli::rerun::Rerun;
use rustwren::TaskFailure;

use crate::args::repro::Limit;
use crate::args::{Cli, ReproArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::place::Place;

mod outcome;
mod process;
mod program;
mod report;

use outcome::Outcome;
use process::Start;

/// What is kept of a task that failed.
#[derive(Debug)]
struct Task {
    capsule: Capsule,
    /// The encoded value of `map_with`; empty for functions without one.
    shared: Bytes,
}

impl Task {
    async fn read(store: &Store, id: &JobId, index: u64) -> Result<Self> {
        let capsule = Capsule::read(store, id, index).await?;
        let shared = capsule.shared(store).await?.unwrap_or_default();
        Ok(Self { capsule, shared })
    }

    /// The failure that decided.
    fn recorded(&self) -> Option<&TaskFailure> {
        self.capsule.error.last()
    }
}

/// Runs the task, and says what came of it.
pub(crate) fn run(cli: &Cli, args: &ReproArgs) -> std::result::Result<Exit, Failure> {
    let place = Place::open(cli)?;
    let id = place.job(&args.job)?;
    let task = place.block_on(Task::read(&place.store, &id, args.index))?;
    let scratch = Scratch::new(&place.config, args.print)?;
    let program = program::choose(&place, &task, args.program.as_deref(), scratch.folder())?;
    let watched = args.print || args.debugger.is_some();
    let rerun = rerun(&place.config, args, &task, watched);
    let file = scratch.file(&format!("{id}.{}", args.index));
    rerun.write(&file).map_err(|error| {
        Error::new(ErrorKind::Config, format!("the task cannot be written to {}", file.display()))
            .with_source(error)
    })?;
    let start = Start::new(&place.config, &program.path, &file, args.debugger.as_deref())?;
    if args.print {
        output::data(format!("{}\n", start.command_line()?).as_bytes())?;
        report::printed(&task, &program);
        return Ok(Exit::Ok);
    }
    report::before(&task, &program, &rerun, args.debugger.as_deref());
    let ended = start.run()?;
    let outcome = Outcome::of(&ended, &file)?;
    report::after(args, &task, &program, &ended, &outcome);
    match outcome {
        Outcome::Output(bytes) => {
            if let Some(path) = &args.output {
                write_output(path, &bytes)?;
            }
            Ok(Exit::Ok)
        }
        Outcome::Failed(_) | Outcome::Open => Ok(Exit::Task),
        Outcome::Refused(why) => Err(program::refused(&program, &why).into()),
        Outcome::NeverBegan => Err(program::never_began(&program, &ended).into()),
        Outcome::Interrupted => Ok(Exit::Interrupted),
    }
}

fn write_output(path: &PathBuf, bytes: &[u8]) -> std::result::Result<(), Failure> {
    std::fs::write(path, bytes).map_err(|error| {
        Error::new(ErrorKind::Config, format!("the output cannot be written to {}", path.display()))
            .with_source(error)
    })?;
    output::note(&format!("wrote {}", path.display()));
    Ok(())
}

/// What the process is to run, limited as on a worker unless told otherwise.
fn rerun(config: &Config, args: &ReproArgs, task: &Task, watched: bool) -> Rerun {
    let timeout = match args.timeout {
        Some(Limit::After(time)) => Some(time),
        Some(Limit::None) => None,
        // Whoever looks at a process step by step takes their time.
        None if watched => None,
        None => task.capsule.spec.task_timeout,
    };
    let size = |key: &str| config.compute().get_size(key).ok().flatten();
    Rerun {
        job: JobSpec { shared: None, task_timeout: timeout, ..task.capsule.spec.clone() },
        shared: task.shared.clone(),
        input: task.capsule.input.clone(),
        index: task.capsule.error.index,
        attempt: task.capsule.error.attempts.len().try_into().unwrap_or(u32::MAX).max(1),
        memory_limit: args.memory_limit.or_else(|| size("memory_limit")),
        stack_size: size("stack_size").unwrap_or(0),
        announce: watched,
    }
}

/// Where the task and, if it was fetched, its program lie while it runs. Removed at the end, unless what is there is
/// for somebody else to use.
struct Scratch {
    folder: PathBuf,
    _removed: Option<tempfile::TempDir>,
}

impl Scratch {
    fn new(config: &Config, keep: bool) -> std::result::Result<Self, Failure> {
        let parent = config.cache_dir()?.join("repro");
        let failed = |error: std::io::Error| {
            Error::new(ErrorKind::Config, format!("{} cannot be used to keep a task in", parent.display()))
                .with_source(error)
        };
        std::fs::create_dir_all(&parent).map_err(failed)?;
        if keep {
            return Ok(Self { folder: parent, _removed: None });
        }
        let dir = tempfile::Builder::new().prefix("run-").tempdir_in(&parent).map_err(failed)?;
        Ok(Self { folder: dir.path().to_owned(), _removed: Some(dir) })
    }

    fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}
