//! All jobs of a storage: what is there, how it stands, and taking it away again.
//!
//! # Why a clean harms nobody
//!
//! A clean removes a job in five steps: it **looks** at the end of the journal (number `n` is free); it **judges** by the
//! sign of life whether somebody works on the job; it **closes** the journal with an entry `Clean` at number `n`, where
//! nobody else has written; it deletes the **manifest**; it deletes **the rest**, and the `Clean` entry last. Anybody may
//! stand still, or die, between any two orders to the storage, and orders may be carried out late. These may meet:
//!
//! - *A driver that gives its signs of life.* Judged alive, however slow the clean is: the judgement is made of what the
//!   storage says at that time, by the storage's own clock where it tells dates, and else by watching.
//! - *A driver that fell silent, was judged dead, and wakes up.* If it appends before the clean closes, the clean
//!   finds its number taken and starts over. If the clean closes first, the driver's next entry meets `Clean`. If the
//!   clean has even finished, so that the number is free again, the driver's entry is written, but it has lapsed, looks for
//!   the manifest, finds none, and takes its entry back; see [`Leadership::commit`](super::Leadership::commit). It cannot
//!   believe itself never to have lapsed: that takes an entry begun after its sign of life was renewed, hence after
//!   the judgement, hence after the look at the journal; and then the clean does not close at `n`.
//! - *Somebody who takes over a job that its driver abandoned.* It gives a sign of life, appends `Lead`, and looks for the
//!   manifest. Either `Lead` comes first and the clean starts over, and judges it alive; or `Clean` comes first and it is
//!   refused; or the clean has finished, and it finds no manifest.
//! - *Somebody who begins a job.* Its sign of life is the job's first object, so whoever sees any other sees that too. If
//!   it stands still for so long that what it has stored is removed, it has lapsed when it appends its first entry,
//!   and looks whether everything that its manifest names is there. A deletion that is still to come is announced by a
//!   `Clean` at number 0, in the way of that first entry.
//! - *Another clean.* Both delete the same objects; deleting what is not there is no error. Who finds `Clean` at the end of a
//!   journal completes the removal without judging, since nothing can begin there any more. So a clean that was killed
//!   is completed by the next, and until then nobody attaches: the manifest was the first to go.
//! - *A job that begins later.* It has another id: no late order to delete can mean its objects.
//! - *A late order to write*, of a driver long dead: its object belongs to a job without manifest and sign of life, which
//!   the next clean removes.
//!
//! A job that has neither ended nor any sign of life is watched for half a minute first: an earlier driver's late order
//! may have taken its present driver's sign away, which comes back. What a clean does with images is argued in
//! `images.rs`, beside this folder.
//!
//! `crates/testkit/tests/durable` stops, kills and freezes each of these at every order that it gives.

mod clean;
mod follow;
mod list;
mod remove;
pub(super) mod stored;

pub use clean::{Cleaned, Kept, Removed, Selection, Why, clean, clean_images};
pub use follow::{Follow, Standing};
pub use list::{JobDetails, JobInfo, JobKind, State, list, show};
