//! Durable jobs: what of a job is kept in storage, so that it outlives the process that started it.
//!
//! Everything here needs a [`Storage`](crate::storage::Storage) and a [`Clock`](crate::clock::Clock), and knows neither
//! schedulers nor executors. `docs/protocol.md` has the layout of the storage, `docs/decisions/0007-journal.md` the
//! reasons.

mod beat;
mod budget;
mod cancel;
mod capsule;
mod committed;
mod entry;
#[cfg(test)]
mod entry_tests;
mod id;
mod identity;
mod image_id;
mod images;
mod inputs;
pub mod jobs;
mod journal;
mod lead;
mod manifest;
mod owner;
mod resume;
mod sealed;
mod store;

pub use beat::{Beat, BeatWatch, DEFAULT_LEASE, Heart, Life, Sign};
pub use budget::{budget_set, goes_on, note_stopped, set_budget, stopped};
pub use cancel::{cancel_requested, request_cancel};
pub use capsule::{Capsule, Capsules, MAX_CAPSULE_BYTES, MAX_CAPSULES};
pub use committed::{CommittedByIndex, Outcome};
pub use entry::{Clean, Elements, End, Entry, Failure, Group, How, Identity, Lead, Results, Spent, Tally};
pub use id::{JobId, MAX_JOB_ID, ResumeFamily};
pub use identity::{CommittedByIdentity, Identities};
pub use images::hold_image;
pub use inputs::{InputStore, StoredInputs};
pub use journal::{Appended, Journal, Logged, View};
pub use lead::{Commit, Leadership, Taken, found, take_lead};
pub use manifest::{Inputs, Kind, Manifest, Options, Stored};
pub use owner::Owner;
pub use resume::{Resumed, resume};
pub use store::Store;
