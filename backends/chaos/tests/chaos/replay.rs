//! The same seed does the same again.

use std::time::Duration;

use rustwren_chaos::{ChaosPlan, Delay, Tally};
use rustwren_core::clock::Clock;

use crate::bench::{Bench, Results};

fn plan() -> ChaosPlan {
    ChaosPlan {
        lost: 0.0,
        latency: Delay::Uniform(Duration::ZERO, Duration::from_secs(2)),
        crashed: 0.1,
        crashed_after: 0.1,
        handed_back: 0.1,
        duplicated: 0.2,
        stragglers: 0.2,
        ..ChaosPlan::flaky()
    }
}

/// Sends invocations, one every half second, and waits for all that comes of them.
fn run(seed: u64) -> (Vec<String>, Tally) {
    let mut bench = Bench::new(plan(), Results::Streamed, seed);
    let (sent, clock): (Vec<_>, _) =
        ((0..100).map(|id| bench.sent(id, id, 1 + id as u32 % 5)).collect(), bench.clock.clone());
    let spawner = bench.executor.spawner();
    let end = bench.executor.block_on(async move {
        for one in sent {
            spawner.spawn("sent", one);
            clock.sleep(Duration::from_millis(500)).await;
        }
    });
    end.unwrap();
    (bench.book.lines(), bench.chaos.tally())
}

#[test]
fn the_same_seed_and_order_of_calls_give_the_same_run() {
    let (lines, tally) = run(7);
    assert_eq!((lines, tally), run(7));
    assert_ne!(tally, run(8).1);
    let Tally { cold_starts, throttled, transient, crashed, crashed_after, handed_back, .. } = tally;
    let Tally { duplicated, stragglers, reordered, repeated, .. } = tally;
    let all = [
        cold_starts,
        throttled,
        transient,
        crashed,
        crashed_after,
        handed_back,
        duplicated,
        stragglers,
        reordered,
        repeated,
    ];
    assert!(all.iter().all(|count| *count > 0), "{tally:?}");
}

#[test]
fn what_befalls_an_invocation_does_not_depend_on_those_beside_it() {
    // One after the other, or all at once: throttles, losses and second runs are those of the n-th call.
    let fates = |together: bool| {
        let plan = ChaosPlan { cold_start: Delay::None, ..plan() };
        let mut bench = Bench::new(plan, Results::Replied, 3);
        for id in 0..60 {
            let sent = bench.sent(id, 0, 1);
            let spawner = bench.executor.spawner();
            if together {
                // Polled once in order, so that they arrive in order.
                let mut sent = Box::pin(sent);
                let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
                if sent.as_mut().poll(&mut cx).is_pending() {
                    spawner.spawn("sent", sent);
                }
            } else {
                bench.executor.block_on(sent).unwrap();
            }
        }
        bench.executor.run().unwrap();
        let tally = bench.chaos.tally();
        let mut ends: Vec<String> = bench
            .book
            .lines()
            .into_iter()
            .filter(|line| line.contains("replied") || line.contains("failed"))
            .map(|line| line.split_once(' ').unwrap().1.to_owned())
            .collect();
        ends.sort();
        (ends, tally.duplicated, tally.stragglers)
    };
    assert_eq!(fates(false), fates(true));
}
