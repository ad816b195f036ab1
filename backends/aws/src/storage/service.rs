//! S3 as a service of objects.

use std::ops::Range;

use aws_smithy_types::byte_stream::error::Error as ByteStreamError;
use bytes::Bytes;
use rustwren_core::error::{BackendError, chain};
use rustwren_core::storage::PutOutcome;
use rustwren_core::storage::remote::{Common, Known, Opened, Operation, Page, Service, Unreceived};

use super::S3Storage;
use super::errors;
use super::reading::Pieces;
use crate::error::{Cause, Failure};

impl Service for S3Storage {
    type Failure = Failure;
    type BodyError = ByteStreamError;
    type Body = Pieces;

    const OUT_OF_ORDER: &str =
        "directory buckets (S3 Express One Zone) list so: use a general purpose bucket";

    fn common(&self) -> &Common {
        &self.common
    }

    fn place(&self, key: &str) -> String {
        self.names.location(key)
    }

    async fn ask(
        &self,
        object: &str,
        range: Range<u64>,
        version: Option<&str>,
    ) -> Result<Opened<Pieces>, Failure> {
        self.open_range(object, range, version).await
    }

    async fn known(&self, object: &str) -> Result<Known, Failure> {
        self.ask_about(object).await
    }

    async fn mark_of(&self, object: &str) -> Result<Option<String>, Failure> {
        self.written_by(object).await
    }

    async fn write(&self, object: &str, data: &Bytes, if_absent: bool) -> Result<PutOutcome, Failure> {
        if self.common.is_large(data.len()) {
            Box::pin(self.write_parts(object, data, if_absent)).await
        } else if if_absent {
            self.write_if_absent(object, data).await
        } else {
            self.write_whole(object, data).await.map(|()| PutOutcome::Created)
        }
    }

    async fn remove(&self, object: &str) -> Result<(), Failure> {
        self.delete_object(object).await
    }

    async fn page(&self, prefix: &str, after: Option<&str>) -> Result<Page, Failure> {
        self.list_page(prefix, after).await
    }

    fn is_unmet(failure: &Failure) -> bool {
        errors::is_unmet(failure)
    }

    fn is_past_the_end(failure: &Failure) -> bool {
        errors::is_past_the_end(failure)
    }

    fn unreceived(problem: Unreceived<ByteStreamError>) -> Failure {
        let message = match problem {
            Unreceived::Broken(error) => chain(&error),
            Unreceived::Length(message) => message,
        };
        Failure::ours(Cause::Broken, message)
    }

    fn error(&self, failure: Failure, operation: Operation, key: &str) -> BackendError {
        errors::error(failure, &self.names, operation, key)
    }
}
