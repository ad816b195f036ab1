//! Fixed-width numbers at the front of frames' bodies.

use bytes::Bytes;

use super::records::Malformed;

/// Takes fixed-width numbers off the front of a frame's body.
pub(super) struct Fields(pub(super) Bytes);

impl Fields {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let field = *self.0.first_chunk::<N>().ok_or(Malformed("frame is too short for its kind"))?;
        bytes::Buf::advance(&mut self.0, N);
        Ok(field)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.take::<1>().map(|[byte]| byte)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.take().map(u64::from_le_bytes)
    }

    pub(super) fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed("frame is too long for its kind")) }
    }
}
