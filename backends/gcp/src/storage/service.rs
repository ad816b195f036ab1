//! Cloud Storage as a service of objects.

use std::ops::Range;

use bytes::Bytes;
use google_cloud_storage::Error as SdkError;
use rustwren_core::error::BackendError;
use rustwren_core::storage::PutOutcome;
use rustwren_core::storage::remote::{Common, Known, Opened, Operation, Page, Service, Unreceived};

use super::GcsStorage;
use super::errors;
use super::head::no_bucket;
use super::reading::{self, Pieces};
use crate::error::{Cause, Failure};

impl Service for GcsStorage {
    type Failure = Failure;
    type BodyError = SdkError;
    type Body = Pieces;

    const OUT_OF_ORDER: &str =
        "the service at `endpoint` does not list as Cloud Storage does: use one that does";

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
        let resource = self.ask_about(object).await?;
        Ok(Known { size: resource.size()?, modified: resource.modified() })
    }

    async fn mark_of(&self, object: &str) -> Result<Option<String>, Failure> {
        self.written_by(object).await
    }

    async fn write(&self, object: &str, data: &Bytes, if_absent: bool) -> Result<PutOutcome, Failure> {
        if self.common.is_large(data.len()) {
            Box::pin(self.write_large(object, data, if_absent)).await
        } else {
            self.write_whole(object, data, if_absent).await
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

    fn unreceived(problem: Unreceived<SdkError>) -> Failure {
        match problem {
            Unreceived::Broken(error) => Failure::of(&error),
            Unreceived::Length(message) => Failure::ours(Cause::Broken, message),
        }
    }

    fn check(whole: &Bytes, version: Option<&str>) -> Result<(), Failure> {
        reading::check(whole, version)
    }

    fn error(&self, failure: Failure, operation: Operation, key: &str) -> BackendError {
        // Nothing else can be missing where something is written.
        let failure = match (operation, failure.status) {
            (Operation::Write, Some(404)) => no_bucket(failure),
            _ => failure,
        };
        errors::error(failure, &self.names, self.is_anonymous, operation, key)
    }
}
