//! How many invocations the provider takes at once, as learnt from its answers: additive increase,
//! multiplicative decrease, as in TCP.

use std::time::Duration;

/// What is left of the window after a throttle.
const DECREASE: f64 = 0.7;
/// The first pause when a provider throttles without saying for how long.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// The window of invocations under way.
///
/// Below `steady` it doubles with each round of successes (as TCP's slow start), above it grows by one per round.
#[derive(Debug)]
pub struct Pace {
    window: f64,
    steady: f64,
    most: f64,
    /// Nothing is dispatched before this time.
    not_before: Duration,
    /// Throttles of invocations dispatched before this time say nothing new.
    last_cut: Option<Duration>,
    /// Throttles in a row without a success.
    streak: u32,
}

impl Pace {
    /// Starts with all that the provider says it takes.
    pub fn new(concurrency: usize) -> Self {
        let most = concurrency.max(1) as f64;
        Self { window: most, steady: most, most, not_before: Duration::ZERO, last_cut: None, streak: 0 }
    }

    /// How many invocations may run at once.
    pub fn window(&self) -> usize {
        self.window as usize
    }

    /// Whether the provider has shown that it takes less than it says.
    pub fn is_reduced(&self) -> bool {
        self.window < self.most
    }

    /// When the next invocation may be dispatched.
    pub fn not_before(&self) -> Duration {
        self.not_before
    }

    /// An invocation ran.
    pub fn success(&mut self) {
        self.streak = 0;
        if self.window < self.most {
            let step = if self.window < self.steady { 1.0 } else { 1.0 / self.window };
            self.window = (self.window + step).min(self.most);
        }
    }

    /// The provider refused an invocation that was dispatched at `dispatched` while `in_flight` were under way.
    pub fn throttled(
        &mut self,
        now: Duration,
        dispatched: Duration,
        in_flight: usize,
        retry_after: Option<Duration>,
    ) {
        if self.last_cut.is_none_or(|cut| dispatched >= cut) {
            // What was under way and accepted is the better estimate of what the provider takes. But if that was little,
            // at the end of a job, say, it says little about what it will take: so the way back is short.
            self.steady = (self.window * DECREASE).max(1.0);
            self.window = (self.window.min(in_flight.max(1) as f64) * DECREASE).max(1.0);
            self.last_cut = Some(now);
            self.streak += 1;
        }
        let pause = PAUSE.saturating_mul(1 << self.streak.saturating_sub(1).min(10)).min(PAUSE_MAX);
        // A provider that refuses again after the time it gave does not know better. One that says "at once" means
        // nothing by it.
        let pause = match retry_after {
            Some(asked) if self.streak > 1 => asked.max(pause),
            Some(asked) if !asked.is_zero() => asked,
            _ => pause,
        };
        self.not_before = self.not_before.max(now.saturating_add(pause));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_burst_of_throttles_cuts_once() {
        let mut pace = Pace::new(1000);
        for _ in 0..500 {
            pace.throttled(s(10), s(9), 1000, None);
        }
        assert_eq!(pace.window(), 700);
        pace.throttled(s(11), s(10), 700, None);
        assert_eq!(pace.window(), 489);
    }

    #[test]
    fn the_provider_s_pause_is_obeyed() {
        let mut pace = Pace::new(10);
        pace.throttled(s(1), s(0), 10, Some(s(30)));
        assert_eq!(pace.not_before(), s(31));
        pace.throttled(s(2), s(0), 10, Some(s(1)));
        assert_eq!(pace.not_before(), s(31));
    }

    #[test]
    fn retry_at_once_is_not_taken_at_its_word() {
        let mut pace = Pace::new(10);
        pace.throttled(s(1), s(0), 10, Some(Duration::ZERO));
        assert_eq!(pace.not_before(), s(1) + PAUSE);
    }

    #[test]
    fn a_provider_that_goes_on_refusing_is_asked_less_and_less() {
        let mut pace = Pace::new(10);
        let ms = Duration::from_millis(1);
        let mut asked = 0;
        let mut now = Duration::ZERO;
        while now < s(3600) {
            pace.throttled(now + ms, now, 1, Some(ms));
            now = pace.not_before();
            asked += 1;
        }
        assert!((360..400).contains(&asked), "{asked}");
    }

    #[test]
    fn a_refusal_at_the_end_of_a_job_is_soon_forgotten() {
        let mut pace = Pace::new(1000);
        pace.throttled(s(1), s(0), 1, None);
        assert_eq!(pace.window(), 1);
        (0..700).for_each(|_| pace.success());
        assert_eq!(pace.window(), 700);
    }

    #[test]
    fn successes_open_the_window_again() {
        let mut pace = Pace::new(10);
        pace.throttled(s(1), s(0), 2, None);
        assert_eq!(pace.window(), 1);
        (0..200).for_each(|_| pace.success());
        assert_eq!(pace.window(), 10);
    }
}
