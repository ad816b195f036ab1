//! Objects that are written too often wait for their turn: Cloud Storage takes one write per second to one name, and short
//! bursts beyond it. Only what it has refused waits, and nothing else waits with it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// <https://cloud.google.com/storage/quotas#objects>
const BETWEEN: Duration = Duration::from_secs(1);

/// The moments at which the next writes of objects may be sent, for those that were refused not long ago.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<String, Instant>>);

impl Turns {
    /// Waits for this object's next turn, where it has to.
    pub(super) async fn wait(&self, object: &str) {
        if let Some(turn) = self.take(object, Instant::now()) {
            sleep_until(turn).await;
        }
    }

    /// The service has said that this object is written too often.
    pub(super) fn refused(&self, object: &str) {
        self.refused_at(object, Instant::now());
    }

    fn take(&self, object: &str, now: Instant) -> Option<Instant> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = *turns.get(object)?;
        if next + BETWEEN < now {
            // It is no longer written too often.
            turns.remove(object);
            return None;
        }
        let turn = next.max(now);
        turns.insert(object.to_owned(), turn + BETWEEN);
        Some(turn)
    }

    fn refused_at(&self, object: &str, now: Instant) {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, next| *next + BETWEEN >= now);
        let next = turns.entry(object.to_owned()).or_insert(now);
        *next = (*next).max(now + BETWEEN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_refused_waits_and_one_after_the_other() {
        let (turns, now) = (Turns::default(), Instant::now());
        assert_eq!(turns.take("a", now), None);
        turns.refused_at("a", now);
        assert_eq!(turns.take("b", now), None);
        assert_eq!(turns.take("a", now), Some(now + BETWEEN));
        assert_eq!(turns.take("a", now), Some(now + 2 * BETWEEN));
        // Refused again at its turn, it waits for another.
        turns.refused_at("a", now + 2 * BETWEEN);
        assert_eq!(turns.take("a", now + 2 * BETWEEN), Some(now + 3 * BETWEEN));
    }

    #[test]
    fn what_is_no_longer_written_too_often_is_forgotten() {
        let (turns, now) = (Turns::default(), Instant::now());
        turns.refused_at("a", now);
        let later = now + 3 * BETWEEN;
        assert_eq!(turns.take("a", later), None);
        turns.refused_at("b", later);
        turns.refused_at("c", later + 3 * BETWEEN);
        assert_eq!(turns.0.lock().unwrap().len(), 1);
    }
}
