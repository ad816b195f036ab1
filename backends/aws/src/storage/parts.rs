//! Writing in parts: several at once, visible as one object when the last is there, and not at all otherwise.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use rustwren_core::storage::PutOutcome;
use rustwren_core::storage::remote::{Service as _, new_mark, parts};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::S3Storage;
use super::errors::{CONFLICT, is_no_upload, is_unmet};
use super::tries::Requests as _;
use super::write::ANY;
use crate::error::Failure;

/// S3 takes no more parts in one object.
const MOST_PARTS: u64 = 10_000;

/// How often an upload is begun anew because another write came between.
const UPLOADS: usize = 4;

/// How long aborting an upload may take.
const ABORT: Duration = Duration::from_secs(10);

/// An upload that S3 keeps until it is completed or aborted. Dropped before that, it is aborted in the background; what
/// even that leaves, the bucket's lifecycle rule removes.
struct Upload<'a> {
    client: &'a Client,
    bucket: &'a str,
    object: &'a str,
    id: String,
    is_open: bool,
}

impl Upload<'_> {
    /// What aborts it, without borrowing from here. That is best effort: nothing is wrong but that the parts are paid
    /// for until the lifecycle rule removes them.
    fn abort(&mut self) -> impl Future<Output = ()> + Send + 'static {
        self.is_open = false;
        let request =
            self.client.abort_multipart_upload().bucket(self.bucket).key(self.object).upload_id(&self.id);
        let place = format!("s3://{}/{}", self.bucket, self.object);
        async move {
            let answer = timeout(ABORT, request.send()).await;
            if !matches!(answer, Ok(Ok(_))) {
                tracing::warn!(
                    "parts of {place} are left behind until the bucket's lifecycle rule removes them"
                );
            }
        }
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        if self.is_open
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(self.abort());
        }
    }
}

/// What completing an upload came to.
enum Completed {
    Done(PutOutcome),
    /// Another write came between: all of it has to be sent again.
    Again(Failure),
}

impl S3Storage {
    /// Writes a large object.
    pub(super) async fn write_parts(
        &self,
        object: &str,
        data: &Bytes,
        if_absent: bool,
    ) -> Result<PutOutcome, Failure> {
        let mut left = UPLOADS;
        loop {
            // S3 checks only at the end; what is there already need not be sent.
            if if_absent && self.is_there(object).await? {
                return Ok(PutOutcome::Exists);
            }
            let mark = new_mark();
            let mut upload = self.begin(object, &mark).await?;
            let result = match self.send_parts(&upload, data).await {
                Ok(parts) => self.complete(&upload, parts, if_absent, &mark).await,
                Err(failure) => Err(failure),
            };
            left -= 1;
            match result {
                Ok(Completed::Done(outcome)) => {
                    if outcome == PutOutcome::Created {
                        upload.is_open = false;
                    } else {
                        upload.abort().await;
                    }
                    return Ok(outcome);
                }
                Ok(Completed::Again(failure)) if left == 0 => {
                    upload.abort().await;
                    return Err(failure);
                }
                Ok(Completed::Again(_)) => upload.abort().await,
                Err(failure) => {
                    upload.abort().await;
                    return Err(failure);
                }
            }
        }
    }

    async fn is_there(&self, object: &str) -> Result<bool, Failure> {
        let mut tries = self.common.tries();
        loop {
            let request = self.client.head_object().bucket(&self.names.bucket).key(object);
            match tries.send(0, request.send()).await {
                Ok(_) => return Ok(true),
                // Whatever else is wrong, the upload will tell.
                Err(failure) if failure.status.is_some_and(|status| status < 500) => return Ok(false),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    /// The checksum that goes with each part, unless the environment or the profile asks for none.
    fn checksum(&self) -> Option<ChecksumAlgorithm> {
        let asked = self.client.config().request_checksum_calculation();
        let is_off = asked == Some(&RequestChecksumCalculation::WhenRequired);
        (!is_off).then_some(ChecksumAlgorithm::Crc32)
    }

    async fn begin<'a>(&'a self, object: &'a str, mark: &str) -> Result<Upload<'a>, Failure> {
        let bucket = &self.names.bucket;
        let mut tries = self.common.tries();
        loop {
            let request = self.client.create_multipart_upload().bucket(bucket).key(object);
            let request =
                request.set_metadata(Some(Self::marked(mark))).set_checksum_algorithm(self.checksum());
            match tries.send(0, request.send()).await {
                Ok(answer) => {
                    let id = answer.upload_id.unwrap_or_default();
                    return Ok(Upload { client: &self.client, bucket, object, id, is_open: true });
                }
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    async fn send_parts(&self, upload: &Upload<'_>, data: &Bytes) -> Result<Vec<CompletedPart>, Failure> {
        let parts = parts(data.len() as u64, self.common.parts.size, MOST_PARTS);
        let parts = (1..).zip(parts).map(|(number, range)| {
            // Parts of what is in memory: both ends fit.
            self.send_part(upload, number, data.slice(range.start as usize..range.end as usize))
        });
        let parts: Vec<_> = parts.collect();
        stream::iter(parts).buffered(self.common.parts.parallel).try_collect().await
    }

    async fn send_part(
        &self,
        upload: &Upload<'_>,
        number: i32,
        data: Bytes,
    ) -> Result<CompletedPart, Failure> {
        let mut tries = self.common.tries();
        loop {
            let request = self.client.upload_part().bucket(upload.bucket).key(upload.object);
            let request =
                request.upload_id(&upload.id).part_number(number).set_checksum_algorithm(self.checksum());
            match tries.send(data.len() as u64, request.body(ByteStream::from(data.clone())).send()).await {
                Ok(part) => {
                    let done = CompletedPart::builder().part_number(number).set_e_tag(part.e_tag);
                    return Ok(done.set_checksum_crc32(part.checksum_crc32).build());
                }
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    async fn complete(
        &self,
        upload: &Upload<'_>,
        parts: Vec<CompletedPart>,
        if_absent: bool,
        mark: &str,
    ) -> Result<Completed, Failure> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let mut tries = self.common.tries();
        loop {
            let request = self.client.complete_multipart_upload().bucket(upload.bucket).key(upload.object);
            let request = request.upload_id(&upload.id).multipart_upload(parts.clone());
            let request = request.set_if_none_match(if_absent.then(|| ANY.to_owned()));
            match tries.send(0, request.send()).await {
                Ok(_) => return Ok(Completed::Done(PutOutcome::Created)),
                Err(failure) if is_unmet(&failure) => {
                    let outcome = self.outcome_of_existing(upload.object, mark, tries.uncertain).await?;
                    return Ok(Completed::Done(outcome));
                }
                Err(failure) if is_no_upload(&failure) && tries.uncertain => {
                    // An earlier attempt has completed it, or somebody has aborted it.
                    return match self.written_by(upload.object).await? {
                        Some(found) if found == mark => Ok(Completed::Done(PutOutcome::Created)),
                        _ => Ok(Completed::Again(failure)),
                    };
                }
                Err(failure) if failure.code() == CONFLICT => return Ok(Completed::Again(failure)),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }
}
