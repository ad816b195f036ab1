//! Blob storage as a service of objects.

use std::ops::Range;

use bytes::Bytes;
use rustwren_core::error::BackendError;
use rustwren_core::storage::PutOutcome;
use rustwren_core::storage::remote::{Common, Known, Opened, Operation, Order, Page, Service, Unreceived};

use super::BlobStorage;
use super::errors;
use super::head::Head;
use super::reading::Pieces;
use crate::error::{Cause, Failure};

impl Service for BlobStorage {
    type Failure = Failure;
    type BodyError = azure_core::Error;
    type Body = Pieces;

    const ORDER: Order = Order::Utf16;
    const OUT_OF_ORDER: &str = "accounts with a hierarchical namespace (Data Lake) list so: use one without";

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
        let Head { size, modified, .. } = self.ask_about(object).await?;
        Ok(Known { size, modified })
    }

    async fn mark_of(&self, object: &str) -> Result<Option<String>, Failure> {
        Ok(self.find(object).await?.map(|head| head.mark.unwrap_or_default()))
    }

    async fn write(&self, object: &str, data: &Bytes, if_absent: bool) -> Result<PutOutcome, Failure> {
        if self.common.is_large(data.len()) {
            Box::pin(self.write_blocks(object, data, if_absent)).await
        } else if if_absent {
            self.write_if_absent(object, data).await
        } else {
            self.write_whole(object, data).await.map(|()| PutOutcome::Created)
        }
    }

    async fn remove(&self, object: &str) -> Result<(), Failure> {
        self.delete_blob(object).await
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

    fn unreceived(problem: Unreceived<azure_core::Error>) -> Failure {
        match problem {
            Unreceived::Broken(error) => Failure::of(&error),
            Unreceived::Length(message) => Failure::ours(Cause::Broken, message),
        }
    }

    fn error(&self, failure: Failure, operation: Operation, key: &str) -> BackendError {
        errors::error(failure, &self.names, operation, key)
    }
}
