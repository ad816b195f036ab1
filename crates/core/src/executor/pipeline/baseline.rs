//! What parallel steps take one item after the other: measured in this process, on items chosen by chance.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::entry::Entry;
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageId;
use crate::protocol::records::split_input;
use crate::scheduler::input::{Block, InputSource};
use crate::task::resolve;
use crate::task::step::{Chain, Leg};

/// Lists that a sample is cut into where a step takes lists: enough to tell how much their times differ.
const LISTS: usize = 10;

/// Some of the items that go by, each as likely as any other (reservoir sampling, Vitter's algorithm R).
#[derive(Debug, Clone)]
pub(super) struct Reservoir {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    size: usize,
    seen: u64,
    kept: Vec<Vec<u8>>,
    rng: fastrand::Rng,
}

impl Reservoir {
    pub(super) fn new(size: u32) -> Self {
        let (kept, rng) = (Vec::new(), fastrand::Rng::with_seed(0x5eed));
        Self { inner: Arc::new(Mutex::new(Inner { size: size as usize, seen: 0, kept, rng })) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many items went by.
    pub(super) fn seen(&self) -> u64 {
        self.lock().seen
    }

    fn see(&self, block: &Block) {
        let mut inner = self.lock();
        if inner.size == 0 {
            inner.seen += u64::from(block.count);
            return;
        }
        let mut rest = &block.bytes[..];
        // Bytes that are no records are found out by whoever runs them.
        while let Ok((body, len)) = split_input(rest) {
            rest = &rest[len..];
            inner.seen += 1;
            let seen = inner.seen;
            if inner.kept.len() < inner.size {
                inner.kept.push(body.to_vec());
            } else if let Some(place) =
                usize::try_from(inner.rng.u64(..seen)).ok().filter(|k| *k < inner.size)
            {
                inner.kept[place] = body.to_vec();
            }
        }
    }
}

/// A source whose items are counted and sampled on their way.
pub(super) struct Sampled {
    pub(super) source: Box<dyn InputSource>,
    pub(super) reservoir: Reservoir,
}

impl InputSource for Sampled {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Block, Error>>> {
        let polled = self.source.poll_next(cx);
        if let Poll::Ready(Some(Ok(block))) = &polled {
            self.reservoir.see(block);
        }
        polled
    }

    fn remaining(&self) -> Option<u64> {
        self.source.remaining()
    }
}

/// Times of one item or list after the other.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Measured {
    /// What all items would take, in seconds.
    pub(super) total: f64,
    /// The variance of that.
    pub(super) variance: f64,
    /// How many items ran.
    pub(super) samples: u64,
    /// Whether that was all there are.
    pub(super) whole: bool,
    /// Degrees of freedom of the variance.
    pub(super) freedom: usize,
}

/// Runs the sample through steps that may be async, each as a worker's process would, one after the other.
pub(super) async fn measure(reservoir: &Reservoir, groups: Vec<Vec<Leg>>, own: ImageId) -> Result<Measured> {
    let (kept, seen) = {
        let mut inner = reservoir.lock();
        (std::mem::take(&mut inner.kept), inner.seen)
    };
    if kept.is_empty() {
        return Ok(Measured { whole: true, ..Measured::default() });
    }
    let find = move |entry: &Entry| resolve(entry, own);
    let chains: Result<Vec<Chain>, String> =
        groups.into_iter().map(|legs| Chain::resolve(legs, find)).collect();
    let chains =
        chains.map_err(|why| Error::new(ErrorKind::Internal, format!("a step is not here: {why}")))?;
    let (send, receive) = oneshot::channel();
    let work = move || drop(send.send(times(&chains, &kept)));
    std::thread::Builder::new().name("rustwren-baseline".to_owned()).spawn(work).map_err(|error| {
        Error::new(ErrorKind::Unavailable, "no thread could be started for the serial baseline")
            .with_source(error)
    })?;
    let times = receive
        .await
        .map_err(|_| Error::new(ErrorKind::Internal, "the serial baseline did not come to its end"))??;
    Ok(estimate(&times, seen))
}

/// How many items ran together, and how long they took. What fails takes its time as well.
fn times(chains: &[Chain], kept: &[Vec<u8>]) -> Result<Vec<(usize, f64)>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Error::new(ErrorKind::Unavailable, "no async runtime could be made for the serial baseline")
            .with_source(error)
    })?;
    let size = if chains.iter().any(Chain::takes_lists) { kept.len().div_ceil(LISTS) } else { 1 };
    let mut out = Vec::new();
    for list in kept.chunks(size) {
        let begun = Instant::now();
        let mut bodies: Vec<Vec<u8>> = list.to_vec();
        for chain in chains {
            let mut given = Vec::new();
            let refs: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
            let courses = if chain.takes_lists() {
                vec![chain.apply(&refs)]
            } else {
                refs.iter().map(|item| runtime.block_on(chain.apply_async(item))).collect()
            };
            for course in courses.into_iter().flatten() {
                let mut rest = &course.items.records[..];
                while let Ok((body, len)) = split_input(rest) {
                    given.push(body.to_vec());
                    rest = &rest[len..];
                }
            }
            bodies = given;
        }
        out.push((list.len(), begun.elapsed().as_secs_f64()));
    }
    Ok(out)
}

