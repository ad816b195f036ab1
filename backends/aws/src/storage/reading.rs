//! The requests by which objects are read.

use std::ops::Range;

use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_types::byte_stream::error::Error as ByteStreamError;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use rustwren_core::error::{BackendError, chain};
use rustwren_core::storage::remote::{Opened, Reading, Tries, Unreceived, content_range};
use rustwren_core::storage::{Key, StorageResult};

use super::S3Storage;
use super::errors::{self, Operation, is_past_the_end, is_unmet};
use super::head::modified;
use crate::error::{Cause, Failure};

type Pieces = BoxStream<'static, Result<Bytes, ByteStreamError>>;

impl S3Storage {
    /// Asks for a range that is not empty, and waits until the answer begins.
    pub(super) async fn ask(
        &self,
        object: &str,
        range: Range<u64>,
        etag: Option<&str>,
    ) -> Result<Opened<Pieces>, Failure> {
        let asked = format!("bytes={}-{}", range.start, range.end - 1);
        let request = self.client.get_object().bucket(&self.names.bucket).key(object).range(asked);
        let answer = request.set_if_match(etag.map(str::to_owned)).send().await;
        let answer = answer.map_err(|error| Failure::of(&error))?;
        let (got, size) = match &answer.content_range {
            Some(text) => {
                content_range(text).filter(|(got, _)| got.start == range.start && got.end <= range.end)
            }
            // All of it, where the service does not know ranges.
            None => answer
                .content_length
                .and_then(|len| u64::try_from(len).ok())
                .filter(|&len| range.start == 0 && len <= range.end)
                .map(|len| (0..len, len)),
        }
        .ok_or_else(|| {
            let got = answer.content_range.as_deref().unwrap_or("all of it");
            Failure::ours(Cause::Broken, format!("asked for {range:?} and got {got}"))
        })?;
        Ok(Opened {
            range: got,
            size,
            version: answer.e_tag,
            modified: modified(answer.last_modified),
            body: pieces(answer.body),
        })
    }
}

/// A storage, as it reads. What its requests fail with is no part of its own public face.
#[derive(Debug)]
pub(super) struct Reader<'a>(pub(super) &'a S3Storage);

impl Reading for Reader<'_> {
    type Failure = Failure;
    type BodyError = ByteStreamError;
    type Body = Pieces;

    fn tries(&self) -> Tries<'_> {
        self.0.tries()
    }

    fn part_size(&self) -> u64 {
        self.0.part_size
    }

    fn parallel(&self) -> usize {
        self.0.parallel
    }

    fn object(&self, key: &Key) -> String {
        self.0.names.object(key.as_str())
    }

    fn location(&self, key: &Key) -> String {
        self.0.names.location(key.as_str())
    }

    async fn ask(
        &self,
        object: &str,
        range: Range<u64>,
        version: Option<&str>,
    ) -> Result<Opened<Pieces>, Failure> {
        self.0.ask(object, range, version).await
    }

    async fn size(&self, key: &Key) -> StorageResult<u64> {
        Ok(self.0.meta(key).await?.size)
    }

    fn is_replaced(failure: &Failure) -> bool {
        is_unmet(failure)
    }

    fn is_past_the_end(failure: &Failure) -> bool {
        is_past_the_end(failure)
    }

    fn unreceived(problem: Unreceived<ByteStreamError>) -> Failure {
        let message = match problem {
            Unreceived::Broken(error) => chain(&error),
            Unreceived::Length(message) => message,
        };
        Failure::ours(Cause::Broken, message)
    }

    fn error(&self, failure: Failure, key: &Key) -> BackendError {
        errors::error(failure, &self.0.names, Operation::Read, key.as_str())
    }
}

/// The pieces of a body, as they come.
fn pieces(body: ByteStream) -> Pieces {
    stream::unfold(body, |mut body| async { Some((body.next().await?, body)) }).boxed()
}
