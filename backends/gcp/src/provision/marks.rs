//! What everything that setup makes has in common.

use std::collections::HashMap;
use std::time::Duration;

use rustwren_core::provision::course::{Moment, Refused};

use crate::refusal::Refusal;

/// The mark of what is ours, where Google has labels.
pub(super) const LABEL: &str = "made-by";
pub(super) const OURS: &str = "rustwren-setup";
/// The mark where there is room for a sentence.
pub(super) const SENTENCE: &str = "Made by rustwren setup";

/// How long is waited for changes that are not yet known everywhere: a new account, say.
pub(super) const SPREADING: Duration = Duration::from_mins(2);

/// Whether what has these labels was made by setup.
pub(super) fn is_ours(labels: &HashMap<String, String>) -> bool {
    labels.get(LABEL).is_some_and(|mark| mark == OURS)
}

impl Refused for Refusal {
    fn moment(&self) -> Option<Moment> {
        self.passes().then_some(Moment { why: "Google asks for a moment", after: None })
    }
}

/// A service account that was made a moment ago is not known to everybody.
pub(super) fn new_account(refusal: &Refusal) -> Option<&'static str> {
    let says = |text: &str| refusal.message.contains(text);
    let is_new = matches!(refusal.status, Some(400 | 403 | 404)) && says("ervice account") && says("not");
    is_new.then_some("the new service account is not known everywhere yet")
}
