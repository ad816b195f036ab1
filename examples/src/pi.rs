//! Monte Carlo: the share of random points of a square that lie in the circle within it.

use serde::{Deserialize, Serialize};

/// One task: so many points, drawn from this seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Seed of the batch's own generator, so that a retry draws the same points.
    pub seed: u64,
    /// How many points to draw.
    pub points: u64,
}

/// What was counted, in one batch or in several together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Points in the circle.
    pub inside: u64,
    /// Points drawn.
    pub points: u64,
}

impl Count {
    /// The estimate, or NaN if no point was drawn.
    pub fn pi(self) -> f64 {
        4.0 * self.inside as f64 / self.points as f64
    }

    /// The standard error of the estimate, or NaN if no point was drawn.
    pub fn standard_error(self) -> f64 {
        let share = self.inside as f64 / self.points as f64;
        4.0 * (share * (1.0 - share) / self.points as f64).sqrt()
    }
}

/// Cuts so many points into batches, the last one smaller if need be. No batch is empty.
pub fn batches(points: u64, per_batch: u64, seed: u64) -> Vec<Batch> {
    let per_batch = per_batch.max(1);
    (0..points.div_ceil(per_batch))
        .map(|i| Batch { seed: seed.wrapping_add(i), points: per_batch.min(points - i * per_batch) })
        .collect()
}

/// Draws the points of one batch.
pub fn sample(batch: Batch) -> Count {
    let mut random = fastrand::Rng::with_seed(batch.seed);
    let inside = (0..batch.points)
        .filter(|_| {
            let (x, y) = (random.f64(), random.f64());
            x * x + y * y <= 1.0
        })
        .count();
    Count { inside: inside as u64, points: batch.points }
}

/// The reducer: all counts as one.
#[expect(clippy::needless_pass_by_value, reason = "a reducer owns what it is given")]
pub fn add(counts: Vec<Count>) -> Count {
    counts.iter().fold(Count::default(), |sum, count| Count {
        inside: sum.inside + count.inside,
        points: sum.points + count.points,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_hold_all_points() {
        let batches = batches(1_050, 100, 7);
        assert_eq!(batches.len(), 11);
        assert_eq!(batches.iter().map(|b| b.points).sum::<u64>(), 1_050);
        assert_eq!(batches[10], Batch { seed: 17, points: 50 });
        assert!(super::batches(0, 100, 7).is_empty());
        assert_eq!(super::batches(3, 0, 7).len(), 3);
    }

    #[test]
    fn a_batch_drawn_twice_is_the_same_and_the_sum_is_near_pi() {
        let batches = batches(400_000, 50_000, 1);
        let counts: Vec<Count> = batches.iter().copied().map(sample).collect();
        assert_eq!(sample(batches[3]), counts[3]);
        let all = add(counts);
        assert_eq!(all.points, 400_000);
        assert!((all.pi() - std::f64::consts::PI).abs() < 5.0 * all.standard_error(), "{}", all.pi());
        assert!(all.standard_error() < 0.003);
    }
}
