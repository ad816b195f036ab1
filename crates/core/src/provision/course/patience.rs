//! Waiting for what passes by itself.

use std::time::Duration;

use crate::clock::Clock;
use crate::provision::Watch;

/// The first pause; each is longer by [`LONGER`] up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(1);
const LONGER: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(5);

/// A refusal of a provider's.
pub trait Refused {
    /// Whether it is worth asking again, whatever it was that was asked for.
    fn moment(&self) -> Option<Moment>;
}

/// Why it is worth asking again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// For people: `Google asks for a moment`.
    pub why: &'static str,
    /// How long the provider asks to wait, where it does.
    pub after: Option<Duration>,
}

/// Who waits for a step, and who is told.
#[derive(Clone, Copy)]
pub struct Patience<'a> {
    /// What waits.
    pub clock: &'a dyn Clock,
    /// Who is told.
    pub watch: &'a dyn Watch,
    /// The step's index in its plan.
    pub step: usize,
    /// How long is waited for changes that are not yet known everywhere.
    pub pauses: &'a Pauses,
}

impl std::fmt::Debug for Patience<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Patience").field("step", &self.step).finish_non_exhaustive()
    }
}

impl Patience<'_> {
    /// Makes a call until it is carried out, or is refused for something that does not pass. `passes` says why it is worth
    /// waiting, beside what the refusal says of itself. Ends with the last refusal once there are no more pauses.
    pub async fn until_done<T, R: Refused, F: Future<Output = Result<T, R>>>(
        &self,
        passes: impl Fn(&R) -> Option<&'static str>,
        mut call: impl FnMut() -> F,
    ) -> Result<T, R> {
        let mut left = self.pauses.clone();
        loop {
            let refusal = match call().await {
                Ok(done) => return Ok(done),
                Err(refusal) => refusal,
            };
            let after = refusal.moment().and_then(|moment| moment.after);
            let why = passes(&refusal).or(refusal.moment().map(|moment| moment.why));
            let Some(why) = why else { return Err(refusal) };
            let Some(pause) = left.next_after(after) else { return Err(refusal) };
            self.wait(why, pause).await;
        }
    }

    /// Waits, and tells for what.
    pub async fn wait(&self, why: &str, pause: Duration) {
        self.tell(why);
        self.clock.sleep(pause).await;
    }

    /// Tells what is waited for.
    pub fn tell(&self, why: &str) {
        self.watch.waiting(self.step, why);
    }
}

/// Pauses that grow, up to a sum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pauses {
    next: Duration,
    left: Duration,
}

impl Pauses {
    /// From one second to five, and not beyond this in all.
    pub fn of(sum: Duration) -> Self {
        Self { next: FIRST, left: sum }
    }

    /// With another first one.
    pub fn beginning_with(self, first: Duration) -> Self {
        Self { next: first, ..self }
    }

    /// The next pause, no shorter than this. None where it would go beyond the sum.
    pub fn next_after(&mut self, least: Option<Duration>) -> Option<Duration> {
        let pause = self.next.max(least.unwrap_or_default());
        self.left = self.left.checked_sub(pause)?;
        self.next = (self.next + LONGER).min(LONGEST);
        Some(pause)
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.next_after(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(pauses: Pauses) -> Vec<u64> {
        pauses.map(|pause| pause.as_secs()).collect()
    }

    #[test]
    fn pauses_grow_and_end() {
        assert_eq!(seconds(Pauses::of(Duration::from_secs(22))), [1, 2, 3, 4, 5, 5]);
        let from_two = Pauses::of(Duration::from_secs(14)).beginning_with(Duration::from_secs(2));
        assert_eq!(seconds(from_two), [2, 3, 4, 5]);
    }

    #[test]
    fn what_the_provider_asks_for_counts() {
        let mut pauses = Pauses::of(Duration::from_secs(20));
        assert_eq!(pauses.next_after(Some(Duration::from_secs(15))), Some(Duration::from_secs(15)));
        assert_eq!(pauses.next_after(Some(Duration::from_secs(1))), Some(Duration::from_secs(2)));
        assert_eq!(pauses.next_after(Some(Duration::from_secs(10))), None, "beyond the sum");
    }
}
