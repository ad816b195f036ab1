//! Benchmarks of one way against another: the same work, by turns, on one thread, so that a change of the machine's load
//! meets both.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use rustix::time::{ClockId, clock_gettime};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The library by itself.
    Bare,
    /// What is built on it.
    Ours,
}

/// What is done with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// It is written.
    Put,
    /// It is read.
    Get,
}

/// What is written and read: so many objects of such a size, so many at once.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// For people.
    pub name: &'static str,
    /// Bytes of one object.
    pub size: usize,
    /// How many there are.
    pub objects: usize,
    /// How many are under way at once.
    pub at_once: usize,
}

/// Many small ones, and a few large ones.
pub const CASES: [Case; 2] = [
    Case { name: "4 KB, 64 at once", size: 4 << 10, objects: 2_000, at_once: 64 },
    Case { name: "64 MB", size: 64 << 20, objects: 2, at_once: 1 },
];

/// Wall time, and processor time of this thread, which is the client's only one.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    wall: Duration,
    cpu: Duration,
}

async fn round<F: Future<Output = ()>>(
    one: &impl Fn(Side, Work, String, Bytes) -> F,
    side: Side,
    work: Work,
    case: &Case,
    data: &Bytes,
) -> Cost {
    let (wall, cpu) = (Instant::now(), cpu());
    stream::iter(0..case.objects)
        .for_each_concurrent(case.at_once, |i| one(side, work, format!("o/{i}"), data.clone()))
        .await;
    Cost { wall: wall.elapsed(), cpu: self::cpu().saturating_sub(cpu) }
}

fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Prints, of every pair of rounds, the ratio of the bare library's time to ours: above 1, ours is faster. `one` writes
/// or reads one object of this name and content.
///
/// # Panics
///
/// When there are no rounds.
pub async fn compare<F: Future<Output = ()>>(
    one: impl Fn(Side, Work, String, Bytes) -> F,
    work: Work,
    case: &Case,
    rounds: usize,
) {
    let data = Bytes::from(fastrand::Rng::with_seed(1).u8(..).to_le_bytes().repeat(case.size));
    let mut pairs = Vec::new();
    for count in 0..=rounds {
        let mut pair = [Cost::default(); 2];
        // The first pair warms up.
        let order = if count % 2 == 0 { [Side::Bare, Side::Ours] } else { [Side::Ours, Side::Bare] };
        for side in order {
            pair[side as usize] = round(&one, side, work, case, &data).await;
        }
        pairs.push(pair);
    }
    let pairs = &pairs[1..];
    let ratio = |of: fn(&Cost) -> Duration| {
        median(pairs.iter().map(|[bare, ours]| of(bare).as_secs_f64() / of(ours).as_secs_f64()).collect())
    };
    let bare = median(pairs.iter().map(|[bare, _]| bare.wall.as_secs_f64()).collect());
    println!(
        "{} {:18} {:>9.0} objects/s bare, {:.2} of it through Storage ({:.2} by processor time), {} pairs",
        if work == Work::Put { "put" } else { "get" },
        case.name,
        case.objects as f64 / bare,
        ratio(|cost| cost.wall),
        ratio(|cost| cost.cpu),
        pairs.len(),
    );
}
