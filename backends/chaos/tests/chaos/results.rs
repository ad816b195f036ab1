//! What happens to results on their way: held back, mixed up, repeated, late, and from second runs.

use std::time::Duration;

use futures_util::future::{Either, join_all, select};
use rustwren_chaos::{ChaosPlan, Delay};
use rustwren_core::clock::Clock;
use rustwren_core::invoker::{Invoker, Limits};

use crate::bench::{Bench, Results};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn later(seconds: u64) -> Delay {
    Delay::Uniform(s(seconds), s(seconds))
}

/// Sends an invocation of four elements and gives it up after so many seconds.
fn give_up(bench: &mut Bench, after: u64) -> Vec<String> {
    let (sent, clock, book) = (Box::pin(bench.sent(1, 0, 4)), bench.clock.clone(), bench.book.clone());
    let end = bench.executor.block_on(async move {
        if let Either::Right(((), sent)) = select(sent, clock.sleep(s(after))).await {
            book.note("given up");
            drop(sent);
        }
    });
    end.unwrap();
    bench.book.lines()
}

#[test]
fn a_second_run_reports_after_the_end_of_the_first() {
    let plan = ChaosPlan { duplicated: 1.0, duplicate_delay: later(3), ..ChaosPlan::calm() };
    let mut bench = Bench::new(plan.clone(), Results::Replied, 1);
    let lines = bench.one(2);
    assert_eq!(
        lines,
        [
            "0.0 worker: 0+2 begins",
            "0.0 client: 1 started",
            "2.0 worker: 0+2 ends",
            "2.0 client: 1 replied, 2 results",
            "3.0 worker: copy 0+2 begins",
            "5.0 worker: copy 0+2 ends",
            "5.0 client: 1 results 0+1",
            "5.0 client: 1 results 1+1",
        ]
    );
    // As it goes, where results are streamed.
    let lines = Bench::new(plan.clone(), Results::Streamed, 1).one(2);
    assert!(lines.contains(&"4.0 client: 1 results 0+1".to_owned()), "{lines:?}");
    // What lies in storage nobody looks for.
    let lines = Bench::new(plan, Results::Stored, 1).one(2);
    assert!(!lines.iter().any(|line| line.contains("client: 1 results")), "{lines:?}");
}

#[test]
fn a_second_run_is_given_up_with_the_first() {
    let plan = ChaosPlan { duplicated: 1.0, duplicate_delay: later(1), ..ChaosPlan::calm() };
    let lines = give_up(&mut Bench::new(plan, Results::Replied, 1), 3);
    assert_eq!(lines[lines.len() - 3], "3.0 given up");
    assert!(lines[lines.len() - 2..].contains(&"3.0 worker: copy 0+4 stopped".to_owned()), "{lines:?}");
    assert!(lines[lines.len() - 2..].contains(&"3.0 worker: 0+4 stopped".to_owned()), "{lines:?}");
}

#[test]
fn a_worker_that_is_told_to_stop_may_go_on_for_a_while() {
    for (linger, last) in [(1, "3.0 worker: 0+4 stopped"), (10, "4.0 client: 1 results 3+1")] {
        let plan = ChaosPlan { ghosts: 1.0, linger: s(linger), ..ChaosPlan::calm() };
        let mut bench = Bench::new(plan, Results::Replied, 1);
        let lines = give_up(&mut bench, 2);
        assert!(lines.contains(&"2.0 given up".to_owned()));
        assert_eq!(lines.last().unwrap(), last);
        assert_eq!(bench.chaos.tally().ghosts, 1);
    }
}

#[test]
fn a_straggler_holds_everything_back() {
    let plan = ChaosPlan {
        stragglers: 1.0,
        straggler_factor: 5.0,
        straggler_delay: (s(1), s(1000)),
        ..ChaosPlan::calm()
    };
    for results in [Results::Streamed, Results::Replied] {
        for seed in 0..20 {
            let lines = Bench::new(plan.clone(), results, seed).one(2);
            let told = lines.iter().filter(|line| line.contains("results")).collect::<Vec<_>>();
            for line in told {
                let at: f64 = line.split(' ').next().unwrap().parse().unwrap();
                assert!(at >= 10.0, "{lines:?}");
            }
        }
    }
    let most = ChaosPlan { straggler_delay: (s(30), s(30)), ..plan };
    assert_eq!(
        Bench::new(most, Results::Replied, 1).one(2).last().unwrap(),
        "32.0 client: 1 replied, 2 results"
    );
}

