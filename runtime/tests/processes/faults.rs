//! Elements that end badly: they are blamed, nobody else is.

use std::sync::Arc;
use std::time::Duration;

use rustwren_core::failure::FailureKind;

use crate::harness::{Ran, Recorder, exists, invocation, job, pool, pool_with, run, run_with, try_run};

crate::tests![
    panics_cost_one_element,
    errors_are_passed_on,
    deaths_are_blamed_on_the_element,
    memory_limit,
    endless_loop_is_ended,
    last_words,
    killed_from_outside,
    async_panic_and_timeout,
    async_block_is_ended,
    async_death_names_suspects,
    threads_death_names_suspects,
];

async fn panics_cost_one_element() {
    let ran = run(&pool(1), "fault", &["a", "panic", "b", "panic value", "c"]).await;
    assert!(ran.reply.stopped.is_none());
    let failure = ran.failure(1);
    assert_eq!((&failure.kind, failure.message.as_str()), (&FailureKind::Panic, "out of cheese"));
    assert!(failure.location.as_ref().unwrap().contains("functions.rs:"), "{failure:?}");
    assert_eq!(
        failure.log_tail, "",
        "the panic's report is no output of the task's: its message is told already"
    );
    assert_eq!(ran.failure(3).kind, FailureKind::Panic);
    for (element, output) in [(0, b"a"), (2, b"b"), (4, b"c")] {
        assert_eq!(ran.outcomes[element].as_ref().unwrap().as_ref().unwrap(), output);
    }
}

async fn errors_are_passed_on() {
    let ran = run(&pool(1), "fault", &["error", "a"]).await;
    assert_eq!((&ran.failure(0).kind, &*ran.failure(0).message), (&FailureKind::Returned, "no"));
    assert!(ran.outcomes[1].as_ref().unwrap().is_ok());
}

/// Elements before the culprit may have a result, the culprit is blamed, those after it are not done.
fn check_blame(ran: &Ran, culprit: u32, kind: &FailureKind) {
    let [(element, failure)] = ran.failed() else { panic!("not one failure: {:?}", ran.reply) };
    assert_eq!((element, &failure.kind), (&culprit, kind));
    assert!(ran.reply.stopped.as_ref().unwrap().suspects.is_empty());
    assert!(ran.outcomes[culprit as usize..].iter().all(Option::is_none));
    assert!(ran.outcomes.iter().flatten().all(Result::is_ok));
}

async fn deaths_are_blamed_on_the_element() {
    let pool = pool(1);
    for (fault, kind) in [
        ("abort", FailureKind::Signal(6)),
        ("segfault", FailureKind::Signal(11)),
        ("kill", FailureKind::Signal(9)),
        ("exit", FailureKind::Exit(3)),
        ("overflow", FailureKind::StackOverflow),
        ("close", FailureKind::Connection),
        ("garbage", FailureKind::Connection),
    ] {
        let ran = run(&pool, "fault", &["a", "b", fault, "c"]).await;
        check_blame(&ran, 2, &kind);
        // The next one is served by a new process.
        assert_eq!(run(&pool, "fault", &["a"]).await.outputs(), [b"a"]);
    }
}

async fn memory_limit() {
    // With a backtrace, what says so is far from the end of the output.
    for backtrace in ["0", "1"] {
        let pool = pool_with(1, |options| {
            options.memory_limit = Some(256 << 20);
            options.set = vec![("RUST_BACKTRACE".into(), backtrace.into())];
        });
        let ran = run(&pool, "fault", &["a", "memory", "b"]).await;
        check_blame(&ran, 1, &FailureKind::OutOfMemory);
    }
}

async fn endless_loop_is_ended() {
    let limit = Duration::from_millis(100);
    let mut job = job("fault");
    job.task_timeout = Some(limit);
    let pool = pool(1);
    let recorder: Arc<Recorder> = Arc::default();
    let ran = run_with(&pool, invocation(&Arc::new(job), &["a", "b", "loop", "c"]), recorder).await.unwrap();
    check_blame(&ran, 2, &FailureKind::TimedOut(limit));
    // What was done before has been sent while the loop ran.
    assert_eq!(ran.outcomes[..2].iter().flatten().count(), 2);
}

