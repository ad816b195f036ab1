//! How long things take that are drawn.

use std::time::Duration;

/// A distribution of times.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Delay {
    /// No time at all.
    #[default]
    None,
    /// All times from the first to the second are alike.
    Uniform(Duration, Duration),
    /// Pareto: at least `least`, a tail that is heavier the smaller `alpha` is, cut at `most`.
    Pareto {
        /// The shortest.
        least: Duration,
        /// The exponent of the tail; more than 0.
        alpha: f64,
        /// The longest.
        most: Duration,
    },
}

impl Delay {
    /// Whether it is never more than nothing.
    pub fn is_none(&self) -> bool {
        self.most().is_zero()
    }

    /// The longest that it can be.
    pub fn most(&self) -> Duration {
        match *self {
            Self::None => Duration::ZERO,
            Self::Uniform(least, most) => least.max(most),
            Self::Pareto { most, .. } => most,
        }
    }

    /// One time. Always takes the same amount of chance, so that what is drawn after it does not depend on the kind.
    pub fn draw(&self, rng: &mut fastrand::Rng) -> Duration {
        let chance = rng.f64();
        match *self {
            Self::None => Duration::ZERO,
            Self::Uniform(least, most) => least + most.saturating_sub(least).mul_f64(chance),
            Self::Pareto { least, alpha, most } => {
                // Compared as numbers: the tail is longer than any `Duration`.
                let seconds = least.as_secs_f64() * pareto(chance, alpha);
                if seconds < most.as_secs_f64() { Duration::from_secs_f64(seconds) } else { most }
            }
        }
    }
}

/// A Pareto variable of at least 1, from a uniform one below 1.
pub(crate) fn pareto(chance: f64, alpha: f64) -> f64 {
    (1.0 - chance).powf(-1.0 / alpha.max(f64::MIN_POSITIVE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn draws(delay: Delay) -> Vec<Duration> {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut all: Vec<_> = (0..10_000).map(|_| delay.draw(&mut rng)).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn uniform_times_fill_their_range() {
        let all = draws(Delay::Uniform(60 * MS, 300 * MS));
        assert!(all[0] >= 60 * MS && all[0] < 65 * MS, "{:?}", all[0]);
        assert!(all[9_999] <= 300 * MS && all[9_999] > 295 * MS, "{:?}", all[9_999]);
        assert!((170 * MS..190 * MS).contains(&all[5_000]), "{:?}", all[5_000]);
        assert_eq!(draws(Delay::Uniform(2 * MS, MS))[9_999], 2 * MS, "the wrong way round is the first");
    }

    #[test]
    fn pareto_times_have_a_tail_that_is_cut() {
        let all = draws(Delay::Pareto { least: 10 * MS, alpha: 1.0, most: 1_000 * MS });
        assert!(all[0] >= 10 * MS && all[0] < 11 * MS, "{:?}", all[0]);
        // Half are less than twice the shortest; one in ten is more than ten times it.
        assert!((19 * MS..21 * MS).contains(&all[5_000]), "{:?}", all[5_000]);
        assert!((90 * MS..110 * MS).contains(&all[9_000]), "{:?}", all[9_000]);
        assert_eq!(all[9_999], 1_000 * MS);
        let tiny = draws(Delay::Pareto { least: MS, alpha: 0.0, most: Duration::MAX });
        assert_eq!(tiny[9_999], Duration::MAX);
    }

    #[test]
    fn nothing_takes_no_time_and_as_much_chance() {
        for delay in [Delay::None, Delay::Uniform(MS, MS), Delay::Pareto { least: MS, alpha: 1.0, most: MS }]
        {
            let mut rng = fastrand::Rng::with_seed(1);
            let time = delay.draw(&mut rng);
            assert_eq!(time.is_zero(), delay.is_none());
            let mut other = fastrand::Rng::with_seed(1);
            Delay::None.draw(&mut other);
            assert_eq!(rng.u64(..), other.u64(..));
        }
    }
}
