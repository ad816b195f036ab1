//! `rustwren-runtime` as a custom handler of Azure Functions and the invoker that calls it, over a host of ours. This
//! program is its own function process, so it brings its own `main` instead of libtest's.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test, which clippy cannot see without libtest")]

mod conformance;
mod place;
mod queue;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use rustwren_core::entry::{Entry, Target};
use rustwren_core::image::ImageId;
use rustwren_core::worker::{Function, serve};
use rustwren_testkit::invoker_suite::program;

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
        trial("conformance by calls", conformance::calls),
        trial("conformance by the queue", conformance::queue),
        trial("the queue in trouble", queue::trouble),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
