//! What ends an invocation, or keeps it from beginning.

use std::time::Duration;

use futures_util::future::{Either, join_all, select};
use rustwren_chaos::ramp::Ramp;
use rustwren_chaos::{ChaosPlan, Delay};
use rustwren_core::clock::Clock;
use rustwren_core::error::ErrorClass;
use rustwren_core::invoker::Invoker;

use crate::bench::{Bench, Results, invocation};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn calm() -> ChaosPlan {
    ChaosPlan::calm()
}

fn bench(plan: ChaosPlan) -> Bench {
    Bench::new(plan, Results::Streamed, 1)
}

#[test]
fn a_throttled_invocation_reaches_no_worker() {
    let plan = ChaosPlan { throttled: 1.0, retry_after: Some(s(3)), ..calm() };
    let mut bench = bench(plan);
    assert_eq!(bench.one(2), ["0.0 client: 1 failed: Throttled { retry_after: Some(3s) }"]);
    assert_eq!((bench.chaos.tally().throttled, bench.chaos.tally().refused), (1, 0));
}

#[test]
fn a_transient_error_comes_without_work_after_the_way_there_and_back() {
    let latency = Delay::Uniform(s(2), s(2));
    let mut bench = bench(ChaosPlan { transient: 1.0, latency, ..calm() });
    assert_eq!(bench.one(2), ["4.0 client: 1 failed: Transient"]);
}

#[test]
fn a_lost_invocation_is_never_answered_and_ends_when_it_is_dropped() {
    for (lost_after, book) in [
        (0.0, &["100.0 given up"][..]),
        (1.0, &["0.0 worker: 0+2 begins", "0.0 client: 1 started", "2.0 worker: 0+2 ends", "100.0 given up"]),
    ] {
        let mut bench = Bench::new(ChaosPlan { lost: 1.0, lost_after, ..calm() }, Results::Replied, 1);
        let (sent, clock, notes) = (Box::pin(bench.sent(1, 0, 2)), bench.clock.clone(), bench.book.clone());
        let end = bench.executor.block_on(async move {
            match select(sent, clock.sleep(s(100))).await {
                Either::Left(_) => panic!("it is answered"),
                Either::Right(_) => notes.note("given up"),
            }
        });
        end.unwrap();
        assert_eq!(bench.book.lines(), book);
        let tally = bench.chaos.tally();
        assert_eq!((tally.lost, tally.lost_after), if book.len() == 1 { (1, 0) } else { (0, 1) });
    }
}

#[test]
fn shutting_down_ends_what_would_never_end() {
    let mut bench = bench(ChaosPlan { lost: 1.0, lost_after: 0.5, ..calm() });
    let sent: Vec<_> = (0..20).map(|id| bench.sent(id, 0, 1)).collect();
    let (chaos, clock) = (bench.chaos.clone(), bench.clock.clone());
    let shut = async move {
        clock.sleep(s(50)).await;
        chaos.shutdown().await;
    };
    bench
        .executor
        .block_on(async move {
            futures_util::future::join(join_all(sent), shut).await;
        })
        .unwrap();
    let lines = bench.book.lines();
    assert_eq!(lines.iter().filter(|line| line.ends_with("failed: Cancelled")).count(), 20, "{lines:?}");
    // What comes after the end is not begun.
    let late = bench.sent(99, 0, 1);
    bench.executor.block_on(late).unwrap();
    assert_eq!(bench.book.lines().last().unwrap(), "50.0 client: 99 failed: Cancelled");
}

#[test]
fn a_crash_before_the_work_does_nothing() {
    let cold_start = Delay::Uniform(s(1), s(1));
    let mut bench = bench(ChaosPlan { crashed: 1.0, cold_start, ..calm() });
    assert_eq!(bench.one(3), ["1.0 client: 1 failed: WorkerCrashed"]);
}

#[test]
fn a_crash_after_the_work_loses_the_answer_and_some_of_the_results() {
    let mut came = Vec::new();
    for seed in 0..40 {
        let mut bench = Bench::new(ChaosPlan { crashed_after: 1.0, ..calm() }, Results::Streamed, seed);
        let lines = bench.one(8);
        assert!(lines.contains(&"8.0 worker: 0+8 ends".to_owned()), "{lines:?}");
        assert_eq!(lines.last().unwrap(), "8.0 client: 1 failed: WorkerCrashed");
        came.push(lines.iter().filter(|line| line.contains("results")).count());
    }
    assert!(came.contains(&0) && came.contains(&2) && came.iter().all(|count| *count < 4), "{came:?}");
}

#[test]
fn a_part_is_handed_back() {
    let mut begun = Vec::new();
    for seed in 0..40 {
        let mut bench = Bench::new(ChaosPlan { handed_back: 1.0, ..calm() }, Results::Replied, seed);
        let lines = bench.one(5);
        let last = lines.last().unwrap();
        let count: u32 = last.split("replied, ").nth(1).unwrap()[..1].parse().unwrap();
        assert!(last.ends_with("stopped"), "{lines:?}");
        assert_eq!(lines.iter().any(|line| line.contains(&format!("worker: 0+{count} ends"))), count > 0);
        begun.push(count);
    }
    assert!((0..5).all(|count| begun.contains(&count)) && !begun.contains(&5), "{begun:?}");
    // Of one element nothing is left to run.
    let mut bench = bench(ChaosPlan { handed_back: 1.0, ..calm() });
    assert_eq!(bench.one(1), ["0.0 client: 1 replied, 0 results, stopped"]);
}

