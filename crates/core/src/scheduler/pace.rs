//! How many invocations the provider takes at once, and how that grows, as learnt from its answers alone.
//!
//! The pace knows a *level*: so many invocations have been seen to run at once. Whatever ends is replaced up to it. From
//! time to time one more is *tried*. When it is not refused within the time in which refusals come, the provider has
//! grown, and twice as many more are tried at once, and again, until something is refused: so a provider that adds a
//! thousand workers every ten seconds is filled within a second of each step, and one that has not grown for
//! minutes is asked every ten seconds. A refusal lowers the level to what is under way without it. Nobody needs to know the limit, nor the
//! ramp, nor who else is using them up; clients that share a limit take from each other what they try and refill.
//!
//! A refusal costs the provider an answer and the job nothing: no attempt, and no pause of what it has running. But when
//! half of a level has been refused, whatever was learnt no longer holds: then nothing at all is sent for a while, and
//! if that was in vain for twice as long. A provider that names a time (retry-after) is not asked for more than it runs
//! before that.

use std::time::Duration;

/// The first pause after a refusal before more is tried. Doubled while tries are in vain.
const PAUSE: Duration = Duration::from_millis(100);
/// From here on pauses grow slowly while something runs: so late is a growth noticed that comes soon after the last.
const PAUSE_LONG: Duration = Duration::from_secs(1);
/// The longest pause.
const PAUSE_MOST: Duration = Duration::from_secs(10);
/// The least time in which a try can turn out well, whatever refusals have taken.
const ROUND_LEAST: Duration = Duration::from_millis(10);
/// What is not refused in so many times as long as refusals take, is taken.
const ROUNDS: u32 = 2;

/// What the provider takes. Times are those of one clock.
#[derive(Debug)]
pub struct Pace {
    most: usize,
    /// So many may run at once, by all that is known.
    level: usize,
    /// The level from which refusals are counted: half of it, and nothing is sent for a while.
    peak: usize,
    phase: Phase,
    /// How long the next pause will be.
    pause: Duration,
    /// How long a refusal takes to come.
    answer: Duration,
    /// When something was last held back entirely.
    held: Option<Duration>,
    /// Whether anything was ever refused.
    refuses: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No more than the level is sent before `until`; nothing, if `entirely`.
    Resting { until: Duration, entirely: bool },
    /// `more` than the level are tried. The first of them went at `since`; `high` were under way at most.
    Trying { more: usize, since: Option<Duration>, high: usize },
}

impl Pace {
    /// Starts with all that the provider says it takes.
    pub fn new(concurrency: usize) -> Self {
        let most = concurrency.max(1);
        Self {
            most,
            level: most,
            peak: most,
            phase: Phase::Resting { until: Duration::ZERO, entirely: false },
            pause: PAUSE,
            answer: Duration::ZERO,
            held: None,
            refuses: false,
        }
    }

    /// How many invocations may be under way at once.
    pub fn window(&self, now: Duration) -> usize {
        match self.phase {
            Phase::Resting { until, entirely: true } if now < until => 0,
            Phase::Resting { .. } => self.level,
            Phase::Trying { more, .. } => self.level.saturating_add(more).min(self.most),
        }
    }

    /// How many are known to run at once.
    pub fn level(&self) -> usize {
        self.level
    }

    /// Whether the provider has refused anything. One that does lets nothing wait.
    pub fn is_refusing(&self) -> bool {
        self.refuses
    }

    /// Whether the provider takes less than it says.
    fn is_reduced(&self) -> bool {
        self.level < self.most
    }

    /// When the window may grow without anything else happening.
    pub fn next_change(&self) -> Option<Duration> {
        if !self.is_reduced() {
            return None;
        }
        match self.phase {
            Phase::Resting { until, .. } => Some(until),
            Phase::Trying { since, .. } => since.map(|since| since.saturating_add(self.round())),
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Duration) {
        if !self.is_reduced() {
            return;
        }
        match self.phase {
            Phase::Resting { until, .. } if until <= now => {
                self.phase = Phase::Trying { more: 1, since: None, high: 0 };
            }
            Phase::Trying { more, since: Some(since), high } if since.saturating_add(self.round()) <= now => {
                self.level = self.level.max(high).min(self.most);
                self.peak = self.level;
                self.pause = PAUSE;
                let more = more.saturating_mul(2).min(self.level.max(1));
                self.phase = Phase::Trying { more, since: None, high: 0 };
            }
            _ => {}
        }
    }

    /// An invocation was sent, so that so many are under way.
    pub fn sent(&mut self, now: Duration, in_flight: usize) {
        if let Phase::Trying { since, high, .. } = &mut self.phase
            && in_flight > self.level
        {
            since.get_or_insert(now);
            *high = in_flight.max(*high);
        }
    }

    /// The provider refused an invocation that was sent at `sent`, and there is room for `running` others: for those
    /// under way, and for what has just ended.
    pub fn refused(&mut self, now: Duration, sent: Duration, running: usize, retry_after: Option<Duration>) {
        self.refuses = true;
        let took = now.saturating_sub(sent);
        // The longest of the last ones.
        self.answer = took.max(self.answer * 7 / 8);
        let named = retry_after.unwrap_or_default();
        match self.phase {
            Phase::Trying { since: Some(since), high, .. } if since <= sent => {
                self.level = self.level.max(high).min(running).min(self.most);
                self.peak = self.peak.max(self.level);
                self.rest(now, named, false);
            }
            Phase::Trying { .. } if !named.is_zero() => {
                self.level = self.level.min(running);
                self.rest(now, named, false);
            }
            _ => self.level = self.level.min(running),
        }
        if self.level < self.peak.div_ceil(2) {
            self.peak = self.level;
            // The others of one burst say nothing new.
            if self.held.is_none_or(|held| held <= sent) {
                self.held = Some(now);
                self.rest(now, named, true);
            }
        }
    }

    fn rest(&mut self, now: Duration, named: Duration, entirely: bool) {
        // A provider that names a time may know no better than to say "at once", again and again.
        let until = now.saturating_add(self.pause.max(named));
        let patient = self.level > 0 && self.pause >= PAUSE_LONG;
        self.pause = (self.pause + self.pause / if patient { 16 } else { 1 }).min(PAUSE_MOST);
        self.phase = Phase::Resting { until, entirely };
    }

    /// In what time a try turns out well, or does not.
    fn round(&self) -> Duration {
        self.answer.saturating_mul(ROUNDS).max(ROUND_LEAST)
    }
}

#[cfg(test)]
mod tests;
