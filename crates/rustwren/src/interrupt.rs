//! Ctrl-C in the middle of a job.
//!
//! Function processes are in process groups of their own, so the terminal's signal reaches the client alone. The
//! client says what was under way and exits; its workers see their sockets close and end with it.

use std::sync::{Mutex, PoisonError};

use rustwren_core::executor::JobHandle;

/// What shells use for a program that was ended by SIGINT: 128 + 2.
const EXIT_INTERRUPTED: i32 = 130;

static RUNNING: Mutex<Vec<JobHandle>> = Mutex::new(Vec::new());

/// Remembers a job until it ends.
pub(crate) fn remember(job: JobHandle) {
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    running.retain(|job| job.end().is_none());
    running.push(job);
}

/// Listens for Ctrl-C on a thread of its own: `main` may be busy.
pub(crate) fn install() {
    let listening = std::thread::Builder::new().name("rustwren-interrupt".to_owned()).spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let heard = runtime.and_then(|runtime| runtime.block_on(tokio::signal::ctrl_c()));
        if heard.is_ok() {
            report();
            #[expect(
                clippy::disallowed_methods,
                reason = "main is busy; workers end when their sockets close"
            )]
            std::process::exit(EXIT_INTERRUPTED);
        }
    });
    if let Err(error) = listening {
        // The default action of the signal still ends the program and with it the workers.
        eprintln!("warning: Ctrl-C will end the program without a report: {error}");
    }
}

fn report() {
    crate::terminal::clear();
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    for job in running.iter().filter(|job| job.end().is_none()) {
        let progress = job.progress();
        let of = progress.total.map_or_else(String::new, |total| format!(" of {total}"));
        eprintln!(
            "interrupted: job {} had {}{of} results; its workers are stopped and nothing of it was kept",
            job.label(),
            progress.done,
        );
    }
}
