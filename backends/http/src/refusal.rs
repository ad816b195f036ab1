//! What went wrong with a call, in classes. The one place that knows what statuses mean.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::RETRY_AFTER;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::protocol::answer::{Answer, AnswerReader};

use crate::access::{Access, Refused};

/// The error of a call that was refused. The runtime's own words go first, then what `access` makes of it.
pub(crate) fn of_answer(refused: &Refused<'_>, access: &dyn Access) -> BackendError {
    of_runtime(refused.body).or_else(|| access.refusal(refused)).unwrap_or_else(|| of_status(refused))
}

fn of_status(refused: &Refused<'_>) -> BackendError {
    let &Refused { place, status, headers, .. } = refused;
    let retry_after = || {
        let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
        Some(Duration::from_secs(seconds))
    };
    let (class, hint) = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => (ErrorClass::Denied, None),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            (ErrorClass::Misconfigured, Some("is something other than RustWren's runtime at this address?"))
        }
        StatusCode::PAYLOAD_TOO_LARGE => (
            ErrorClass::Invalid,
            Some(
                "let more through in between (nginx: `client_max_body_size`), or lower `max_inline` in [compute] of \
                 the configuration",
            ),
        ),
        StatusCode::TOO_MANY_REQUESTS => (ErrorClass::Throttled { retry_after: retry_after() }, None),
        StatusCode::REQUEST_TIMEOUT => (ErrorClass::Transient, None),
        status if status.is_server_error() => (ErrorClass::Transient, None),
        _ => (ErrorClass::Misconfigured, Some("is `url` the address of RustWren's runtimes?")),
    };
    let error = BackendError::new(class, format!("{place} answered {status}"));
    error.with_optional_hint(hint)
}

/// The error that a runtime says in its own words.
fn of_runtime(body: &[u8]) -> Option<BackendError> {
    let mut reader = AnswerReader::new();
    reader.extend(body);
    match reader.read() {
        Ok(Some(Answer::Refused(error))) => Some(error),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderMap;
    use rustwren_core::auth::Secrets;
    use rustwren_core::protocol::answer::PREAMBLE;

    use super::*;
    use crate::access::Signed;

    fn error(status: u16, headers: &HeaderMap, body: &[u8]) -> BackendError {
        let access = Signed::new(&Secrets::parse(&"x".repeat(32)).unwrap()).unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        of_answer(&Refused { place: "http://x", status, headers, body }, &access)
    }

    fn class(status: u16, retry_after: Option<&'static str>, body: &[u8]) -> ErrorClass {
        let mut headers = HeaderMap::new();
        if let Some(value) = retry_after {
            headers.insert(RETRY_AFTER, value.parse().unwrap());
        }
        error(status, &headers, body).class()
    }

    #[test]
    fn statuses_have_classes() {
        let throttled = |retry_after| ErrorClass::Throttled { retry_after };
        for (status, expected) in [
            (301, ErrorClass::Misconfigured),
            (400, ErrorClass::Misconfigured),
            (401, ErrorClass::Denied),
            (403, ErrorClass::Denied),
            (404, ErrorClass::Misconfigured),
            (408, ErrorClass::Transient),
            (413, ErrorClass::Invalid),
            (429, throttled(None)),
            (500, ErrorClass::Transient),
            (502, ErrorClass::Transient),
            (503, ErrorClass::Transient),
            (504, ErrorClass::Transient),
        ] {
            assert_eq!(class(status, None, b"<html>"), expected, "{status}");
        }
        assert_eq!(class(429, Some("7"), b""), throttled(Some(Duration::from_secs(7))));
        assert_eq!(class(429, Some("Wed, 21 Oct 2015 07:28:00 GMT"), b""), throttled(None));
    }

    #[test]
    fn a_runtimes_own_words_go_before_the_status() {
        let mut body = PREAMBLE.to_vec();
        Answer::append_refused(
            &mut body,
            &BackendError::new(ErrorClass::NotFound, "there is no object k").with_hint("h"),
        );
        let error = error(404, &HeaderMap::new(), &body);
        assert_eq!((error.class(), error.hint()), (ErrorClass::NotFound, Some("h")));
        assert_eq!(error.to_string(), "there is no object k");
    }
}
