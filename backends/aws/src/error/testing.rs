//! Failures for tests.

use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::error::ErrorMetadata;

use super::Failure;

/// What comes of an answer with this status, code (none where empty) and headers.
pub(crate) fn refused(status: u16, code: &str, headers: &[(&'static str, &'static str)]) -> Failure {
    let mut answer = HttpResponse::new(status.try_into().unwrap(), SdkBody::empty());
    for (name, value) in headers {
        answer.headers_mut().insert(*name, *value);
    }
    let mut meta = ErrorMetadata::builder().message("told so");
    if !code.is_empty() {
        meta = meta.code(code);
    }
    Failure::of(&SdkError::service_error(GetObjectError::generic(meta.build()), answer))
}
