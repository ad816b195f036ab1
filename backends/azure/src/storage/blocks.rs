//! Writing in blocks: several at once, visible as one object when their list is committed, and not at all otherwise.
//!
//! Blocks that are not committed belong to the object's name and not to an upload: whoever writes the object removes
//! them all, also those of others who are at it. So a writer whose blocks are gone sends them again. What a writer
//! leaves that died, Azure removes after a week.

use azure_storage_blob::models::{BlockBlobClientCommitBlockListOptions, BlockLookupList};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use rustwren_core::storage::PutOutcome;
use rustwren_core::storage::remote::{Parts, Service as _, new_mark, parts};

use super::BlobStorage;
use super::errors::{are_blocks_gone, is_unmet};
use super::write::{ANY, marked};
use crate::error::{Cause, Failure};
use crate::tries::Requests as _;

/// Azure takes no more blocks in one object.
const MOST_BLOCKS: u64 = 50_000;

/// Smaller blocks cost more requests than they are worth, where parts are not smaller themselves.
const LEAST_BLOCK: u64 = 4 << 20;

/// How often all blocks are sent because another write came between.
const UPLOADS: usize = 4;

/// What committing a list of blocks came to.
enum Committed {
    Done(PutOutcome),
    /// Another write came between: all of it has to be sent again.
    Again(Failure),
}

impl BlobStorage {
    /// Writes a large object.
    pub(super) async fn write_blocks(
        &self,
        object: &str,
        data: &Bytes,
        if_absent: bool,
    ) -> Result<PutOutcome, Failure> {
        let mut left = UPLOADS;
        loop {
            // Azure checks only at the end; what is there already need not be sent.
            if if_absent && self.find(object).await?.is_some() {
                return Ok(PutOutcome::Exists);
            }
            let mark = new_mark();
            let blocks = self.send_blocks(object, &mark, data).await?;
            left -= 1;
            match self.commit(object, blocks, if_absent, &mark).await? {
                Committed::Done(outcome) => return Ok(outcome),
                Committed::Again(failure) if left == 0 => return Err(failure),
                Committed::Again(_) => {}
            }
        }
    }

    /// Sends the blocks, and gives their names.
    async fn send_blocks(&self, object: &str, mark: &str, data: &Bytes) -> Result<Vec<Vec<u8>>, Failure> {
        let len = data.len() as u64;
        let blocks =
            parts(len, block_size(len, self.common.parts), MOST_BLOCKS).enumerate().map(|(number, range)| {
                // Parts of what is in memory: both ends fit.
                self.send_block(
                    object,
                    name(mark, number),
                    data.slice(range.start as usize..range.end as usize),
                )
            });
        let blocks: Vec<_> = blocks.collect();
        stream::iter(blocks).buffered(self.common.parts.parallel).try_collect().await
    }

    async fn send_block(&self, object: &str, name: Vec<u8>, data: Bytes) -> Result<Vec<u8>, Failure> {
        let len = data.len() as u64;
        let mut tries = self.common.tries();
        loop {
            let (blob, content, name) = (self.blob(object).block_blob_client(), data.clone(), &name);
            let request = async move { blob.stage_block(name, len, content.into(), None).await };
            match tries.send(len, request).await {
                Ok(_) => break,
                Err(failure) => tries.again(failure).await?,
            }
        }
        Ok(name)
    }

    async fn commit(
        &self,
        object: &str,
        blocks: Vec<Vec<u8>>,
        if_absent: bool,
        mark: &str,
    ) -> Result<Committed, Failure> {
        let list = BlockLookupList { latest: Some(blocks), ..BlockLookupList::default() };
        let mut tries = self.common.tries();
        loop {
            let content = list.clone().try_into().map_err(|error: azure_core::Error| {
                Failure::ours(Cause::NotSent, format!("the list of blocks cannot be written: {error}"))
            })?;
            let options = BlockBlobClientCommitBlockListOptions {
                if_none_match: if_absent.then(|| ANY.into()),
                metadata: Some(marked(mark)),
                ..Default::default()
            };
            let blob = self.blob(object).block_blob_client();
            let request = async move { blob.commit_block_list(content, Some(options)).await };
            match tries.send(0, request).await {
                Ok(_) => return Ok(Committed::Done(PutOutcome::Created)),
                Err(failure) if is_unmet(&failure) => {
                    let outcome = self.outcome_of_existing(object, mark, tries.uncertain).await?;
                    return Ok(Committed::Done(outcome));
                }
                Err(failure) if are_blocks_gone(&failure) => {
                    // An earlier attempt may have committed them, and another write followed; else that alone.
                    if tries.uncertain && self.mark_of(object).await?.as_deref() == Some(mark) {
                        return Ok(Committed::Done(PutOutcome::Created));
                    }
                    return Ok(Committed::Again(failure));
                }
                Err(failure) => tries.again(failure).await?,
            }
        }
    }
}

/// A part, or less where that makes fewer than two blocks for each that travels at once: if all of an object's blocks were
/// under way together, they would all be ready at the same moment, and the service would take them in while nothing is sent.
fn block_size(len: u64, parts: Parts) -> u64 {
    let two_rounds = len.div_ceil(2 * parts.parallel.max(1) as u64);
    two_rounds.clamp(LEAST_BLOCK.min(parts.size), parts.size)
}

/// The name of a block: of no other upload's, and as long as all others of the object.
fn name(mark: &str, number: usize) -> Vec<u8> {
    format!("{mark}{number:08}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_two_rounds_of_blocks_where_they_are_not_too_small() {
        let of = |mb: u64, parts| block_size(mb << 20, parts) >> 20;
        let default = Parts { size: 8 << 20, parallel: 8 };
        assert_eq!([17, 64, 96, 128, 4096].map(|mb| of(mb, default)), [4, 4, 6, 8, 8]);
        assert_eq!(of(64, Parts { parallel: 2, ..default }), 8);
        assert_eq!(of(64, Parts { size: 2 << 20, parallel: 8 }), 2, "no more than was asked for");
    }

    #[test]
    fn names_of_blocks_are_as_azure_wants_them() {
        let mark = new_mark();
        for number in [0, 7, MOST_BLOCKS as usize] {
            assert_eq!(name(&mark, number).len(), 40, "at most 64 bytes, all of one length");
        }
        assert_ne!(name(&mark, 0), name(&new_mark(), 0));
    }
}
