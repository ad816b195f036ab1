//! Ctrl-C in the middle of a job.
//!
//! Function processes are in process groups of their own, so the terminal's signal reaches the client alone. The
//! client records what it can, says what was under way and exits; its workers see their sockets close and end with it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use rustwren_core::executor::{JobHandle, Keeps};

/// What shells use for a program that was ended by SIGINT: 128 + 2.
const EXIT_INTERRUPTED: i32 = 130;

/// How long what is finished may take to be recorded.
const FAREWELL: Duration = Duration::from_secs(10);

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
        let heard = runtime.and_then(|runtime| {
            runtime.block_on(async {
                tokio::signal::ctrl_c().await?;
                report().await;
                std::io::Result::Ok(())
            })
        });
        if heard.is_ok() {
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

async fn report() {
    let running: Vec<JobHandle> = {
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.iter().filter(|job| job.end().is_none()).cloned().collect()
    };
    let leaving = join_all(running.iter().map(JobHandle::leave_at_exit));
    // Once more Ctrl-C ends the wait.
    let recording = tokio::time::timeout(FAREWELL, leaving);
    tokio::select! {
        // What could not be recorded in time is run again by whoever goes on.
        _ = recording => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    crate::terminal::clear();
    for job in running {
        eprintln!("interrupted: {}", describe(&job));
    }
}

/// How far a job was, what of it is kept, and how to go on.
fn describe(job: &JobHandle) -> String {
    let progress = job.progress();
    let of = progress.total.map_or_else(String::new, |total| format!(" of {total}"));
    let had = format!("job {} had {}{of} results", job.label(), progress.done);
    match job.keeps() {
        Keeps::Results => format!("{had}; they are kept: run the same program again to go on with the rest"),
        Keeps::Everything if job.is_driven_here() => {
            format!("{had}; they are kept: `rustwren jobs attach {}` goes on with the rest", job.id())
        }
        Keeps::Everything => {
            format!("{had}; it goes on without this program: `rustwren jobs attach {}` looks on", job.id())
        }
        _ => format!("{had}; its workers are stopped and nothing of it was kept"),
    }
}
