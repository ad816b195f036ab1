//! Access tokens that expire, are refused before their time, or cannot be had: nothing is lost, or it is said why.
//!
//! They come from a metadata server of ours, and time is tokio's: it is moved on, and nobody waits.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails, fails the test")]

mod control;
mod storage;

use std::sync::Arc;
use std::time::Duration;

use rustwren_testkit::standins::{Front, Tokens};

/// As long as Google's own hold.
const HOUR: Duration = Duration::from_hours(1);
/// How long before that they are renewed.
const EARLY: Duration = Duration::from_mins(4);

/// Tokens and who gives them out.
struct Source {
    tokens: Arc<Tokens>,
    server: Front,
}

impl Source {
    fn new() -> Self {
        let tokens = Arc::new(Tokens::lasting(HOUR));
        let server = tokens.serve();
        Self { tokens, server }
    }

    /// Waits until so many were given out.
    async fn gives(&self, number: usize) {
        self.tokens.watch().wait_for(|given| *given >= number).await.unwrap();
    }
}

/// Moves time on. It stands still only meanwhile: what waits for the network must not find its time up.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}
