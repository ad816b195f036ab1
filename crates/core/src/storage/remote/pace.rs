//! The pace at which requests go out: as many at once as the service bears.
//!
//! Services scale up what is used, and ask for a slower pace meanwhile. Each such answer halves how many requests may be
//! under way, once for those that were sent before it, and nothing is sent for a moment; each success makes room for a
//! fraction more.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Where the limit has grown past this, there is none: the service has stopped asking.
const LIFTED: f64 = 1_024.0;

/// What is waited after the first request for a slower pace; twice that after each further one in a row.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct State {
    under_way: usize,
    /// How many may be under way; none where the service has not asked for less.
    limit: Option<f64>,
    /// Nothing is sent before.
    until: Option<Instant>,
    /// How often in a row the pace was slowed down.
    slowed: u32,
    /// Grows with each slowing, so that one moment of too much counts once.
    round: u64,
}

/// One for all requests of a storage.
#[derive(Debug)]
pub struct Pace {
    state: Mutex<State>,
    freed: Notify,
}

impl Default for Pace {
    fn default() -> Self {
        let state = State { under_way: 0, limit: None, until: None, slowed: 0, round: 0 };
        Self { state: Mutex::new(state), freed: Notify::new() }
    }
}

/// The right to have one request under way, until it is dropped.
#[derive(Debug)]
pub struct Permit<'a> {
    pace: &'a Pace,
    round: u64,
}

impl Pace {
    /// The numbers. Every change leaves them whole, so a panic elsewhere cannot have left them broken.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until another request may be sent.
    pub async fn enter(&self) -> Permit<'_> {
        loop {
            let freed = self.freed.notified();
            let wait = match self.try_enter(Instant::now()) {
                Ok(permit) => return permit,
                Err(wait) => wait,
            };
            match wait {
                Some(until) => sleep_until(until).await,
                None => freed.await,
            }
        }
    }

    /// A permit, or the moment to wait for; none where it is another request's end.
    fn try_enter(&self, now: Instant) -> Result<Permit<'_>, Option<Instant>> {
        let mut state = self.state();
        if let Some(until) = state.until {
            if now < until {
                return Err(Some(until));
            }
            state.until = None;
        }
        if state.limit.is_some_and(|limit| state.under_way as f64 >= limit) {
            return Err(None);
        }
        state.under_way += 1;
        Ok(Permit { pace: self, round: state.round })
    }
}

impl Permit<'_> {
    /// The request was served.
    pub fn served(&self) {
        let mut state = self.pace.state();
        if self.round == state.round {
            state.slowed = 0;
        }
        if let Some(limit) = &mut state.limit {
            *limit += 1.0 / *limit;
            if *limit > LIFTED {
                state.limit = None;
            }
            drop(state);
            self.pace.freed.notify_one();
        }
    }

    /// The service asks for a slower pace.
    pub fn slow_down(&self, retry_after: Option<Duration>) {
        self.slow_down_at(Instant::now(), retry_after);
    }

    fn slow_down_at(&self, now: Instant, retry_after: Option<Duration>) {
        let mut state = self.pace.state();
        if self.round != state.round {
            return;
        }
        state.round += 1;
        let limit = state.limit.unwrap_or(state.under_way as f64);
        state.limit = Some((limit / 2.0).max(1.0));
        let pause = FIRST_PAUSE.saturating_mul(1 << state.slowed.min(16)).min(LONGEST_PAUSE);
        state.slowed += 1;
        // At least half of it, so that clients who were slowed down together do not come back together.
        let pause = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
        state.until = Some(now + retry_after.map_or(pause, |asked| pause.max(asked)));
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.pace.state().under_way -= 1;
        self.pace.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long enough after any pause of this module's own.
    const LATER: Duration = Duration::from_secs(3);

    #[test]
    fn a_slower_pace_halves_what_is_under_way_once_and_pauses() {
        let (pace, now) = (Pace::default(), Instant::now());
        let permits: Vec<_> = (0..64).map(|_| pace.try_enter(now).unwrap()).collect();
        for permit in &permits {
            permit.slow_down_at(now, None);
        }
        assert_eq!(pace.state().limit, Some(32.0));
        drop(permits);
        let until = pace.try_enter(now).unwrap_err().unwrap();
        assert!((FIRST_PAUSE / 2..=FIRST_PAUSE).contains(&(until - now)));
        let mut permits: Vec<_> = (0..32).map(|_| pace.try_enter(until).unwrap()).collect();
        assert!(pace.try_enter(until).is_err_and(|wait| wait.is_none()), "33 at once");
        permits.pop();
        assert!(pace.try_enter(until).is_ok());
    }

    #[test]
    fn success_makes_room_again_until_there_is_no_limit() {
        let (pace, now) = (Pace::default(), Instant::now());
        pace.try_enter(now).unwrap().slow_down_at(now, Some(Duration::from_secs(3)));
        let until = pace.try_enter(now).unwrap_err().unwrap();
        assert_eq!(until - now, Duration::from_secs(3), "the time that the service asks for is waited");
        pace.try_enter(until).unwrap().served();
        assert_eq!(pace.state().limit, Some(2.0));
        for _ in 0..600_000 {
            pace.try_enter(until).unwrap().served();
        }
        assert_eq!(pace.state().limit, None);
    }

    #[test]
    fn pauses_grow_and_are_bounded() {
        let (pace, mut now) = (Pace::default(), Instant::now());
        for _ in 0..20 {
            pace.try_enter(now).unwrap().slow_down_at(now, None);
            now += LATER;
        }
        now -= LATER;
        let pause = pace.try_enter(now).unwrap_err().unwrap() - now;
        assert!((LONGEST_PAUSE / 2..=LONGEST_PAUSE).contains(&pause));
        assert_eq!(pace.state().limit, Some(1.0));
    }

    #[tokio::test]
    async fn whoever_waits_is_let_in_when_another_leaves() {
        let pace = Pace::default();
        pace.state().limit = Some(1.0);
        let first = pace.enter().await;
        let (_second, ()) = futures_util::future::join(pace.enter(), async { drop(first) }).await;
    }
}
