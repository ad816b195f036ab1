//! The agent: the user's program, started again to run one detached invocation to its end.
//!
//! It is a peer of the client that started it, not one of its workers: it has the client's environment, working
//! directory and user, but a session of its own without a terminal, so that it outlives the client, its shell and
//! its Ctrl-C. It supervises the function process that runs the invocation, with the same limits and the same
//! cleaned environment as the client's pool, and ends with it. Killed, it takes its function processes with it.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use rustwren_core::codec;
use rustwren_core::env;
use rustwren_core::failure::TaskFailure;
use rustwren_core::invoker::{Events, Invocation, LogLine, Reply, ResultBatch};
use rustwren_core::protocol::records::{ResultTag, split_together};
use rustwren_runtime::config::LIFE_HINT;
use rustwren_runtime::{Life, Pool, PoolOptions};
use tokio::signal::unix::{SignalKind, signal};

use crate::order::{Answer, Order};

/// Runs this process as an agent that answers by this word. `rustwren::init()` does so when it finds
/// [`rustwren_core::env::AGENT`].
#[expect(
    clippy::disallowed_methods,
    reason = "an agent has no `main` to return from; its pool is gone by then"
)]
pub fn run(word: &str) -> ! {
    let code = match serve(word) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("rustwren: {error}");
            1
        }
    };
    std::process::exit(code)
}

fn serve(word: &str) -> Result<(), String> {
    let (order, invocation) = match take() {
        Ok(taken) => taken,
        Err(error) => {
            answer(word, &Answer::Refused(error.clone()));
            return Err(error);
        }
    };
    let job = invocation.job.label.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let message = format!("the async runtime cannot be started: {error}");
            answer(word, &Answer::Refused(message.clone()));
            return Err(message);
        }
    };
    let ended = runtime.block_on(async {
        // Terminals and shells that go away say so with this signal, to whatever they find.
        let _heard = signal(SignalKind::hangup());
        answer(word, &Answer::Taken);
        if let Err(error) = stdout_to_log() {
            eprintln!("rustwren: stdout cannot be kept: {error}");
        }
        work(&order, invocation).await
    });
    if ended.is_ok()
        && let Some(log) = &order.log
        && rustix::fs::fstat(io::stderr()).is_ok_and(|stat| stat.st_size == 0)
        && let Err(error) = std::fs::remove_file(Path::new(log))
    {
        eprintln!("rustwren: this empty log cannot be removed: {error}");
    }
    ended.map_err(|error| format!("job {job}: {error}"))
}

/// Leaves the client's session and takes what it has sent.
fn take() -> Result<(Order, Invocation), String> {
    // It fails for a process that leads its group, for example one started by hand; then there is nothing to leave.
    if let Err(error) = rustix::process::setsid()
        && rustix::process::getpgrp() != rustix::process::getpid()
    {
        return Err(format!("no session of its own can be made: {error}"));
    }
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes).map_err(|error| format!("reading the order: {error}"))?;
    let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    null.and_then(rustix::stdio::dup2_stdin).map_err(|error| format!("/dev/null: {error}"))?;
    Order::decode(&bytes)
}

/// Tells the client. One that is gone need not be told: the invocation is here in full.
fn answer(word: &str, answer: &Answer) {
    let mut stdout = io::stdout().lock();
    if let Err(error) = stdout.write_all(answer.line(word).as_bytes()).and_then(|()| stdout.flush()) {
        eprintln!("rustwren: whoever started this agent is gone: {error}");
    }
}

fn stdout_to_log() -> io::Result<()> {
    Ok(rustix::stdio::dup2_stdout(io::stderr().as_fd())?)
}

async fn work(order: &Order, invocation: Invocation) -> Result<(), String> {
    let mut options = PoolOptions::new(invocation.job.entry.image);
    options.workers = order.workers;
    options.memory_limit = order.memory_limit;
    options.stack_size = order.stack_size;
    options.start_timeout = order.start_timeout;
    options.pass_env.clone_from(&order.pass_env);
    options.depth = env::worker_depth();
    options.life_hint = LIFE_HINT;
    let pool = Pool::new(options, None);
    let events: Arc<dyn Events> = Arc::new(ToLog);
    let count = invocation.count;
    let life = order.max_duration.map_or(Life::Unlimited, Life::For);
    let reply = pool.invoke_for(life, invocation, &events).await;
    pool.shutdown();
    let reply = reply.map_err(|error| match error.hint() {
        Some(hint) => format!("{error}\nhint: {hint}"),
        None => error.to_string(),
    })?;
    judge(&reply, count)
}

/// Nobody waits for the reply: what is amiss goes to the log.
fn judge(reply: &Reply, count: u32) -> Result<(), String> {
    for batch in &reply.results {
        ToLog.results(0, batch.clone());
    }
    match &reply.stopped {
        None => Ok(()),
        Some(stopped) => {
            let named = stopped.failed.iter().chain(&stopped.suspects);
            let lines: Vec<String> = named.map(|(element, failure)| failed(*element, failure)).collect();
            Err(format!("not all of its {count} tasks were done\n{}", lines.join("\n")))
        }
    }
}

fn failed(element: u32, failure: &TaskFailure) -> String {
    format!("task {element} {failure}")
}

/// Tasks' output, and their failures, go to the log.
struct ToLog;

impl Events for ToLog {
    fn results(&self, _: u64, batch: ResultBatch) {
        let mut records = &batch.records[..];
        let mut element = batch.offset;
        while let Ok(result) = split_together(records) {
            if result.tag == ResultTag::Failure
                && let Ok(failure) = codec::decode::<TaskFailure>(result.body)
            {
                eprintln!("rustwren: {}", failed(element, &failure));
            }
            records = &records[result.len..];
            element = element.saturating_add(result.count);
        }
    }

    fn started(&self, _: u64) {}

    fn log(&self, _: u64, line: LogLine) {
        // A log that cannot be written, on a full disk, must not stop the job.
        if let Err(error) = io::stderr().write_all(&line.bytes) {
            tracing::debug!(%error, "output is lost");
        }
    }
}
