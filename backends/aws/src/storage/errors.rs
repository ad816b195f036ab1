//! What S3's own errors mean, and how each is mended.

use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::storage::remote::Operation;

use super::names::Names;
use crate::error::{Cause, Failure};

/// Two conditional writes have met; which of them was first is not decided yet.
pub(super) const CONFLICT: &str = "ConditionalRequestConflict";

/// Codes that say that the bucket is in another region.
const ELSEWHERE: &[&str] =
    &["AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect", "Redirect"];

/// The condition of a write or read does not hold.
pub(super) fn is_unmet(failure: &Failure) -> bool {
    failure.status == Some(412) || failure.code() == "PreconditionFailed"
}

/// The range starts at or after the end of the object.
pub(super) fn is_past_the_end(failure: &Failure) -> bool {
    failure.status == Some(416) || failure.code() == "InvalidRange"
}

/// The upload in parts is not, or no longer, known.
pub(super) fn is_no_upload(failure: &Failure) -> bool {
    failure.code() == "NoSuchUpload"
}

/// What it means.
pub(super) fn class(failure: &Failure) -> ErrorClass {
    match failure.code() {
        CONFLICT | "OperationAborted" => ErrorClass::Transient,
        "NoSuchKey" => ErrorClass::NotFound,
        "NoSuchBucket" | "InvalidBucketName" | "InvalidBucketState" | "NotImplemented" => {
            ErrorClass::Misconfigured
        }
        "NoSuchUpload" => ErrorClass::Internal,
        "EntityTooLarge" | "KeyTooLongError" => ErrorClass::Invalid,
        code if ELSEWHERE.contains(&code) => ErrorClass::Misconfigured,
        _ if failure.cause == Cause::Refused && failure.status == Some(301) => ErrorClass::Misconfigured,
        _ => failure.class(),
    }
}

/// The error for the caller, about this key (or prefix).
pub(super) fn error(failure: Failure, names: &Names, operation: Operation, key: &str) -> BackendError {
    let class = class(&failure);
    let hint = hint(&failure, names, operation);
    let attempted = format!("{} {}", operation.verb(), names.location(key));
    let hint = hint.or_else(|| failure.hint());
    failure.into_error_as(class, hint, &attempted)
}

fn hint(failure: &Failure, names: &Names, operation: Operation) -> Option<String> {
    if let Some(region) = region(failure, names) {
        return Some(format!(
            "bucket {} is in region {region}: set `region = \"{region}\"` in [storage]",
            names.bucket
        ));
    }
    match failure.code() {
        "NoSuchBucket" => Some(format!(
            "bucket {} does not exist: run `rustwren setup`, or set `bucket` in [storage] to one that does",
            names.bucket
        )),
        "NotImplemented" if operation == Operation::Write => {
            Some("the service at `endpoint` may not know If-None-Match, by which a result is written once: use one that does".to_owned())
        }
        "AccessDenied" => Some(permission(names, operation)),
        "" if failure.cause == Cause::Refused && failure.status == Some(403) => Some(permission(names, operation)),
        code if ELSEWHERE.contains(&code) => {
            Some(format!("set `region` in [storage] to the region of bucket {}", names.bucket))
        }
        _ => None,
    }
}

/// What whoever calls must be allowed.
fn permission(names: &Names, operation: Operation) -> String {
    let Names { bucket, .. } = names;
    let objects = names.arn();
    match operation {
        Operation::Read => format!(
            "allow s3:GetObject on {objects}, and s3:ListBucket on arn:aws:s3:::{bucket}: without it S3 says so of objects \
             that are not there"
        ),
        Operation::Write => format!("allow s3:PutObject and s3:AbortMultipartUpload on {objects}"),
        Operation::List => format!("allow s3:ListBucket on arn:aws:s3:::{bucket}"),
        Operation::Delete => format!("allow s3:DeleteObject on {objects}"),
    }
}

/// The region of the bucket, where S3 says that it is another one.
fn region(failure: &Failure, names: &Names) -> Option<String> {
    // `The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'`
    let said = || {
        let (_, rest) = failure.message().split_once("expecting '")?;
        rest.split_once('\'').map(|(region, _)| region.to_owned())
    };
    let region = failure.region.clone().or_else(said)?;
    (failure.cause == Cause::Refused && region != names.region).then_some(region)
}

#[cfg(test)]
mod tests {
    use rustwren_core::storage::Key;

    use super::*;
    use crate::error::testing::refused;

    fn names() -> Names {
        Names { bucket: "b".to_owned(), prefix: Key::new("p").ok().into(), region: "us-east-1".to_owned() }
    }

    #[test]
    fn classes_and_mends() {
        let region: &[(&str, &str)] = &[("x-amz-bucket-region", "eu-west-1")];
        for (status, code, headers, class, mend) in [
            (404, "NoSuchBucket", &[][..], ErrorClass::Misconfigured, "rustwren setup"),
            (301, "PermanentRedirect", region, ErrorClass::Misconfigured, "region = \"eu-west-1\""),
            (301, "", region, ErrorClass::Misconfigured, "region = \"eu-west-1\""),
            (
                400,
                "AuthorizationHeaderMalformed",
                region,
                ErrorClass::Misconfigured,
                "region = \"eu-west-1\"",
            ),
            (400, "AuthorizationHeaderMalformed", &[], ErrorClass::Misconfigured, "set `region`"),
            (403, "AccessDenied", &[], ErrorClass::Denied, "s3:PutObject"),
            (403, "", &[], ErrorClass::Denied, "arn:aws:s3:::b/p/*"),
            (400, "ExpiredToken", &[], ErrorClass::Denied, "expired"),
            (501, "NotImplemented", &[], ErrorClass::Misconfigured, "If-None-Match"),
        ] {
            let error = error(refused(status, code, headers), &names(), Operation::Write, "k");
            assert_eq!(error.class(), class, "{status} {code}");
            assert!(error.hint().unwrap_or_default().contains(mend), "{status} {code}: {:?}", error.hint());
            assert!(error.to_string().starts_with("writing s3://b/p/k: "), "{error}");
        }
    }

    #[test]
    fn what_needs_no_mend_has_none() {
        for (status, code, class) in [
            (404, "NoSuchKey", ErrorClass::NotFound),
            (409, "ConditionalRequestConflict", ErrorClass::Transient),
            (409, "OperationAborted", ErrorClass::Transient),
            (503, "SlowDown", ErrorClass::Throttled { retry_after: None }),
            (500, "InternalError", ErrorClass::Transient),
        ] {
            // S3 names the bucket's region in answers of all kinds.
            let error = error(
                refused(status, code, &[("x-amz-bucket-region", "us-east-1")]),
                &names(),
                Operation::Read,
                "k",
            );
            assert_eq!((error.class(), error.hint()), (class, None), "{status} {code}");
        }
    }
}
