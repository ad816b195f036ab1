//! Invocations that may last only so long.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustwren_core::failure::FailureKind;
use rustwren_core::invoker::{JobSpec, Stopped};
use rustwren_runtime::{Life, Pool};

use crate::harness::{Ran, Recorder, exists, invocation, job, pool, pool_with, run_for};

crate::tests![
    what_is_done_is_handed_back,
    an_element_with_a_whole_life_is_to_blame,
    threads_that_outlive_their_invocation_are_suspects,
    async_elements_that_outlive_their_invocation_are_suspects,
    async_elements_of_a_second_wave_are_not,
    a_shared_value_that_takes_a_whole_life,
    nothing_is_begun_in_vain,
    a_life_that_is_over_before_it_began,
    waiting_for_a_process_is_no_part_of_it,
    parts_at_several_processes,
    a_crash_near_the_end_is_a_crash,
    tasks_know_their_deadline,
];

/// Long enough for what is to be done within it on a busy machine.
const LIFE: Duration = Duration::from_secs(1);

async fn run(pool: &Pool, job: JobSpec, inputs: &[&str]) -> Ran {
    run_for(Life::For(LIFE), pool, invocation(&Arc::new(job), inputs), Arc::default()).await.unwrap()
}

/// Which elements have a result.
fn done(ran: &Ran) -> Vec<usize> {
    let outcomes = ran.outcomes.iter().enumerate();
    outcomes.filter(|(_, outcome)| outcome.is_some()).map(|(element, _)| element).collect()
}

fn suspects(ran: &Ran) -> Vec<u32> {
    let stopped = ran.reply.stopped.as_ref().unwrap();
    assert!(stopped.failed.is_empty(), "{stopped:?}");
    for (_, failure) in &stopped.suspects {
        assert_eq!(failure.kind, FailureKind::TimedOut(LIFE));
    }
    stopped.suspects.iter().map(|(element, _)| *element).collect()
}

async fn what_is_done_is_handed_back() {
    let pool = pool(1);
    let ran = run(&pool, job("naps"), &["1", "200", "100000", "1"]).await;
    assert_eq!(done(&ran), [0, 1]);
    assert_eq!(ran.reply.stopped, Some(Stopped::default()), "nobody is to blame");
    // The next invocation begins with the one that was running, and has a process.
    let ran = run(&pool, job("naps"), &["2", "1"]).await;
    assert_eq!(ran.reply.stopped, None);
    assert_eq!(ran.outputs(), [b"2", b"1"]);
}

async fn an_element_with_a_whole_life_is_to_blame() {
    let pool = pool_with(1, |options| options.life_hint = "let it be");
    let ran = run(&pool, job("fault"), &["loop", "a"]).await;
    assert!(done(&ran).is_empty());
    let [(0, failure)] = ran.failed() else { panic!("{:?}", ran.reply) };
    assert_eq!(failure.kind, FailureKind::TimedOut(LIFE));
    let expected = "by itself it takes longer than an invocation may last here: let it be";
    assert_eq!(failure.message, expected);
    assert!(ran.reply.usage.compute >= LIFE, "what it took is told: {:?}", ran.reply.usage);
}

async fn threads_that_outlive_their_invocation_are_suspects() {
    let mut job = job("fault");
    job.concurrency = 2;
    let ran = run(&pool(1), job, &["loop", "loop", "a"]).await;
    assert_eq!((done(&ran), suspects(&ran)), (vec![], vec![0, 1]));
}

async fn async_elements_that_outlive_their_invocation_are_suspects() {
    let mut job = job("async_fault");
    job.concurrency = 3;
    let ran = run(&pool(1), job.clone(), &["never", "a", "never", "b", "c"]).await;
    assert_eq!((done(&ran), suspects(&ran)), (vec![1, 3, 4], vec![0, 2]));
    // In a poll that does not end: the others could not go on. That is no fault of theirs, and cannot be seen.
    let ran = run(&pool(1), job, &["never", "block"]).await;
    assert_eq!(suspects(&ran), [0, 1]);
}

async fn async_elements_of_a_second_wave_are_not() {
    let mut job = job("async_fault");
    job.concurrency = 2;
    let ran = run(&pool(1), job, &["a", "b", "never", "never", "c"]).await;
    assert_eq!((done(&ran), ran.reply.stopped.clone()), (vec![0, 1], Some(Stopped::default())));
}

