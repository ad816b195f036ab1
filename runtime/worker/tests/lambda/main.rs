//! `rustwren-runtime` on Lambda and the invoker that calls it, over the official emulator. This program is its own
//! function process, so it brings its own `main` instead of libtest's.
#![expect(clippy::unwrap_used, reason = "a test, which clippy cannot see without libtest")]

mod conformance;
mod limits;
mod place;
mod watched;

use std::process::ExitCode;
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};
use rustwren_core::entry::{Entry, Target};
use rustwren_core::image::ImageId;
use rustwren_core::worker::{Function, serve};
use rustwren_testkit::invoker_suite::program;

/// How long an invocation may last where the tests make some that have no end: Lambda lets nobody cancel one. An
/// unoptimised build on a busy machine takes seconds over the megabytes of others.
const TIMEOUT: Duration = Duration::from_secs(12);

fn resolve(entry: &Entry, _: ImageId) -> Result<&'static Function, String> {
    let Target::Named { name, .. } = &entry.target else {
        return Err("these functions have names".to_owned());
    };
    program::function(name).ok_or_else(|| format!("no function is called {name}"))
}

fn trial<F: Future<Output = ()> + 'static>(name: &str, test: fn() -> F) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(test());
        Ok(())
    })
}

fn main() -> ExitCode {
    if rustwren_core::env::is_worker() {
        serve(resolve);
    }
    let trials = vec![
        trial("conformance", conformance::suite),
        trial("requests at and above the limit", limits::requests),
        trial("events at and above the limit", limits::events),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
