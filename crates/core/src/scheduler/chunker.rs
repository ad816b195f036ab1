//! How many elements the next chunk takes.
//!
//! Guided self-scheduling: a chunk should last long enough to make the cost of an invocation negligible
//! (`WORTH` times that cost), and never so long that the others would wait for it at the end (half of an equal
//! share of what remains). Until a time has been measured, chunks hold one element; after that they grow at
//! most `GROWTH`-fold over the largest chunk that has come back, so that one early fast element does not
//! commit thousands of slow ones to one worker.
//!
//! A worker that runs several elements at once gets enough of them to do so, `ROUNDS` times over: at the end of each
//! chunk it waits for its last ones.

use std::time::Duration;

/// A chunk lasts this many times the overhead of an invocation: 2 % overhead.
const WORTH: u32 = 50;
/// How much larger a chunk may be than the largest that has been measured.
const GROWTH: u32 = 8;
/// Bounds of the aimed-at duration of a chunk.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(20);
/// Weight of the newest measurement.
const WEIGHT: f64 = 0.25;
/// How many times over a chunk fills a worker that runs several elements at once, if that does not take too long.
const ROUNDS: f64 = 16.0;
/// How long a process should be kept busy by invocations that wait behind the one it runs.
const AHEAD: Duration = Duration::from_micros(500);

/// Chooses chunk sizes from measured times.
#[derive(Debug)]
pub struct Chunker {
    fixed: Option<u32>,
    target: Duration,
    /// How long an invocation may last.
    life: Option<Duration>,
    /// Seconds per element.
    mean: Option<f64>,
    /// Elements that a worker runs at once.
    at_once: u32,
    /// Seconds from an element's beginning to its end, among those that run beside it.
    latency: Option<f64>,
    largest: u32,
}

impl Chunker {
    /// A chunker for invocations that cost this much beyond their elements; `fixed` switches adaption off.
    pub fn new(fixed: Option<u32>, overhead: Duration) -> Self {
        let target = (overhead * WORTH).clamp(SHORTEST, LONGEST);
        Self {
            fixed: fixed.map(|n| n.max(1)),
            target,
            life: None,
            mean: None,
            at_once: 1,
            latency: None,
            largest: 0,
        }
    }

    /// For workers that run so many elements at once.
    pub fn at_once(mut self, elements: u32) -> Self {
        self.at_once = elements.max(1);
        self
    }

    /// The same where an invocation may last only so long: half of that is the most that a chunk should take.
    pub fn within(mut self, life: Option<Duration>) -> Self {
        self.life = life;
        self.target = life.map_or(self.target, |life| self.target.min(life / 2));
        self
    }

    /// How many elements are to go together that have come back undone, whatever was asked for: what one invocation
    /// can be expected to get done.
    pub fn most(&self) -> u32 {
        let Some((life, mean)) = self.life.zip(self.mean) else { return u32::MAX };
        (life.as_secs_f64() / 2.0 / mean.max(1e-9)).clamp(1.0, f64::from(u32::MAX)) as u32
    }

    /// Learns that a chunk of this many elements took this long to compute.
    pub fn observe(&mut self, elements: u32, compute: Duration) {
        if elements == 0 {
            return;
        }
        let mean = compute.as_secs_f64() / f64::from(elements);
        let latency = mean * f64::from(elements.min(self.at_once));
        self.latency = Some(self.latency.map_or(latency, |old| old + (latency - old) * (WEIGHT * 2.0)));
        self.largest = self.largest.max(elements);
        self.mean = Some(match self.mean {
            // Times are believed at once when they grow, slowly when they shrink.
            Some(old) if mean < old && elements == 1 => old + (mean - old) * WEIGHT,
            Some(old) => old + (mean - old) * (WEIGHT * 2.0),
            None => mean,
        });
    }

    /// Elements for the next chunk. `remaining`: how many are left to hand out, if known. `slots`: how many
    /// workers share them.
    pub fn next(&self, remaining: Option<u64>, slots: usize) -> u32 {
        if let Some(fixed) = self.fixed {
            return fixed;
        }
        // Enough for all that run at once, but no more than an equal share.
        let share = remaining.map_or(f64::INFINITY, |all| (all as f64 / slots.max(1) as f64).ceil());
        let longest = self.life.map_or(LONGEST, |life| LONGEST.min(life / 2));
        let rounds =
            self.latency.map_or(1.0, |each| longest.as_secs_f64() / each.max(1e-9)).clamp(1.0, ROUNDS);
        let fill = if self.at_once > 1 { (f64::from(self.at_once) * rounds).min(share) } else { 1.0 };
        let Some(mean) = self.mean else { return fill.max(1.0) as u32 };
        let worth = self.target.as_secs_f64() / mean.max(1e-9);
        let grown = f64::from(self.largest.max(1)) * f64::from(GROWTH);
        let mut size = worth.min(grown);
        if let Some(remaining) = remaining {
            size = size.min((remaining as f64 / (2.0 * slots.max(1) as f64)).ceil());
        }
        size.max(fill).clamp(1.0, f64::from(1 << 22)) as u32
    }

