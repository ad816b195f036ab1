//! The form of the binary objects of a job: a head as `MessagePack` with named fields, which later versions can add to, and
//! a tail of bytes, under a checksum.
//!
//! | bytes | what |
//! |---|---|
//! | 3 | what it is: `RWJ` a journal entry, `RWI` a block of inputs, `RWC` a capsule |
//! | 1 | version of the form, from 1 |
//! | 16 | random, so that a writer knows its own object again |
//! | 16 | the first half of the SHA-256 of the 16 random bytes and all that follows this field |
//! | 4 | length of the head, little-endian |
//! | | the head, then the tail |

use bytes::{BufMut, Bytes, BytesMut};
use ring::digest;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::id::JobId;
use crate::error::{Error, ErrorKind};
use crate::storage::Key;

/// Before the head.
const PREAMBLE: usize = 40;
/// Largest head; an object that says otherwise is not one of ours.
const MAX_HEAD: usize = 256 << 20;

/// A kind of sealed object.
pub(super) struct Form {
    pub(super) magic: [u8; 3],
    pub(super) version: u8,
    pub(super) name: &'static str,
}

/// Why bytes are not what they should be.
#[derive(Debug)]
pub(super) enum Broken {
    /// A later version of RustWren wrote them.
    Newer(u8),
    /// They are something else, or were changed.
    Damaged(&'static str),
    /// The head says something that is not understood.
    Head(rmp_serde::decode::Error),
}

impl Form {
    /// The bytes of an object.
    pub(super) fn seal<'a>(
        &self,
        nonce: u128,
        head: &impl Serialize,
        tail: impl IntoIterator<Item = &'a [u8]> + Clone,
    ) -> Result<Bytes, Error> {
        let internal = |error: &dyn std::fmt::Display| {
            Error::new(ErrorKind::Internal, format!("a {} cannot be encoded: {error}", self.name))
        };
        let head = rmp_serde::to_vec_named(head).map_err(|error| internal(&error))?;
        if head.len() > MAX_HEAD {
            return Err(internal(&format_args!("its head has {} bytes", head.len())));
        }
        let len = tail.clone().into_iter().map(<[u8]>::len).sum::<usize>();
        let mut out = BytesMut::with_capacity(PREAMBLE + head.len() + len);
        out.put_slice(&self.magic);
        out.put_u8(self.version);
        out.put_u128_le(nonce);
        out.put_u128_le(0);
        out.put_u32_le(head.len() as u32);
        out.put_slice(&head);
        for part in tail {
            out.put_slice(part);
        }
        let check = checksum(&out);
        out[20..36].copy_from_slice(&check);
        Ok(out.freeze())
    }

    /// Head and tail of an object.
    pub(super) fn open<H: DeserializeOwned>(&self, bytes: &Bytes) -> Result<(H, Bytes), Broken> {
        if bytes.len() < 4 || bytes[..3] != self.magic {
            return Err(Broken::Damaged("it does not begin as one"));
        }
        if bytes[3] > self.version {
            return Err(Broken::Newer(bytes[3]));
        }
        if bytes[3] == 0 || bytes.len() < PREAMBLE {
            return Err(Broken::Damaged("it is cut off"));
        }
        if bytes[20..36] != checksum(bytes) {
            return Err(Broken::Damaged("its checksum is wrong"));
        }
        let head = u32::from_le_bytes([bytes[36], bytes[37], bytes[38], bytes[39]]) as usize;
        if head > bytes.len() - PREAMBLE {
            return Err(Broken::Damaged("its head is longer than itself"));
        }
        let end = PREAMBLE + head;
        Ok((rmp_serde::from_slice(&bytes[PREAMBLE..end]).map_err(Broken::Head)?, bytes.slice(end..)))
    }

    /// The head alone, out of the first bytes of an object and unchecked; `None` when it is not there whole.
    pub(super) fn peek<H: DeserializeOwned>(&self, start: &[u8]) -> Option<H> {
        if start.len() < PREAMBLE || start[..3] != self.magic || start[3] > self.version {
            return None;
        }
        let head = u32::from_le_bytes([start[36], start[37], start[38], start[39]]) as usize;
        rmp_serde::from_slice(start[PREAMBLE..].get(..head)?).ok()
    }
}

fn checksum(object: &[u8]) -> [u8; 16] {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(&object[4..20]);
    hash.update(&object[36..]);
    let mut out = [0; 16];
    out.copy_from_slice(&hash.finish().as_ref()[..16]);
    out
}

impl Broken {
    /// For people: which object, what is the matter with it, and what to do.
    pub(super) fn into_error(self, form: &Form, id: &JobId, key: &Key) -> Error {
        let name = form.name;
        match self {
            Self::Newer(version) => newer(name, key, u32::from(version), u32::from(form.version)),
            Self::Damaged(what) => Error::new(
                ErrorKind::Internal,
                format!("object {key} is not the {name} that it should be: {what}"),
            )
            .with_hint(mend(id)),
            Self::Head(error) => {
                Error::new(ErrorKind::Internal, format!("the {name} in object {key} cannot be understood"))
                    .with_source(error)
                    .with_hint(mend(id))
            }
        }
    }
}

/// The error of an object that a later version wrote.
pub(super) fn newer(name: &str, key: &Key, found: u32, known: u32) -> Error {
    let message = format!(
        "the {name} in object {key} was written by a later version of RustWren: it has version {found}, and this \
         program knows versions up to {known}"
    );
    Error::new(ErrorKind::Incompatible, message)
        .with_hint("use the `rustwren` command and crate of the version that started the job, or a later one")
}

/// What to do about a broken object.
pub(super) fn mend(id: &JobId) -> String {
    format!(
        "something else wrote to the storage or changed it: restore the object from a backup, or remove the job with \
         `rustwren jobs clean {id}` and run it again"
    )
}
