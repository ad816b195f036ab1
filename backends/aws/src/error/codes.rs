//! What the names of errors mean that services of AWS have in common, and how each is mended.

use rustwren_core::error::ErrorClass;

use super::{Cause, Failure};

/// Codes that ask for a slower pace.
const THROTTLES: &[&str] = &[
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "TooManyRequestsException",
];

/// Codes of passing trouble whose status does not say so.
const TRANSIENT: &[&str] = &[
    "BadDigest",
    "IncompleteBody",
    "RequestTimeout",
    "RequestTimeoutException",
    "TemporaryRedirect",
    "XAmzContentChecksumMismatch",
    "XAmzContentSHA256Mismatch",
];

/// Credentials that were good once.
const EXPIRED: &[&str] = &["ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"];

/// Credentials that the service does not know.
const UNKNOWN_KEY: &[&str] = &[
    "AuthFailure",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "UnrecognizedClientException",
];

/// Signatures that do not fit.
const BAD_SIGNATURE: &[&str] = &["InvalidSignatureException", "SignatureDoesNotMatch"];

/// Clocks that differ too much.
const CLOCK: &[&str] = &["RequestInTheFuture", "RequestTimeTooSkewed"];

/// Permissions that are missing.
const DENIED: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "AccountProblem",
    "AllAccessDisabled",
    "NotSignedUp",
    "OptInRequired",
    "UnauthorizedAccess",
    "UnauthorizedOperation",
];

fn is(failure: &Failure, codes: &[&str]) -> bool {
    codes.contains(&failure.code())
}

/// What a service's refusal means.
pub(super) fn class(failure: &Failure) -> ErrorClass {
    let retry_after = failure.retry_after;
    if is(failure, THROTTLES) {
        return ErrorClass::Throttled { retry_after };
    }
    if is(failure, TRANSIENT) {
        return ErrorClass::Transient;
    }
    if is(failure, CLOCK) {
        return ErrorClass::Misconfigured;
    }
    if [EXPIRED, UNKNOWN_KEY, BAD_SIGNATURE, DENIED].iter().any(|codes| is(failure, codes)) {
        return ErrorClass::Denied;
    }
    match failure.status {
        Some(429 | 503) => ErrorClass::Throttled { retry_after },
        Some(401 | 403) => ErrorClass::Denied,
        Some(404) => ErrorClass::NotFound,
        Some(301 | 307 | 308 | 405 | 501) => ErrorClass::Misconfigured,
        Some(408 | 500..) => ErrorClass::Transient,
        Some(400..500) => ErrorClass::Invalid,
        _ => ErrorClass::Internal,
    }
}

/// How to mend it.
pub(super) fn hint(failure: &Failure) -> Option<String> {
    let hint = match failure.cause {
        Cause::NoCredentials => {
            "log in (`aws configure`, `aws sso login`), set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or set `profile`"
        }
        Cause::Refused if is(failure, EXPIRED) => {
            "the credentials have expired: log in again (`aws sso login`), or renew AWS_SESSION_TOKEN and the keys beside it"
        }
        Cause::Refused if is(failure, UNKNOWN_KEY) => {
            "the access key is not known there: check AWS_ACCESS_KEY_ID, AWS_PROFILE or `profile`, and that `endpoint` is the \
             service that gave the key"
        }
        Cause::Refused if is(failure, BAD_SIGNATURE) => {
            "the secret access key does not belong to the access key, or something on the way changes requests"
        }
        Cause::Refused if is(failure, CLOCK) => "set this machine's clock: requests are signed with the time",
        Cause::Broken if failure.status.is_none() => {
            "is `endpoint` (or AWS_ENDPOINT_URL) right, and is the network there?"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::testing::refused;

    #[test]
    fn classes() {
        let throttled = ErrorClass::Throttled { retry_after: None };
        for (status, code, class) in [
            (503, "SlowDown", throttled),
            (503, "ServiceUnavailable", throttled),
            (503, "", throttled),
            (429, "TooManyRequestsException", throttled),
            (400, "ThrottlingException", throttled),
            (500, "InternalError", ErrorClass::Transient),
            (502, "", ErrorClass::Transient),
            (400, "RequestTimeout", ErrorClass::Transient),
            (400, "ExpiredToken", ErrorClass::Denied),
            (403, "ExpiredTokenException", ErrorClass::Denied),
            (403, "InvalidAccessKeyId", ErrorClass::Denied),
            (400, "UnrecognizedClientException", ErrorClass::Denied),
            (403, "SignatureDoesNotMatch", ErrorClass::Denied),
            (403, "RequestTimeTooSkewed", ErrorClass::Misconfigured),
            (403, "AccessDenied", ErrorClass::Denied),
            (403, "", ErrorClass::Denied),
            (404, "ResourceNotFoundException", ErrorClass::NotFound),
            (400, "ValidationException", ErrorClass::Invalid),
            (501, "NotImplemented", ErrorClass::Misconfigured),
        ] {
            assert_eq!(refused(status, code, &[]).class(), class, "{status} {code}");
        }
    }

    #[test]
    fn what_can_be_mended_says_how() {
        for (code, words) in [
            ("ExpiredToken", "expired"),
            ("InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
            ("SignatureDoesNotMatch", "secret access key"),
            ("RequestTimeTooSkewed", "clock"),
        ] {
            let hint = hint(&refused(403, code, &[])).unwrap_or_default();
            assert!(hint.contains(words), "{code}: {hint}");
        }
        assert!(hint(&Failure::ours(Cause::NoCredentials, "")).unwrap_or_default().contains("aws configure"));
        assert!(hint(&Failure::ours(Cause::Broken, "")).unwrap_or_default().contains("endpoint"));
        assert_eq!(hint(&refused(500, "InternalError", &[])), None);
    }
}
