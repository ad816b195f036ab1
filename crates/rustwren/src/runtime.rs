//! What `#[rustwren::main]` runs an async `main` on.

use crate::interrupt;

/// Which tokio runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavor {
    /// What RustWren thinks best: many threads.
    Default,
    /// One thread.
    CurrentThread,
    /// Many threads: this many, or one per core.
    MultiThread(Option<usize>),
}

/// Runs `main`'s body. Ctrl-C ends the program with exit code 130, after its workers.
pub fn block_on<F: Future>(flavor: Flavor, body: F) -> F::Output {
    interrupt::install();
    let mut builder = match flavor {
        Flavor::CurrentThread => tokio::runtime::Builder::new_current_thread(),
        Flavor::Default | Flavor::MultiThread(_) => tokio::runtime::Builder::new_multi_thread(),
    };
    if let Flavor::MultiThread(Some(threads)) = flavor {
        builder.worker_threads(threads.max(1));
    }
    match builder.enable_all().build() {
        Ok(runtime) => {
            let output = runtime.block_on(body);
            // Of jobs that nobody has waited for.
            crate::terminal::clear();
            output
        }
        Err(error) => {
            eprintln!("error: the async runtime could not be started: {error}");
            #[expect(
                clippy::disallowed_methods,
                reason = "there is nothing yet to clean up, nor a value to return"
            )]
            std::process::exit(70);
        }
    }
}