async fn last_words() {
    let ran = run(&pool(1), "fault", &["say and die"]).await;
    check_blame(&ran, 0, &FailureKind::Signal(6));
    assert!(ran.failed()[0].1.log_tail.contains("last words"));
    assert!(ran.recorder.log_of(0, false).contains("last words"));
}

async fn killed_from_outside() {
    let pool = pool(1);
    let recorder: Arc<Recorder> = Arc::default();
    let invocation = invocation(&Arc::new(job("fault")), &["a", "loop"]);
    let kill = async {
        recorder.until(|told| !told.batches.lock().unwrap().is_empty()).await;
        let pid = pool.pids()[0];
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    };
    let (ran, ()) = tokio::join!(run_with(&pool, invocation, Arc::clone(&recorder)), kill);
    check_blame(&ran.unwrap(), 1, &FailureKind::Signal(9));
}

async fn async_panic_and_timeout() {
    let limit = Duration::from_millis(50);
    let mut job = job("async_fault");
    job.task_timeout = Some(limit);
    job.concurrency = 2;
    let ran = try_run(&pool(1), invocation(&Arc::new(job), &["a", "panic", "never", "b"])).await.unwrap();
    assert!(ran.reply.stopped.is_none());
    assert_eq!((&ran.failure(1).kind, &*ran.failure(1).message), (&FailureKind::Panic, "async cheese"));
    assert_eq!(ran.failure(2).kind, FailureKind::TimedOut(limit));
    assert!(ran.outcomes[0].as_ref().unwrap().is_ok() && ran.outcomes[3].as_ref().unwrap().is_ok());
}

async fn async_block_is_ended() {
    let limit = Duration::from_millis(50);
    let mut job = job("async_fault");
    job.task_timeout = Some(limit);
    job.concurrency = 4;
    let ran = try_run(&pool(1), invocation(&Arc::new(job), &["a", "block", "b"])).await.unwrap();
    let [(1, failure)] = ran.failed() else { panic!("{:?}", ran.reply) };
    assert_eq!(failure.kind, FailureKind::TimedOut(limit));
}

async fn async_death_names_suspects() {
    let mut job = job("async_fault");
    job.concurrency = 3;
    let job = Arc::new(job);
    // Inside a poll, the culprit is known.
    let ran = try_run(&pool(1), invocation(&job, &["never", "abort", "never"])).await.unwrap();
    let [(1, failure)] = ran.failed() else { panic!("{:?}", ran.reply) };
    assert_eq!(failure.kind, FailureKind::Signal(6));
    // Between polls, it is one of those under way.
    let pool = pool(1);
    let recorder: Arc<Recorder> = Arc::default();
    let kill = async {
        recorder.until(|told| !told.batches.lock().unwrap().is_empty()).await;
        let pid = rustix::process::Pid::from_raw(pool.pids()[0].cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    };
    let invocation = invocation(&job, &["never", "never", "a"]);
    let (ran, ()) = tokio::join!(run_with(&pool, invocation, Arc::clone(&recorder)), kill);
    let stopped = ran.unwrap().reply.stopped.unwrap();
    assert!(stopped.failed.is_empty());
    let suspects: Vec<u32> = stopped.suspects.iter().map(|(element, _)| *element).collect();
    assert_eq!(suspects, [0, 1]);
}

async fn threads_death_names_suspects() {
    let mut job = job("fault");
    job.concurrency = 2;
    let pool = pool(1);
    let pid = run(&pool, "pid", &["x"]).await.outputs();
    // The loop never ends, so both are running when one of them kills the process.
    let ran = try_run(&pool, invocation(&Arc::new(job), &["loop", "abort"])).await.unwrap();
    let stopped = ran.reply.stopped.unwrap();
    let mut named: Vec<u32> =
        stopped.failed.iter().map(|(i, _)| *i).chain(stopped.suspects.iter().map(|(i, _)| *i)).collect();
    named.sort_unstable();
    assert!(named.contains(&1), "{named:?}");
    assert!(!exists(String::from_utf8(pid[0].clone()).unwrap().parse().unwrap()));
}
