//! All jobs of a storage: what is there, how it stands, and taking it away again.

mod clean;
mod list;
mod remove;
pub(super) mod stored;

pub use clean::{Cleaned, Kept, Removed, Selection, Why, clean};
pub use list::{JobDetails, JobInfo, JobKind, State, list, show};
