//! One invocation's way there and back: inputs too large to travel inline go through storage, and so do results.

use std::sync::Arc;

use bytes::Bytes;

use super::signs::{Signs, as_backend};
use crate::codec;
use crate::durable::JobId;
use crate::error::{BackendError, ErrorClass};
use crate::invoker::{Events, Invocation, Invoker, Payload, Reply};
use crate::protocol::records::{ResultTag, append_result, split_result};
use crate::storage::{Key, Storage};

/// Under which name inputs are stored.
pub(super) struct Spill {
    /// Tells the runs of one job from each other: each of several drivers counts its invocations from the start.
    pub(super) run: u64,
    /// To be given before anything is stored.
    pub(super) signs: Option<Signs>,
}

/// Invokes, with the inputs in storage if there is a `spill`, and brings stored results in.
pub(super) async fn travel(
    invoker: Arc<dyn Invoker>,
    storage: Arc<dyn Storage>,
    events: Arc<dyn Events>,
    mut invocation: Invocation,
    spill: Option<Spill>,
) -> Result<Reply, BackendError> {
    let spilled = match spill {
        Some(spill) => Some(store_inputs(&*storage, &mut invocation, &spill).await?),
        None => None,
    };
    let reply = invoker.invoke(invocation, &events).await;
    if let Some(key) = spilled
        && let Err(error) = storage.delete(&key).await
    {
        tracing::debug!(%key, %error, "inputs of a finished invocation could not be deleted");
    }
    let mut reply = reply?;
    for batch in &mut reply.results {
        if let Some(records) = fetch_stored(&*storage, &batch.records).await? {
            batch.records = records;
        }
    }
    Ok(reply)
}

async fn store_inputs(
    storage: &dyn Storage,
    invocation: &mut Invocation,
    spill: &Spill,
) -> Result<Key, BackendError> {
    if let Some(signs) = &spill.signs {
        signs.given().await.map_err(as_backend)?;
    }
    let id = JobId::new(invocation.job.id.as_str()).map_err(as_backend)?;
    let key = id.spill_key(spill.run, invocation.id)?;
    if let Payload::Inline(parts) = &invocation.inputs {
        let bytes = Bytes::from(parts.concat());
        let len = bytes.len() as u64;
        storage.put(&key, bytes).await?;
        invocation.inputs = Payload::Stored { key: key.to_string(), offset: 0, len };
    }
    Ok(key)
}

/// The records with every stored output replaced by the output itself; `None` if there is none.
async fn fetch_stored(storage: &dyn Storage, records: &Bytes) -> Result<Option<Bytes>, BackendError> {
    let malformed = |error: &dyn std::fmt::Display| {
        BackendError::new(ErrorClass::Internal, format!("a worker's reply cannot be read: {error}"))
    };
    let mut out: Option<Vec<u8>> = None;
    let mut at = 0;
    while at < records.len() {
        let (tag, body, len) = split_result(&records[at..]).map_err(|e| malformed(&e))?;
        if tag == ResultTag::Stored {
            let stored: Payload = codec::decode(body).map_err(|e| malformed(&e))?;
            let bytes = match stored {
                Payload::Inline(parts) => Bytes::from(parts.concat()),
                Payload::Stored { key, offset, len } => {
                    storage.get_range(&Key::new(key)?, offset..offset.saturating_add(len)).await?
                }
            };
            let out = out.get_or_insert_with(|| records[..at].to_vec());
            append_result(out, ResultTag::Output, |out| {
                out.extend_from_slice(&bytes);
                Ok::<(), BackendError>(())
            })?;
        } else if let Some(out) = &mut out {
            out.extend_from_slice(&records[at..at + len]);
        }
        at += len;
    }
    Ok(out.map(Bytes::from))
}