#[test]
fn a_straggler_that_is_given_up_may_answer_late() {
    let straggler_delay = (s(30), s(30));
    let plan =
        ChaosPlan { stragglers: 1.0, straggler_delay, ghosts: 1.0, linger: s(60), ..ChaosPlan::calm() };
    let lines = give_up(&mut Bench::new(plan, Results::Streamed, 1), 10);
    assert!(lines.contains(&"10.0 given up".to_owned()));
    assert_eq!(lines.last().unwrap(), "34.0 client: 1 results 3+1");
}

#[test]
fn a_straggler_shows_signs_of_life_where_they_are_promised() {
    let straggler_delay = (s(30), s(30));
    let plan = ChaosPlan { stragglers: 1.0, straggler_delay, ..ChaosPlan::calm() };
    let mut limits = Limits::unlimited(4);
    limits.heartbeat = Some(s(12));
    let mut bench = Bench::with_limits(plan, Results::Replied, 1, limits);
    let lines = bench.one(2);
    assert_eq!(
        lines[3..],
        ["14.0 client: 1 alive", "26.0 client: 1 alive", "32.0 client: 1 replied, 2 results"],
        "{lines:?}"
    );
    assert!(bench.chaos.limits().stragglers);
}

#[test]
fn who_waits_for_the_wrapped_invoker_seems_to_have_begun() {
    let plan = ChaosPlan { concurrency: Some(3), ..ChaosPlan::calm() };
    let mut limits = Limits::unlimited(1);
    (limits.pipelining, limits.heartbeat) = (9, Some(s(2)));
    let mut bench = Bench::with_limits(plan, Results::Replied, 1, limits);
    let sent = [bench.sent(1, 0, 3), bench.sent(2, 3, 3)];
    bench.executor.block_on(join_all(sent)).unwrap();
    let lines = bench.book.lines();
    let waited = if lines[0].contains("worker: 0+3") { 2 } else { 1 };
    assert!(lines.contains(&format!("0.0 client: {waited} started")), "{lines:?}");
    assert!(lines.contains(&format!("2.0 client: {waited} alive")), "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.ends_with("started")).count(), 2, "{lines:?}");
    assert!(lines.contains(&format!("6.0 client: {waited} replied, 3 results")), "{lines:?}");
}

#[test]
fn results_come_in_another_order_and_all_before_the_end() {
    let mut orders = std::collections::HashSet::new();
    for seed in 0..20 {
        let plan = ChaosPlan { reordered: 0.5, ..ChaosPlan::calm() };
        let mut bench = Bench::new(plan, Results::Streamed, seed);
        let lines = bench.one(6);
        assert_eq!(lines.last().unwrap(), "6.0 client: 1 replied, 0 results");
        let order: Vec<char> = lines
            .iter()
            .filter(|line| line.contains("results "))
            .filter_map(|line| line.chars().rev().nth(2))
            .collect();
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, ['0', '1', '2', '3', '4', '5']);
        assert!(order == sorted || bench.chaos.tally().reordered > 0);
        orders.insert(order);
    }
    assert!(orders.len() > 5, "{orders:?}");
}

#[test]
fn results_are_repeated_later() {
    let plan = ChaosPlan { repeated: 1.0, linger: s(10), ..ChaosPlan::calm() };
    let mut bench = Bench::new(plan, Results::Streamed, 1);
    let lines = bench.one(3);
    for offset in 0..3 {
        let told: Vec<f64> = lines
            .iter()
            .filter(|line| line.ends_with(&format!("results {offset}+1")))
            .map(|line| line.split(' ').next().unwrap().parse().unwrap())
            .collect();
        let [first, again] = told[..] else { panic!("{lines:?}") };
        assert!(again > first && again <= first + 10.0, "{lines:?}");
        assert_eq!(first as u32, offset + 1);
    }
}