    /// How many invocations may wait behind each running one, at most `most`: as many as keep a process busy
    /// for `AHEAD`, and one in any case, so that it never waits for the client.
    pub fn depth(&self, most: usize) -> usize {
        let Some(mean) = self.mean else { return most.min(1) };
        let size = self.fixed.unwrap_or_else(|| self.next(None, 1));
        let each = mean * f64::from(size.min(self.largest.max(1)));
        most.min(1 + (AHEAD.as_secs_f64() / each.max(1e-9)).min(1e6) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OVERHEAD: Duration = Duration::from_micros(20);

    #[test]
    fn the_first_chunks_hold_one_element() {
        assert_eq!(Chunker::new(None, OVERHEAD).next(Some(1_000_000), 2), 1);
    }

    #[test]
    fn slow_elements_travel_alone() {
        let mut chunker = Chunker::new(None, OVERHEAD);
        chunker.observe(1, Duration::from_millis(10));
        assert_eq!(chunker.next(Some(1_000_000), 2), 1);
        assert_eq!(chunker.depth(128), 1);
    }

    #[test]
    fn fast_elements_are_bundled_step_by_step() {
        let mut chunker = Chunker::new(None, OVERHEAD);
        let mut sizes = Vec::new();
        for _ in 0..8 {
            let size = chunker.next(None, 2);
            sizes.push(size);
            chunker.observe(size, Duration::from_nanos(10) * size);
        }
        assert!(sizes.windows(2).all(|w| w[1] <= w[0] * GROWTH && w[1] >= w[0]), "{sizes:?}");
        assert_eq!(*sizes.last().unwrap(), 100_000);
    }

    #[test]
    fn the_end_is_shared_out() {
        let mut chunker = Chunker::new(None, OVERHEAD);
        chunker.observe(100_000, Duration::from_millis(1));
        assert_eq!(chunker.next(Some(1000), 4), 125);
        assert_eq!(chunker.next(Some(1), 4), 1);
    }

    #[test]
    fn workers_that_run_many_at_once_get_enough() {
        let mut chunker = Chunker::new(None, OVERHEAD).at_once(100);
        assert_eq!(chunker.next(Some(1_000_000), 2), 100);
        // Fewer where there are too few for all workers.
        assert_eq!(chunker.next(Some(90), 2), 45);
        chunker.observe(100, Duration::from_millis(75));
        assert_eq!(chunker.next(Some(1_000_000), 2), 1600);
        // Slow ones are not tied to one worker for long.
        let mut chunker = Chunker::new(None, OVERHEAD).at_once(100);
        chunker.observe(100, Duration::from_mins(1));
        assert_eq!(chunker.next(Some(1_000_000), 2), 100);
    }

    #[test]
    fn a_chunk_takes_half_a_life_at_most() {
        let life = Some(Duration::from_secs(10));
        let second = Duration::from_secs(1);
        // Invocations that cost so much are worth twenty seconds of work.
        let mut chunker = Chunker::new(None, second).within(life);
        assert_eq!(chunker.most(), u32::MAX);
        chunker.observe(1, second);
        assert_eq!((chunker.next(None, 1), chunker.most()), (5, 5));
        chunker.observe(1, second * 100);
        assert_eq!((chunker.next(None, 1), chunker.most()), (1, 1));
        // A given size is tried, and what comes back of it is cut.
        let mut chunker = Chunker::new(Some(1000), second).within(life);
        chunker.observe(9, second * 9);
        assert_eq!((chunker.next(None, 1), chunker.most()), (1000, 5));
        let mut chunker = Chunker::new(Some(1000), second);
        chunker.observe(9, second * 9);
        assert_eq!(chunker.most(), u32::MAX);
    }

    #[test]
    fn a_given_size_is_kept() {
        let mut chunker = Chunker::new(Some(7), OVERHEAD);
        chunker.observe(7, Duration::from_secs(9));
        assert_eq!(chunker.next(Some(10), 4), 7);
    }

    #[test]
    fn tiny_invocations_queue_up_behind_each_other() {
        let mut chunker = Chunker::new(Some(1), OVERHEAD);
        chunker.observe(1, Duration::from_nanos(200));
        assert_eq!(chunker.depth(128), 128);
        assert_eq!(chunker.depth(0), 0);
    }
}
