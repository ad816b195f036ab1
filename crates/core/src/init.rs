//! The first thing a program does: it may be a function process.

use std::sync::{Arc, OnceLock};

use crate::config::{ClientConfig, Registry};
use crate::error::{Error, ErrorKind, Result};
use crate::executor::Watcher;
use crate::task::{remote, resolve};
use crate::{env, worker};

/// What a program is made with.
#[derive(Debug)]
pub struct Parts {
    /// Its backends.
    pub registry: Registry,
    /// Makes what shows jobs to people.
    pub watcher: fn(&ClientConfig) -> Option<Arc<dyn Watcher>>,
}

static PARTS: OnceLock<Parts> = OnceLock::new();

/// In a function process: serves tasks and never returns; the same where `rustwren repro` has one task run. Elsewhere: notes that the program has asked, so that it
/// can be its own workers' program, and what it is made with.
pub fn init(parts: impl FnOnce() -> Parts) {
    let first = PARTS.get().is_none();
    PARTS.get_or_init(parts);
    if !first {
        return;
    }
    if env::is_worker() {
        worker::serve(resolve);
    }
    if env::RERUN.get().is_some() {
        worker::rerun::serve(resolve);
    }
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