/// Its first element has not begun, and comes no further in any other invocation.
async fn a_shared_value_that_takes_a_whole_life() {
    let mut job = job("shared");
    job.shared = Some(rustwren_core::invoker::Payload::Inline(vec![bytes::Bytes::from_static(b"loop")]));
    let ran = run(&pool(1), job, &["a", "b"]).await;
    let [(0, failure)] = ran.failed() else { panic!("{:?}", ran.reply) };
    assert_eq!(failure.kind, FailureKind::TimedOut(LIFE));
}

/// Elements of less than half a life: a third would not be done in time and is not begun, so no process is killed.
async fn nothing_is_begun_in_vain() {
    let pool = pool(1);
    let ran = run(&pool, job("naps"), &["400"; 50]).await;
    assert_eq!((done(&ran), ran.reply.stopped.clone()), (vec![0, 1], Some(Stopped::default())));
    let pid = pool.pids()[0];
    let again = run(&pool, job("pid"), &[""]).await;
    assert_eq!(again.outputs(), [pid.to_string().into_bytes()], "the process has survived");
}

async fn a_life_that_is_over_before_it_began() {
    let pool = pool(1);
    let invocation = invocation(&Arc::new(job("echo")), &["a"]);
    let ran = run_for(Life::Until(Instant::now()), &pool, invocation, Arc::default()).await.unwrap();
    assert_eq!((done(&ran), ran.reply.stopped), (vec![], Some(Stopped::default())));
}

/// Both are given one life, and the second waits for the only process for all of the first's.
async fn waiting_for_a_process_is_no_part_of_it() {
    let pool = pool(1);
    let (first, second) =
        tokio::join!(run(&pool, job("fault"), &["loop"]), run(&pool, job("naps"), &["100", "1"]));
    assert_eq!(first.failed().len(), 1);
    assert_eq!(second.reply.stopped, None);
    assert!(second.reply.usage.queued >= LIFE / 2, "{:?}", second.reply.usage);
}

/// An idle process has fetched a part of the invocation, which is still under way at its end.
async fn parts_at_several_processes() {
    let pool = pool(2);
    let job = job("naps");
    // A second call, so that there is a second process.
    let (ran, other) = tokio::join!(run(&pool, job.clone(), &["20"; 500]), run(&pool, job, &["1"]));
    assert_eq!(other.reply.stopped, None);
    assert_eq!(ran.reply.stopped, Some(Stopped::default()));
    let done = done(&ran);
    // Not one behind the other: then it was cut.
    assert!(done.iter().zip(0..).any(|(&element, place)| element != place), "{done:?}");
}

async fn a_crash_near_the_end_is_a_crash() {
    let ran = run(&pool(1), job("fault"), &["a", "abort", "b"]).await;
    let [(1, failure)] = ran.failed() else { panic!("{:?}", ran.reply) };
    assert_eq!(failure.kind, FailureKind::Signal(6));
}

async fn tasks_know_their_deadline() {
    let left = |ran: &Ran| -> Vec<Option<Duration>> {
        let text = |output: Vec<u8>| String::from_utf8(output).unwrap();
        ran.outputs().into_iter().map(|o| text(o).parse().ok().map(Duration::from_nanos)).collect()
    };
    let pool = pool(1);
    let ran = run(&pool, job("time_left"), &["", ""]).await;
    assert!(left(&ran).iter().all(|left| left.is_some_and(|left| left > Duration::ZERO && left <= LIFE)));
    // A time limit of the job's goes before it if it is shorter.
    let mut short = job("time_left");
    short.task_timeout = Some(LIFE / 2);
    let ran = run(&pool, short, &[""]).await;
    assert!(left(&ran)[0].is_some_and(|left| left <= LIFE / 2));
    let mut long = job("time_left");
    long.task_timeout = Some(LIFE * 100);
    let ran = run(&pool, long, &[""]).await;
    assert!(left(&ran)[0].is_some_and(|left| left <= LIFE));
    // The process forgets it with the invocation.
    let unlimited = invocation(&Arc::new(job("time_left")), &[""]);
    let ran = run_for(Life::Unlimited, &pool, unlimited, Arc::<Recorder>::default()).await.unwrap();
    assert_eq!(left(&ran), [None]);
    assert!(pool.pids().into_iter().all(exists));
}
