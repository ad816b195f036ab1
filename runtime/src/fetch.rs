//! Payloads that lie in storage.

use bytes::Bytes;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::storage::{Key, Storage};

/// Reads the bytes of a [`rustwren_core::invoker::Payload::Stored`]: exactly `len` of them, or an error.
pub async fn fetch(storage: &dyn Storage, key: &str, offset: u64, len: u64) -> Result<Bytes, BackendError> {
    let end = offset.checked_add(len).ok_or_else(|| {
        BackendError::new(ErrorClass::Invalid, format!("bytes {offset} and {len} more of {key}"))
    })?;
    let bytes = storage.get_range(&Key::new(key)?, offset..end).await?;
    if bytes.len() as u64 != len {
        let message = format!("{key} has {} bytes from {offset} on, expected {len}", bytes.len());
        return Err(BackendError::new(ErrorClass::Internal, message));
    }
    Ok(bytes)
}
