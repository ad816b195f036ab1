//! The first thing a program does: it may be a function process.

use std::sync::OnceLock;

use crate::config::Registry;
use crate::error::{Error, ErrorKind, Result};
use crate::task::{remote, resolve};
use crate::{env, worker};

static REGISTRY: OnceLock<Registry> = OnceLock::new();

/// In a function process: serves tasks and never returns. Elsewhere: notes that the program has asked, so that it
/// can be its own workers' program, and with which backends.
pub fn init(backends: impl FnOnce() -> Registry) {
    if env::is_worker() && REGISTRY.get().is_none() {
        // A task may start nested jobs, so the backends are needed there, too.
        REGISTRY.get_or_init(backends);
        worker::serve(resolve);
    }
    REGISTRY.get_or_init(backends);
}

/// Whether this program can be started as a function process.
pub(crate) fn check() -> Result<()> {
    if REGISTRY.get().is_none() {
        let hint = "put #[rustwren::main] on main, or call rustwren::init() as its first statement";
        let message = if env::is_worker() {
            "this function process ran past the start of its program"
        } else {
            "the program has not called rustwren::init(), so it cannot be started as a worker"
        };
        return Err(Error::new(ErrorKind::Config, message).with_hint(hint));
    }
    remote::check_unique()
}

/// The backends that this program was made with.
pub fn registry() -> Result<&'static Registry> {
    check()?;
    REGISTRY.get().ok_or_else(|| Error::new(ErrorKind::Internal, "no backends"))
}
