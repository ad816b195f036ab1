//! What the names of errors mean that services of storage accounts have in common, and how each is mended.
//!
//! <https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes>

use rustwren_core::error::ErrorClass;

use super::{Cause, Failure, is_about_times};

/// Codes that ask for a slower pace.
const THROTTLES: &[&str] =
    &["ServerBusy", "TooManyRequests", "AccountIOPSLimitExceeded", "IngressLimitExceeded"];

/// Codes of passing trouble whose status does not say so.
const TRANSIENT: &[&str] = &[
    "ContainerBeingDeleted",
    "IncompleteBody",
    "InternalError",
    // Another write of the same name has removed blocks that are not committed.
    "InvalidBlobOrBlock",
    "InvalidBlockList",
    "Md5Mismatch",
    "OperationTimedOut",
    "QueueBeingDeleted",
    "RequestTimeout",
];

/// Credentials that are not good.
const NOT_AUTHENTICATED: &[&str] =
    &["AuthenticationFailed", "InvalidAuthenticationInfo", "NoAuthenticationInformation"];

/// Permissions that are missing.
const DENIED: &[&str] = &[
    "AccountIsDisabled",
    "AuthorizationFailure",
    "AuthorizationPermissionMismatch",
    "AuthorizationProtocolMismatch",
    "AuthorizationResourceTypeMismatch",
    "AuthorizationServiceMismatch",
    "AuthorizationSourceIPMismatch",
    "InsufficientAccountPermissions",
    "KeyBasedAuthenticationNotPermitted",
    "UnauthorizedBlobOverwrite",
];

/// What is not as it must be for this to work.
const MISCONFIGURED: &[&str] = &[
    "BlobImmutableDueToPolicy",
    "ContainerDisabled",
    "ContainerNotFound",
    "InvalidBlobType",
    "InvalidHeaderValue",
    "InvalidResourceName",
    "LeaseIdMissing",
    "OutOfRangeInput",
    "QueueDisabled",
    "QueueNotFound",
    "ResourceNotFound",
];

/// What is not there, where everything around it is.
const NOT_FOUND: &[&str] = &["BlobNotFound", "MessageNotFound"];

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
    if [NOT_AUTHENTICATED, DENIED].iter().any(|codes| is(failure, codes)) {
        return ErrorClass::Denied;
    }
    if is(failure, MISCONFIGURED) {
        return ErrorClass::Misconfigured;
    }
    if is(failure, NOT_FOUND) {
        return ErrorClass::NotFound;
    }
    match failure.status {
        Some(429 | 503) => ErrorClass::Throttled { retry_after },
        Some(401 | 403) => ErrorClass::Denied,
        // Who misses an object says so by a code of his own; this is somebody else.
        Some(301 | 302 | 307 | 308 | 404 | 405 | 501) => ErrorClass::Misconfigured,
        Some(408 | 500..) => ErrorClass::Transient,
        Some(400..500) => ErrorClass::Invalid,
        _ => ErrorClass::Internal,
    }
}

/// How to mend it.
pub(super) fn hint(failure: &Failure) -> Option<String> {
    let hint = match failure.cause {
        Cause::NoCredentials => crate::client::LOG_IN,
        Cause::Unreachable => "is `account` (or `endpoint`) right, and is the network there?",
        Cause::NotSent if failure.message.contains("cannot be trusted") => {
            "set `tls_ca` to the certificate that has signed the server's"
        }
        Cause::Refused => refused(failure)?,
        _ => return None,
    };
    Some(hint.to_owned())
}

/// What a signature comes to that is not valid now.
const EXPIRED: &str = "the shared access signature or token has expired, or is not valid yet: make a new one, or set this machine's clock";

