//! What storages over a network have in common: the pace of requests, tries, names below a prefix, reading in
//! parts.

mod mark;
mod pace;
mod parts;
mod prefix;
mod read;
mod slots;
mod tries;

pub use mark::new_mark;
pub use pace::{Pace, Permit};
pub use parts::parts;
pub use prefix::{Prefix, may_begin_a_key, prefix_setting};
pub use read::{Opened, Reading, content_range, read};
pub use slots::{Unreceived, join, receive, slots, whole};
pub use tries::{Tries, Trouble};
