//! What Cloud Storage's own errors mean, and how each is mended.

use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::storage::remote::Operation;

use super::names::Names;
use crate::error::{Cause, Failure};

/// Our name for a 404 that is about the bucket: the service has one reason for all of them.
pub(super) const NO_BUCKET: &str = "noSuchBucket";

fn permission(operation: Operation) -> &'static str {
    match operation {
        Operation::Read => "storage.objects.get",
        // Replacing an object is deleting it as well.
        Operation::Write => "storage.objects.create and storage.objects.delete",
        Operation::List => "storage.objects.list",
        Operation::Delete => "storage.objects.delete",
    }
}

/// The condition of a write or read does not hold.
pub(super) fn is_unmet(failure: &Failure) -> bool {
    failure.status == Some(412)
}

/// The range starts at or after the end of the object.
pub(super) fn is_past_the_end(failure: &Failure) -> bool {
    failure.status == Some(416)
}

/// The upload is not, or no longer, known.
pub(super) fn is_no_upload(failure: &Failure) -> bool {
    matches!(failure.status, Some(404 | 410))
}

/// This one object is written more often than once in a second; others are not meant.
pub(super) fn is_of_one_object(failure: &Failure) -> bool {
    failure.status == Some(429) && failure.message.contains("object mutation")
}

/// There is no such object, in a bucket that is there.
pub(super) fn is_no_object(failure: &Failure) -> bool {
    failure.status == Some(404) && failure.reason() != NO_BUCKET
}

/// What is not there, where the answer says so.
pub(super) enum Missing {
    Object,
    Bucket,
    Unsaid,
}

pub(super) fn missing(failure: &Failure) -> Missing {
    let message = failure.message.to_ascii_lowercase();
    if failure.reason() == NO_BUCKET || message.contains("bucket does not exist") {
        Missing::Bucket
    } else if message.contains("no such object") {
        Missing::Object
    } else {
        Missing::Unsaid
    }
}

/// What it means.
pub(super) fn class(failure: &Failure) -> ErrorClass {
    match failure.status {
        Some(404) if failure.reason() == NO_BUCKET => ErrorClass::Misconfigured,
        // An upload that was forgotten. It can be made again from the beginning.
        Some(410) => ErrorClass::Transient,
        _ => failure.class(),
    }
}

/// The error for the caller, about this key (or prefix).
pub(super) fn error(
    failure: Failure,
    names: &Names,
    is_anonymous: bool,
    operation: Operation,
    key: &str,
) -> BackendError {
    let class = class(&failure);
    let hint = hint(&failure, names, is_anonymous, operation).or_else(|| failure.hint());
    let attempted = format!("{} {}", operation.verb(), names.location(key));
    failure.into_error_as(class, hint, &attempted)
}

fn hint(failure: &Failure, names: &Names, is_anonymous: bool, operation: Operation) -> Option<String> {
    if failure.cause != Cause::Refused {
        return None;
    }
    let bucket = &names.bucket;
    match failure.status {
        Some(404) if failure.reason() == NO_BUCKET => Some(format!(
            "bucket {bucket} does not exist: make it (`gcloud storage buckets create gs://{bucket}`), or set `bucket` in \
             [storage] to one that does"
        )),
        Some(401) if is_anonymous => Some(
            "requests go without credentials, and the service wants some: set `anonymous = false` in [storage]".to_owned(),
        ),
        Some(401) => Some(
            "the credentials have expired, were revoked, or are not for this service: log in again (`gcloud auth \
             application-default login`)"
                .to_owned(),
        ),
        Some(403) if matches!(failure.class(), ErrorClass::Denied) => Some(format!(
            "whoever calls needs {}: `gcloud storage buckets add-iam-policy-binding gs://{bucket} --member=<who> \
             --role=roles/storage.objectUser`",
            permission(operation)
        )),
        Some(300..=399) => Some("set `endpoint` in [storage] to the address of the service itself".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rustwren_core::storage::Key;

    use super::*;
    use crate::error::testing::refused;

    fn told(failure: Failure, is_anonymous: bool) -> BackendError {
        let names = Names { bucket: "b".to_owned(), prefix: Key::new("p").ok().into() };
        error(failure, &names, is_anonymous, Operation::Write, "k")
    }

    #[test]
    fn classes_and_mends() {
        for (status, reason, is_anonymous, class, mend) in [
            (404, NO_BUCKET, false, ErrorClass::Misconfigured, "buckets create gs://b"),
            (401, "authError", false, ErrorClass::Denied, "log in again"),
            (401, "required", true, ErrorClass::Denied, "anonymous = false"),
            (403, "forbidden", false, ErrorClass::Denied, "storage.objects.create"),
            (307, "", false, ErrorClass::Misconfigured, "endpoint"),
        ] {
            let error = told(refused(status, reason, "told so"), is_anonymous);
            assert_eq!(error.class(), class, "{status} {reason}");
            assert!(error.hint().unwrap_or_default().contains(mend), "{status} {reason}: {:?}", error.hint());
            assert!(error.to_string().starts_with("writing gs://b/p/k: "), "{error}");
        }
        for (status, reason, class) in [
            (404, "notFound", ErrorClass::NotFound),
            (403, "rateLimitExceeded", ErrorClass::Throttled { retry_after: None }),
            (503, "backendError", ErrorClass::Throttled { retry_after: None }),
            (500, "backendError", ErrorClass::Transient),
        ] {
            let error = told(refused(status, reason, "told so"), false);
            assert_eq!((error.class(), error.hint()), (class, None), "{status} {reason}");
        }
    }

    #[test]
    fn what_is_missing() {
        let said = |message| missing(&refused(404, "notFound", message));
        assert!(matches!(said("The specified bucket does not exist."), Missing::Bucket));
        assert!(matches!(said("No such object: b/k"), Missing::Object));
        assert!(matches!(said("Not Found"), Missing::Unsaid));
    }

    #[test]
    fn one_object_that_is_written_too_often() {
        let message = "The object b/k exceeded the rate limit for object mutation operations (create, update, and delete).";
        assert!(is_of_one_object(&refused(429, "rateLimitExceeded", message)));
        assert!(!is_of_one_object(&refused(429, "rateLimitExceeded", "Too many requests")));
    }
}
