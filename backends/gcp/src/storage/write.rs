//! Writing in one request, and telling one's own write from another's.

use bytes::Bytes;
use google_cloud_storage::client::Storage as Client;
use rustwren_core::storage::remote::new_mark;
use rustwren_core::storage::{Key, PutOutcome, StorageResult};

use super::GcsStorage;
use super::errors::{self, Operation, is_no_object, is_unmet};
use super::head::no_bucket;
use crate::error::Failure;

/// The object's metadata in which a writer leaves its mark, so that it knows its own write again when the answer to it
/// was lost. Contents do not tell: two writers may well write the same.
pub(super) const MARK: &str = "rustwren-write";

/// What every object is, to the service.
pub(super) const CONTENT_TYPE: &str = "application/octet-stream";

impl GcsStorage {
    pub(super) async fn write(&self, key: &Key, data: Bytes, if_absent: bool) -> StorageResult<PutOutcome> {
        let object = self.names.object(key.as_str());
        let written = if self.is_large(data.len()) {
            Box::pin(self.write_large(&object, &data, if_absent)).await
        } else {
            self.write_whole(&object, &data, if_absent).await
        };
        written.map_err(|failure| {
            // Nothing else can be missing.
            let failure = if failure.status == Some(404) { no_bucket(failure) } else { failure };
            self.error(failure, Operation::Write, key.as_str())
        })
    }

    async fn write_whole(&self, object: &str, data: &Bytes, if_absent: bool) -> Result<PutOutcome, Failure> {
        let mark = if_absent.then(new_mark);
        let checksum = crc32c::crc32c(data);
        let (mut tries, mut renewed) = (self.tries(), false);
        loop {
            self.turns.wait(object).await;
            let number = self.credentials.number();
            let request =
                insert(&self.client, self.names.resource(), object, data, checksum, mark.as_deref());
            let failure = match Self::attempt(&mut tries, data.len() as u64, request).await {
                Ok(()) => return Ok(PutOutcome::Created),
                Err(failure) => failure,
            };
            if self.renewed(&failure, number, &mut renewed) {
                continue;
            }
            self.note_refusal(object, &failure);
            if let Some(mark) = &mark {
                if is_unmet(&failure) {
                    return self.outcome_of_existing(object, mark, tries.uncertain).await;
                }
                // Rather than wait for its turn among others that write the same name.
                if errors::is_of_one_object(&failure)
                    && let Some(found) = self.mark_of(object).await?
                {
                    return Ok(if found == *mark { PutOutcome::Created } else { PutOutcome::Exists });
                }
            }
            tries.again(failure).await?;
        }
    }

    /// What a write came to that found an object: where an earlier attempt at it may have been carried out, that may
    /// be its own.
    pub(super) async fn outcome_of_existing(
        &self,
        object: &str,
        mark: &str,
        uncertain: bool,
    ) -> Result<PutOutcome, Failure> {
        if uncertain && self.mark_of(object).await?.as_deref() == Some(mark) {
            return Ok(PutOutcome::Created);
        }
        Ok(PutOutcome::Exists)
    }

    /// The mark of whoever wrote the object that is there now, empty where it has left none; none where there is no
    /// object.
    pub(super) async fn mark_of(&self, object: &str) -> Result<Option<String>, Failure> {
        match self.known(object).await {
            Ok(known) => {
                let mark = known.metadata.and_then(|mut metadata| metadata.remove(MARK));
                Ok(Some(mark.unwrap_or_default()))
            }
            Err(failure) if is_no_object(&failure) => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

/// Sends an object in one request; with a mark, only if there is none. The checksum is known, and goes before the content: what
/// the crate would send after it is taken for content by servers that are not Google's.
async fn insert(
    client: &Client,
    bucket: String,
    object: &str,
    data: &Bytes,
    checksum: u32,
    mark: Option<&str>,
) -> google_cloud_storage::Result<()> {
    let mut request = client
        .write_object(bucket, object, data.clone())
        .with_resumable_upload_threshold(usize::MAX)
        .with_known_crc32c(checksum)
        .set_content_type(CONTENT_TYPE);
    if let Some(mark) = mark {
        request = request.set_if_generation_match(0).set_metadata([(MARK, mark)]);
    }
    Box::pin(request.send_unbuffered()).await.map(drop)
}
