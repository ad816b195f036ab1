//! What Lambda's refusals mean, where they mean something of their own.

use std::error::Error as StdError;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use rustwren_core::error::{BackendError, ErrorClass};

use crate::error::Failure;

/// A failed call as the error that the scheduler acts on.
pub(super) fn classed<E>(error: &SdkError<E, HttpResponse>, attempt: &str) -> BackendError
where
    E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
{
    let failure = Failure::of(error);
    let retry_after = failure.retry_after;
    let (class, hint) = match failure.code() {
        "TooManyRequestsException" => (
            ErrorClass::Throttled { retry_after },
            "Lambda allows no more at the moment: `workers` in [compute] may be less",
        ),
        "ResourceNotFoundException" => (
            ErrorClass::NotFound,
            "run `rustwren setup`, or set `function` and `region` in [compute] to where it was set up",
        ),
        // A function that is being deployed or has slept for weeks is back within moments.
        "ResourceConflictException" | "ResourceNotReadyException" | "EC2UnexpectedException" => {
            return failure.into_error_as(ErrorClass::Transient, None, attempt);
        }
        "ENILimitReachedException" | "SubnetIPAddressLimitReachedException" => (
            ErrorClass::Throttled { retry_after },
            "the function's network has no more addresses: give it larger subnets",
        ),
        "InvalidRuntimeException" | "InvalidZipFileException" => {
            (ErrorClass::Misconfigured, "`rustwren setup` deploys the runtime anew")
        }
        "RecursiveInvocationException" => (
            ErrorClass::Denied,
            "Lambda takes jobs within jobs within jobs for an endless loop: allow it in the function's settings",
        ),
        "InvalidRequestContentException" => {
            return failure.into_error_as(ErrorClass::Internal, None, attempt);
        }
        code if code.starts_with("KMS") || code.starts_with("EFS") => {
            (ErrorClass::Misconfigured, "the function's own settings keep it from starting")
        }
        _ => return failure.into_error(attempt),
    };
    failure.into_error_as(class, Some(hint.to_owned()), attempt)
}

/// What is wrong where nobody names a region.
pub(super) fn no_region() -> BackendError {
    BackendError::new(ErrorClass::Misconfigured, "no region is set for the Lambda function")
        .with_hint("set `region` in [compute], AWS_REGION, or `region` of the profile in ~/.aws/config")
}

#[cfg(test)]
mod tests {
    use aws_sdk_lambda::operation::invoke::InvokeError;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    fn refused(status: u16, code: &str) -> BackendError {
        let mut answer = HttpResponse::new(status.try_into().unwrap(), SdkBody::empty());
        answer.headers_mut().insert("retry-after", "3");
        let meta = ErrorMetadata::builder().code(code).message("told so").build();
        classed(&SdkError::service_error(InvokeError::generic(meta), answer), "invoking f")
    }

    #[test]
    fn refusals_are_classed() {
        let throttled = ErrorClass::Throttled { retry_after: Some(std::time::Duration::from_secs(3)) };
        for (status, code, class) in [
            (429, "TooManyRequestsException", throttled),
            (502, "EC2ThrottledException", throttled),
            (502, "SubnetIPAddressLimitReachedException", throttled),
            (404, "ResourceNotFoundException", ErrorClass::NotFound),
            (409, "ResourceConflictException", ErrorClass::Transient),
            (502, "ResourceNotReadyException", ErrorClass::Transient),
            (500, "ServiceException", ErrorClass::Transient),
            (502, "InvalidZipFileException", ErrorClass::Misconfigured),
            (502, "KMSAccessDeniedException", ErrorClass::Misconfigured),
            (403, "AccessDeniedException", ErrorClass::Denied),
            (403, "ExpiredTokenException", ErrorClass::Denied),
            (413, "RequestTooLargeException", ErrorClass::Invalid),
            (400, "RecursiveInvocationException", ErrorClass::Denied),
        ] {
            assert_eq!(refused(status, code).class(), class, "{code}");
        }
        assert!(refused(404, "ResourceNotFoundException").hint().unwrap().contains("rustwren setup"));
    }
}
