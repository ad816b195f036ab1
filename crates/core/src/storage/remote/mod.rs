//! What storages over a network have in common: the pace of requests, tries, names below a prefix, memory for parts.

mod pace;
mod prefix;
mod slots;
mod tries;

pub use pace::{Pace, Permit};
pub use prefix::{Prefix, may_begin_a_key, prefix_setting};
pub use slots::{Unreceived, join, receive, slots, whole};
pub use tries::{Tries, Trouble};
