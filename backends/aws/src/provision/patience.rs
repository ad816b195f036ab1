//! Waiting for what passes by itself.

use std::future::Future;
use std::time::Duration;

use rustwren_core::clock::Clock;
use rustwren_core::provision::Watch;

use super::call::Refusal;

/// The first pause; each is longer by [`LONGER`] up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(2);
const LONGER: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(5);

/// How long is waited for changes that are not yet known everywhere: a role at Lambda, say.
pub(crate) const SPREADING: Duration = Duration::from_mins(1);

/// Who waits for a step, and who is told.
#[derive(Clone, Copy)]
pub(crate) struct Patience<'a> {
    pub(crate) clock: &'a dyn Clock,
    pub(crate) watch: &'a dyn Watch,
    /// The step's index in its plan.
    pub(crate) step: usize,
}

impl Patience<'_> {
    /// Makes a call until it is carried out, or is refused for something that does not pass. Ends with the last refusal
    /// once another pause would go beyond [`SPREADING`].
    pub(crate) async fn until_done<T, F>(
        &self,
        passes: impl Fn(&Refusal) -> Option<&'static str>,
        mut call: impl FnMut() -> F,
    ) -> Result<T, Refusal>
    where
        F: Future<Output = Result<T, Refusal>>,
    {
        let mut waited = Duration::ZERO;
        let mut pause = FIRST;
        loop {
            let refusal = match call().await {
                Ok(done) => return Ok(done),
                Err(refusal) => refusal,
            };
            let Some(why) = passes(&refusal).filter(|_| waited + pause <= SPREADING) else {
                return Err(refusal);
            };
            self.tell(why);
            self.clock.sleep(pause).await;
            waited += pause;
            pause = (pause + LONGER).min(LONGEST);
        }
    }

    /// Tells what is waited for.
    pub(crate) fn tell(&self, why: &str) {
        self.watch.waiting(self.step, why);
    }
}
