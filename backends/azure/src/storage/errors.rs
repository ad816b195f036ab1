//! What Blob storage's own errors mean, and how each is mended.

use rustwren_core::error::BackendError;
use rustwren_core::storage::remote::Operation;

use super::Names;
use crate::error::{Cause, Failure};

/// The permission of a shared access signature.
fn letters(operation: Operation) -> &'static str {
    match operation {
        Operation::Read => "r",
        Operation::Write => "c and w",
        Operation::List => "l",
        Operation::Delete => "d",
    }
}

/// The condition of a write or read does not hold. Not every 412 says so: one may be about a lease.
pub(super) fn is_unmet(failure: &Failure) -> bool {
    match failure.code() {
        "BlobAlreadyExists" | "ConditionNotMet" | "TargetConditionNotMet" => true,
        code => code.is_empty() && failure.status == Some(412),
    }
}

/// The range starts at or after the end of the object.
pub(super) fn is_past_the_end(failure: &Failure) -> bool {
    failure.status == Some(416) || failure.code() == "InvalidRange"
}

/// What such a range comes to where the service does not refuse it.
pub(super) fn past_the_end() -> Failure {
    let mut failure = Failure::ours(Cause::Refused, "");
    failure.code = Some("InvalidRange".to_owned());
    failure.status = Some(416);
    failure
}

/// There is no such object, in a container that is there.
pub(super) fn is_missing(failure: &Failure) -> bool {
    failure.code() == "BlobNotFound"
}

/// Blocks that were sent are not, or no longer, there: whoever writes a blob removes all that others have sent for it.
pub(super) fn are_blocks_gone(failure: &Failure) -> bool {
    matches!(failure.code(), "InvalidBlockList" | "InvalidBlobOrBlock")
}

/// The error for the caller, about this key (or prefix).
pub(super) fn error(failure: Failure, names: &Names, operation: Operation, key: &str) -> BackendError {
    let class = failure.class();
    let attempted = format!("{} {}", operation.verb(), names.location(key));
    let hint = hint(&failure, names, operation).or_else(|| failure.hint());
    failure.into_error_as(class, hint, &attempted)
}

fn hint(failure: &Failure, names: &Names, operation: Operation) -> Option<String> {
    let Names { container, .. } = names;
    if failure.cause != Cause::Refused {
        return None;
    }
    match failure.code() {
        "ContainerNotFound" | "ResourceNotFound" => Some(format!(
            "container {container} does not exist: make it (`az storage container create`), or set `container` in [storage] \
             to one that does"
        )),
        "AuthorizationPermissionMismatch" => Some(format!(
            "give whoever logs in the role `Storage Blob Data Contributor` on the container {container}, or a shared \
             access signature the permission {}",
            letters(operation)
        )),
        "LeaseIdMissing" => {
            Some("somebody holds a lease on the blob: `az storage blob lease break`".to_owned())
        }
        "BlobImmutableDueToPolicy" => {
            Some(format!("the container {container} has an immutability policy: use one that has none"))
        }
        "InvalidBlobType" => Some("something else than a block blob has this name: remove it".to_owned()),
        "" if failure.status == Some(404) => {
            Some("this is not the answer of a Blob service: is `endpoint` in [storage] right?".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rustwren_core::error::ErrorClass;
    use rustwren_core::storage::Key;

    use super::*;
    use crate::error::testing::refused;

    fn names() -> Names {
        let url = "https://one.blob.core.windows.net/jobs".to_owned();
        Names { container: "jobs".to_owned(), url, prefix: Key::new("p").ok().into() }
    }

    #[test]
    fn classes_and_mends() {
        for (status, code, class, mend) in [
            (404, "ContainerNotFound", ErrorClass::Misconfigured, "container create"),
            (403, "AuthorizationPermissionMismatch", ErrorClass::Denied, "permission c and w"),
            (412, "LeaseIdMissing", ErrorClass::Misconfigured, "lease break"),
            (409, "BlobImmutableDueToPolicy", ErrorClass::Misconfigured, "immutability"),
            (409, "InvalidBlobType", ErrorClass::Misconfigured, "block blob"),
            (404, "", ErrorClass::Misconfigured, "endpoint"),
        ] {
            let error = error(refused(status, code, &[], ""), &names(), Operation::Write, "k");
            assert_eq!(error.class(), class, "{status} {code}");
            assert!(error.hint().unwrap_or_default().contains(mend), "{status} {code}: {:?}", error.hint());
            let text = error.to_string();
            assert!(text.starts_with("writing https://one.blob.core.windows.net/jobs/p/k: "), "{text}");
        }
    }

    #[test]
    fn what_needs_no_mend_has_none() {
        for (status, code, class) in [
            (404, "BlobNotFound", ErrorClass::NotFound),
            (500, "InternalError", ErrorClass::Transient),
            (503, "ServerBusy", ErrorClass::Throttled { retry_after: None }),
            (400, "InvalidBlockList", ErrorClass::Transient),
        ] {
            let error = error(refused(status, code, &[], ""), &names(), Operation::Read, "k");
            assert_eq!((error.class(), error.hint()), (class, None), "{status} {code}");
        }
    }

    #[test]
    fn conditions_that_do_not_hold() {
        for (status, code, unmet) in [
            (409, "BlobAlreadyExists", true),
            (412, "ConditionNotMet", true),
            (412, "", true),
            (412, "LeaseIdMissing", false),
            (409, "BlobImmutableDueToPolicy", false),
        ] {
            assert_eq!(is_unmet(&refused(status, code, &[], "")), unmet, "{status} {code}");
        }
    }
}