/// From the times of some to the time of all.
fn estimate(times: &[(usize, f64)], all: u64) -> Measured {
    let samples: usize = times.iter().map(|(items, _)| items).sum();
    let sum: f64 = times.iter().map(|(_, time)| time).sum();
    let whole = samples as u64 >= all;
    if whole || samples == 0 {
        return Measured { total: sum, variance: 0.0, samples: samples as u64, whole, freedom: 0 };
    }
    let mean = sum / samples as f64;
    let n = times.len() as f64;
    let spread: f64 = times
        .iter()
        .map(|(items, time)| {
            let deviation = time / *items as f64 - mean;
            deviation * deviation
        })
        .sum();
    let of_mean = if times.len() > 1 { spread / (n - 1.0) / n } else { f64::INFINITY };
    let all = all as f64;
    Measured {
        total: mean * all,
        variance: of_mean * all * all,
        samples: samples as u64,
        whole,
        freedom: times.len().saturating_sub(1),
    }
}

/// Half the width of the 95 % confidence interval (Student's t).
pub(super) fn margin(measured: &Measured) -> Duration {
    // Quantile 0.975 of Student's t for 1 to 30 degrees of freedom; beyond, the normal distribution's is near enough.
    const T: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145,
        2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048,
        2.045, 2.042,
    ];
    let t = T.get(measured.freedom.saturating_sub(1)).copied().unwrap_or(1.96);
    Duration::try_from_secs_f64(t * measured.variance.sqrt()).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn equal_times_leave_no_doubt() {
        let measured = estimate(&[(1, 0.5); 10], 1000);
        assert!((measured.total - 500.0).abs() < 1e-9);
        assert!(margin(&measured) < Duration::from_nanos(1));
    }

    #[test]
    fn the_interval_is_as_in_the_textbook() {
        // Mean 10, standard deviation 2 (n - 1), n = 5: 2.776 * 2 / sqrt(5) = 2.4829 for one item.
        let times: Vec<(usize, f64)> = [8.0, 12.0, 8.0, 12.0, 10.0].iter().map(|time| (1, *time)).collect();
        let measured = estimate(&times, 100);
        assert!((margin(&measured).as_secs_f64() - 248.29).abs() < 0.05, "{measured:?}");
    }

    #[test]
    fn a_sample_of_everything_is_no_estimate() {
        let measured = estimate(&[(1, 1.0), (1, 3.0)], 2);
        assert!(measured.whole && (measured.total - 4.0).abs() < 1e-9 && margin(&measured).is_zero());
    }

    #[test]
    fn one_sample_says_nothing_of_the_spread() {
        assert_eq!(margin(&estimate(&[(1, 1.0)], 5)), Duration::MAX);
    }

    #[test]
    fn every_item_is_as_likely_as_any_other() {
        let mut hits = [0_u32; 100];
        for seed in 0..2000 {
            let reservoir = Reservoir::new(10);
            reservoir.lock().rng = fastrand::Rng::with_seed(seed);
            let bytes: Vec<u8> = (0..100).flat_map(|item| [1, item]).collect();
            reservoir.see(&Block { count: 100, bytes: Bytes::from(bytes) });
            reservoir.lock().kept.iter().for_each(|item| hits[item[0] as usize] += 1);
        }
        // 200 expected each, standard deviation 13.
        assert!(hits.iter().all(|hits| (130..270).contains(hits)), "{hits:?}");
    }
}