#[test]
fn environments_start_cold_and_stay_warm() {
    let plan = ChaosPlan { cold_start: Delay::Uniform(s(10), s(10)), keep_warm: s(60), ..calm() };
    let mut bench = Bench::new(plan, Results::Replied, 1);
    let (one, two, clock) = (bench.sent(1, 0, 1), bench.sent(2, 1, 1), bench.clock.clone());
    let three = bench.sent(3, 2, 1);
    bench
        .executor
        .block_on(async move {
            one.await;
            two.await;
            clock.sleep(s(61)).await;
            three.await;
        })
        .unwrap();
    let replies: Vec<_> = bench.book.lines().into_iter().filter(|line| line.contains("replied")).collect();
    assert_eq!(
        replies,
        [
            "11.0 client: 1 replied, 1 results",
            "12.0 client: 2 replied, 1 results",
            "84.0 client: 3 replied, 1 results"
        ]
    );
    assert_eq!(bench.chaos.tally().cold_starts, 2);
}

#[test]
fn usage_tells_of_cold_starts() {
    let plan = ChaosPlan { cold_start: Delay::Uniform(s(10), s(10)), ..calm() };
    let mut bench = bench(plan);
    let (chaos, events) = (bench.chaos.clone(), bench.events.clone());
    let usages = bench.executor.block_on(async move {
        let mut usages = Vec::new();
        for id in 0..2 {
            let usage = chaos.invoke(invocation(id, 0, 1), &events).await.unwrap().usage;
            usages.push((usage.cold, usage.start));
        }
        usages
    });
    assert_eq!(usages.unwrap(), [(true, s(10)), (false, s(0))]);
}

#[test]
fn more_than_the_ramp_allows_is_refused() {
    let ramp = Ramp { start: 2, step: 1, every: s(10), most: 3 };
    let plan = ChaosPlan { ramp: Some(ramp), concurrency: Some(50), ..calm() };
    let mut bench = Bench::new(plan, Results::Replied, 1);
    assert_eq!((bench.chaos.limits().concurrency, bench.chaos.limits().pipelining), (50, 0));
    // Each takes 30 s, and one comes every two seconds.
    let (sent, clock): (Vec<_>, _) = ((0..10).map(|id| bench.sent(id, 0, 30)).collect(), bench.clock.clone());
    let spawner = bench.executor.spawner();
    bench
        .executor
        .block_on(async move {
            for one in sent {
                spawner.spawn("sent", one);
                clock.sleep(s(2)).await;
            }
        })
        .unwrap();
    let taken: Vec<_> = bench.book.lines().into_iter().filter(|line| line.contains("begins")).collect();
    assert_eq!(taken, ["0.0 worker: 0+30 begins", "2.0 worker: 0+30 begins", "10.0 worker: 0+30 begins"]);
    assert_eq!(bench.chaos.tally().refused, 7);
}

#[test]
fn a_crashed_environment_has_to_be_started_anew() {
    let plan = ChaosPlan { cold_start: Delay::Uniform(s(1), s(1)), crashed: 1.0, ..calm() };
    let mut bench = bench(plan);
    for id in 0..3 {
        let sent = bench.sent(id, 0, 1);
        bench.executor.block_on(sent).unwrap();
    }
    assert_eq!(bench.chaos.tally().cold_starts, 3);
}

#[test]
fn detached_invocations_have_faults_too() {
    let detach = |plan: ChaosPlan| {
        let mut bench = bench(plan);
        let chaos = bench.chaos.clone();
        let answer = bench.executor.block_on(async move { chaos.invoke_detached(invocation(1, 0, 2)).await });
        (answer.unwrap().map_err(|error| error.class()), bench.book.lines().len())
    };
    assert_eq!(detach(calm()), (Ok(()), 1));
    assert_eq!(detach(ChaosPlan { lost: 1.0, lost_after: 0.0, ..calm() }), (Ok(()), 0));
    assert_eq!(detach(ChaosPlan { duplicated: 1.0, ..calm() }), (Ok(()), 2));
    assert_eq!(detach(ChaosPlan { transient: 1.0, ..calm() }), (Err(ErrorClass::Transient), 0));
    assert_eq!(detach(ChaosPlan { crashed_after: 1.0, ..calm() }), (Err(ErrorClass::Transient), 1));
    assert_eq!(
        detach(ChaosPlan { throttled: 1.0, ..calm() }),
        (Err(ErrorClass::Throttled { retry_after: None }), 0)
    );
}

#[test]
fn the_wrapped_invoker_gets_no_more_at_once_than_it_takes() {
    let plan = ChaosPlan { concurrency: Some(100), duplicated: 0.5, ..calm() };
    let mut bench = Bench::new(plan, Results::Replied, 1);
    let sent: Vec<_> = (0..100).map(|id| bench.sent(id, id, 1)).collect();
    bench.executor.block_on(join_all(sent)).unwrap();
    let (mut now, mut most) = (0, 0);
    let lines = bench.book.lines();
    for line in &lines {
        now += i32::from(line.ends_with("begins"));
        now -= i32::from(line.ends_with("ends"));
        most = most.max(now);
    }
    assert_eq!((now, most), (0, 4), "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.contains("replied, 1")).count(), 100);
}
