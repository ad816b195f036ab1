//! The program as it is shipped to workers.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::BackendError;
use crate::storage::Key;

mod cache;
mod check;
mod elf;
mod hash;
mod layout;
mod pack;
mod program;
#[cfg(test)]
mod testing;

pub use cache::default_cache_dir;
pub use check::check;
pub use elf::{ElfInfo, Format, Linkage};
pub use pack::{
    DEFAULT_LEVEL, Packed, UnpackError, hash_of, identity, pack, strip, unpack, unpack_into, unpacked_size,
};
pub use program::ProgramImage;

/// The SHA-256 of a program's bytes as shipped (debug sections dropped, not yet compressed).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ImageId(pub [u8; 32]);

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImageId({self})")
    }
}

impl std::str::FromStr for ImageId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(format!(
                "{text:?} is not an image id: 64 hexadecimal digits expected"
            ));
        }
        let nibble = |c: u8| (c as char).to_digit(16).unwrap_or(0) as u8;
        let mut id = [0; 32];
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0]) << 4 | nibble(pair[1]);
        }
        Ok(Self(id))
    }
}

/// Where an image lies in storage, packed: `images/<id>.zst`.
pub fn image_key(id: ImageId) -> Result<Key, BackendError> {
    Key::new(format!("images/{id}.zst"))
}

/// What a worker runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// For messages: `AWS Lambda (provided.al2023)`, `this machine`.
    pub name: String,
    /// As in target triples: `x86_64`, `aarch64`.
    pub arch: String,
    /// The version of its GNU C library, where it has one that limits what can run.
    pub glibc: Option<(u32, u32)>,
}

impl Platform {
    /// The machine this program runs on; everything that runs here runs there.
    pub fn this_machine() -> Self {
        Self {
            name: "this machine".to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            glibc: None,
        }
    }
}
