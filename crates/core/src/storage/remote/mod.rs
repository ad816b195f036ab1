//! What storages over a network have in common: the pace of requests, tries, names below a prefix, reading in
//! parts, listings.

mod list;
mod mark;
mod pace;
mod parts;
mod prefix;
mod read;
mod service;
mod slots;
mod tries;

pub use mark::new_mark;
pub use pace::{Pace, Permit};
pub use parts::{Parts, parts};
pub use prefix::{Prefix, may_begin_a_key, prefix_setting};
pub use read::{Opened, content_range};
pub use service::{Common, Known, Operation, Order, Page, Service};
pub use slots::Unreceived;
pub use tries::{Tries, Trouble};