fn refused(failure: &Failure) -> Option<&'static str> {
    Some(match failure.code() {
        // Azurite has the second name for the first.
        "AuthenticationFailed" | "AuthorizationFailure" if is_about_times(&failure.message) => EXPIRED,
        "AuthenticationFailed" => {
            "the key, signature or token is not one of this account (AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN, \
             AZURE_STORAGE_CONNECTION_STRING, `account`), the signature has expired, or this machine's clock is wrong"
        }
        "InvalidAuthenticationInfo" => {
            "the token or signature is not one that this account takes: log in again (`az login`), at the account's tenant"
        }
        "NoAuthenticationInformation" => crate::client::LOG_IN,
        "KeyBasedAuthenticationNotPermitted" => {
            "the account takes no keys: unset AZURE_STORAGE_CONNECTION_STRING and AZURE_STORAGE_KEY, and log in by `az login`"
        }
        "AuthorizationFailure" => {
            "the account's firewall keeps this machine out; or the key or signature (AZURE_STORAGE_KEY, \
             AZURE_STORAGE_SAS_TOKEN, AZURE_STORAGE_CONNECTION_STRING) is not one of this account, has expired, or lacks a \
             permission"
        }
        "AuthorizationSourceIPMismatch" => "the signature is for other addresses than this machine's",
        "AuthorizationProtocolMismatch" => "the signature is for https alone",
        "AuthorizationServiceMismatch" | "AuthorizationResourceTypeMismatch" => {
            "make the signature for blobs (and queues) of the account, with containers and objects"
        }
        "UnauthorizedBlobOverwrite" => "the signature allows to create and not to write: make one with both",
        "AccountIsDisabled" => "the account, or its subscription, is disabled",
        "InvalidHeaderValue" if failure.message.contains("API version") => {
            "the service at `endpoint` is older than this program: Azurite takes it with --skipApiVersionCheck"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::testing::refused;

    #[test]
    fn classes() {
        let throttled = ErrorClass::Throttled { retry_after: None };
        for (status, code, class) in [
            (503, "ServerBusy", throttled),
            (503, "", throttled),
            (429, "", throttled),
            (500, "OperationTimedOut", ErrorClass::Transient),
            (500, "InternalError", ErrorClass::Transient),
            (502, "", ErrorClass::Transient),
            (409, "ContainerBeingDeleted", ErrorClass::Transient),
            (403, "AuthenticationFailed", ErrorClass::Denied),
            (403, "AuthorizationPermissionMismatch", ErrorClass::Denied),
            (401, "NoAuthenticationInformation", ErrorClass::Denied),
            (401, "InvalidAuthenticationInfo", ErrorClass::Denied),
            (400, "InvalidAuthenticationInfo", ErrorClass::Denied),
            (404, "", ErrorClass::Misconfigured),
            (400, "InvalidQueryParameterValue", ErrorClass::Invalid),
        ] {
            assert_eq!(refused(status, code, &[], "").class(), class, "{status} {code}");
        }
    }

    #[test]
    fn what_can_be_mended_says_how() {
        let expired = "<Error><Message>m</Message><AuthenticationErrorDetail>Signature not valid in the specified time \
                       frame</AuthenticationErrorDetail></Error>";
        for (status, code, body, words) in [
            (403, "AuthenticationFailed", "", "AZURE_STORAGE_KEY"),
            (403, "AuthenticationFailed", expired, "has expired"),
            (403, "KeyBasedAuthenticationNotPermitted", "", "az login"),
            (401, "NoAuthenticationInformation", "", "az login"),
            (403, "AuthorizationFailure", "", "firewall"),
        ] {
            let hint = hint(&refused(status, code, &[], body)).unwrap_or_default();
            assert!(hint.contains(words), "{code}: {hint}");
        }
        assert!(hint(&Failure::ours(Cause::NoCredentials, "")).unwrap_or_default().contains("az login"));
        assert!(hint(&Failure::ours(Cause::Unreachable, "")).unwrap_or_default().contains("endpoint"));
        assert_eq!(hint(&refused(500, "InternalError", &[], "")), None);
    }
}
