//! Writing in one request, and telling one's own write from another's.

use bytes::Bytes;
use google_cloud_storage::client::Storage as Client;
use rustwren_core::storage::PutOutcome;
use rustwren_core::storage::remote::{Service as _, new_mark};

use super::GcsStorage;
use super::errors::{self, is_no_object, is_unmet};
use crate::error::Failure;

/// The object's metadata in which a writer leaves its mark, so that it knows its own write again when the answer to it
/// was lost. Contents do not tell: two writers may well write the same.
pub(super) const MARK: &str = "rustwren-write";

/// What every object is, to the service.
pub(super) const CONTENT_TYPE: &str = "application/octet-stream";

impl GcsStorage {
    pub(super) async fn write_whole(
        &self,
        object: &str,
        data: &Bytes,
        if_absent: bool,
    ) -> Result<PutOutcome, Failure> {
        let mark = if_absent.then(new_mark);
        let checksum = crc32c::crc32c(data);
        let (mut tries, mut renewed) = (self.common.tries(), false);
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
                    && let Some(found) = self.written_by(object).await?
                {
                    return Ok(if found == *mark { PutOutcome::Created } else { PutOutcome::Exists });
                }
            }
            tries.again(failure).await?;
        }
    }

    /// The mark of whoever wrote the object that is there now, empty where it has left none; none where there is no
    /// object.
    pub(super) async fn written_by(&self, object: &str) -> Result<Option<String>, Failure> {
        match self.ask_about(object).await {
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
