//! The first thing a program does: it may be a function process.

use std::sync::{Arc, OnceLock};

use crate::config::{ClientConfig, Registry};
use crate::error::{Error, ErrorKind, Result};
use crate::executor::Watcher;
use crate::raw::environment;
use crate::task::{remote, resolve};
use crate::{env, worker};

/// What a program is made with.
#[derive(Debug)]
pub struct Parts {
    /// Its backends.
    pub registry: Registry,
    /// Makes what shows jobs to people.
    pub watcher: fn(&ClientConfig) -> Option<Arc<dyn Watcher>>,
    /// What it does as an agent (see [`env::AGENT`]), given the word by which it answers.
    pub agent: fn(word: &str) -> !,
}

static PARTS: OnceLock<Parts> = OnceLock::new();

/// In a function process: serves tasks and never returns; the same where `rustwren repro` has one task run. In an
/// agent: runs what it was started for and never returns. Elsewhere: notes that the program has asked, so that it can
/// be its own workers' program, and what it is made with.
pub fn init(parts: impl FnOnce() -> Parts) {
    let first = PARTS.get().is_none();
    let parts = PARTS.get_or_init(parts);
    if !first {
        return;
    }
    if env::is_worker() {
        worker::serve(resolve);
    }
    if env::RERUN.get().is_some() {
        worker::rerun::serve(resolve);
    }
    if let Some(word) = agent() {
        (parts.agent)(&word);
    }
}

/// In a process that was started as an agent: the word by which it answers, taken out of the environment, so that
/// what it starts is no agent. To be called first thing in `main`, as [`init`] does.
pub fn agent() -> Option<String> {
    let word = env::AGENT.get()?;
    environment::remove(env::AGENT.name);
    Some(word.to_string_lossy().into_owned())
}

/// Whether this program can be started as a function process.
pub(crate) fn check() -> Result<()> {
    parts()?;
    remote::check_unique()
}

/// The backends that this program was made with.
pub fn registry() -> Result<&'static Registry> {
    check()?;
    Ok(&parts()?.registry)
}

pub(crate) fn watcher(config: &ClientConfig) -> Option<Arc<dyn Watcher>> {
    PARTS.get().and_then(|parts| (parts.watcher)(config))
}

fn parts() -> Result<&'static Parts> {
    PARTS.get().ok_or_else(|| {
        let message = if env::is_worker() {
            "this function process ran past the start of its program"
        } else {
            "the program has not called rustwren::init(), so it cannot be started as a worker"
        };
        Error::new(ErrorKind::Config, message)
            .with_hint("put #[rustwren::main] on main, or call rustwren::init() as its first statement")
    })
}
