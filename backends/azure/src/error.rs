//! The one place where answers of Azure become [`BackendError`]s: what they mean for the caller, and the mend.

use std::error::Error as _;
use std::time::Duration;

use azure_core::error::{Error as SdkError, ErrorKind};
use azure_core::http::RawResponse;
use rustwren_core::error::{BackendError, ErrorClass, Reply, chain};

mod codes;

/// How a request came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The service has said no.
    Refused,
    /// There were no credentials to send with it. It was not sent.
    NoCredentials,
    /// No connection could be made. It was not sent.
    Unreachable,
    /// It cannot be sent as it is: a bug, or a setting that cannot work.
    NotSent,
    /// It was not answered in time. It may have been carried out.
    Silent,
    /// The connection failed or the answer is not what it should be. It may have been carried out.
    Broken,
}

/// A failed request, as data: without the types of the SDK, and without secrets.
#[derive(Debug)]
pub struct Failure {
    pub(crate) cause: Cause,
    /// HTTP status of the answer.
    pub(crate) status: Option<u16>,
    /// The service's own name for the error.
    pub(crate) code: Option<String>,
    /// What the service, or this side, says about it.
    pub(crate) message: String,
    request_id: Option<String>,
    /// How long the service asks to wait.
    pub(crate) retry_after: Option<Duration>,
}

impl Failure {
    /// What an SDK's error says.
    pub(crate) fn of(error: &SdkError) -> Self {
        if let ErrorKind::HttpResponse { status, raw_response, .. } = error.kind() {
            return Self::of_answer((*status).into(), raw_response.as_deref());
        }
        let cause = match error.kind() {
            ErrorKind::Credential if is_passing(error) => Cause::Unreachable,
            ErrorKind::Credential => Cause::NoCredentials,
            ErrorKind::Connection => Cause::Unreachable,
            ErrorKind::Io | ErrorKind::DataConversion => Cause::Broken,
            _ => Cause::NotSent,
        };
        Self::ours(cause, one_line(&chain(error)))
    }

    fn of_answer(status: u16, answer: Option<&RawResponse>) -> Self {
        let header =
            |name: &'static str| answer.and_then(|answer| answer.headers().get_optional_string(&name.into()));
        let body = answer.map(|answer| String::from_utf8_lossy(answer.body())).unwrap_or_default();
        let message = element(&body, "Message").unwrap_or_default();
        // Identifiers and the time follow on lines of their own.
        let mut message = unescaped(message.lines().next().unwrap_or_default().trim());
        // The details of a signature that does not fit quote it; those of its times are worth showing.
        if let Some(detail) =
            element(&body, "AuthenticationErrorDetail").filter(|detail| is_about_times(detail))
        {
            message.push(' ');
            message.push_str(detail.trim());
        }
        Self {
            cause: Cause::Refused,
            status: Some(status),
            code: header("x-ms-error-code").or_else(|| element(&body, "Code").map(str::to_owned)),
            message,
            request_id: header("x-ms-request-id"),
            retry_after: retry_after(&header),
        }
    }

    /// A failure of this side's.
    pub(crate) fn ours(cause: Cause, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { cause, status: None, code: None, message, request_id: None, retry_after: None }
    }

    /// The service's name for it, or nothing.
    pub(crate) fn code(&self) -> &str {
        self.code.as_deref().unwrap_or_default()
    }

    /// Whether the request may have been carried out all the same.
    pub(crate) fn may_have_happened(&self) -> bool {
        match self.cause {
            Cause::Silent | Cause::Broken => true,
            Cause::Refused => self.status.is_none_or(|status| status >= 500),
            Cause::NoCredentials | Cause::Unreachable | Cause::NotSent => false,
        }
    }

    /// What it means, where the service at hand has no meaning of its own for it.
    pub(crate) fn class(&self) -> ErrorClass {
        match self.cause {
            Cause::Refused => codes::class(self),
            Cause::NoCredentials => ErrorClass::Denied,
            Cause::NotSent => ErrorClass::Misconfigured,
            Cause::Silent => ErrorClass::TimedOut,
            Cause::Unreachable | Cause::Broken => ErrorClass::Transient,
        }
    }

    /// How to mend it, where the service at hand has no better mend.
    pub(crate) fn hint(&self) -> Option<String> {
        codes::hint(self)
    }

    /// The error for the caller: `attempted` (`reading azure://account/container/key`), what came back, and the mend.
    pub(crate) fn into_error_as(
        self,
        class: ErrorClass,
        hint: Option<String>,
        attempted: &str,
    ) -> BackendError {
        let error = BackendError::new(class, format!("{attempted}: {}", self.said()));
        error.with_optional_hint(hint)
    }

    /// What came back, in one line.
    fn said(&self) -> String {
        let problem = match self.cause {
            Cause::NoCredentials => Some("no credentials"),
            Cause::Unreachable => Some("it cannot be reached"),
            Cause::Silent => Some("no answer in time"),
            Cause::NotSent => Some("the request could not be made"),
            Cause::Refused | Cause::Broken => None,
        };
        let reply = Reply {
            problem,
            code: self.code.as_deref(),
            status: self.status,
            message: &self.message,
            request_id: self.request_id.as_deref(),
        };
        reply.to_string()
    }
}

/// The text of the first element of this name in an error's XML.
fn element<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

/// Without the escapes of XML that occur in messages.
fn unescaped(text: &str) -> String {
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")]
        .iter()
        .fold(text.to_owned(), |text, (escape, plain)| text.replace(escape, plain))
}

/// Whether these details are about the times in which a signature is valid.
fn is_about_times(detail: &str) -> bool {
    detail.contains("time frame") || detail.contains("expired")
}

fn retry_after(header: &impl Fn(&'static str) -> Option<String>) -> Option<Duration> {
    let number = |name| header(name)?.trim().parse::<u64>().ok();
    let millis = ["x-ms-retry-after-ms", "retry-after-ms"].into_iter().find_map(number);
    millis.map(Duration::from_millis).or_else(|| number("retry-after").map(Duration::from_secs))
}

/// Whether whoever gives credentials could not be asked, or was too busy.
fn is_passing(error: &SdkError) -> bool {
    let causes = std::iter::successors(error.source(), |&error| error.source());
    causes.filter_map(|error| error.downcast_ref::<SdkError>()).any(|error| match error.kind() {
        ErrorKind::Connection | ErrorKind::Io => true,
        ErrorKind::HttpResponse { status, .. } => matches!(u16::from(*status), 429 | 500..),
        _ => false,
    })
}

/// In one line, where some errors of the SDK have lists.
fn one_line(text: &str) -> String {
    text.split('\n').map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
pub(crate) mod testing {
    use azure_core::http::headers::Headers;

    use super::*;

    /// What comes of an answer with this status, code (none where empty), headers and body.
    pub(crate) fn refused(
        status: u16,
        code: &str,
        headers: &[(&'static str, &'static str)],
        body: &str,
    ) -> Failure {
        let mut all = Headers::new();
        for (name, value) in headers {
            all.insert(*name, *value);
        }
        if !code.is_empty() {
            all.insert("x-ms-error-code", code.to_owned());
        }
        Failure::of_answer(status, Some(&RawResponse::from_bytes(status.into(), all, body.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::testing::refused;
    use super::*;

    #[test]
    fn answers_become_one_line() {
        let body = "<?xml version=\"1.0\"?><Error><Code>AuthenticationFailed</Code><Message>Server &lt;failed&gt; to \
                    authenticate.\nRequestId:1\nTime:2</Message><AuthenticationErrorDetail>Signature not valid in the \
                    specified time frame: Start [a] - Expiry [b]</AuthenticationErrorDetail></Error>";
        let failure = refused(403, "", &[("x-ms-request-id", "r1"), ("retry-after", "7")], body);
        assert_eq!(
            (failure.code(), failure.retry_after),
            ("AuthenticationFailed", Some(Duration::from_secs(7)))
        );
        assert_eq!(
            failure.said(),
            "AuthenticationFailed (403): Server <failed> to authenticate. Signature not valid in the specified time \
             frame: Start [a] - Expiry [b] [request r1]"
        );
        let body = "<Error><Message>m</Message><AuthenticationErrorDetail>The MAC signature found in the HTTP request \
                    'c2VjcmV0' is not the same</AuthenticationErrorDetail></Error>";
        assert_eq!(refused(403, "AuthenticationFailed", &[], body).said(), "AuthenticationFailed (403): m");
        assert_eq!(refused(502, "", &[], "<html>").said(), "HTTP status 502");
        let soon = refused(503, "ServerBusy", &[("x-ms-retry-after-ms", "250"), ("retry-after", "9")], "");
        assert_eq!(soon.retry_after, Some(Duration::from_millis(250)));
    }

    #[test]
    fn errors_of_the_sdk() {
        for (kind, cause, class) in [
            (ErrorKind::Credential, Cause::NoCredentials, ErrorClass::Denied),
            (ErrorKind::Connection, Cause::Unreachable, ErrorClass::Transient),
            (ErrorKind::Io, Cause::Broken, ErrorClass::Transient),
            (ErrorKind::DataConversion, Cause::Broken, ErrorClass::Transient),
            (ErrorKind::Other, Cause::NotSent, ErrorClass::Misconfigured),
        ] {
            let failure = Failure::of(&SdkError::with_message(kind, "two\n  lines"));
            assert_eq!((failure.cause, failure.class()), (cause, class));
            assert_eq!(failure.message, "two; lines");
            assert_eq!(failure.may_have_happened(), cause == Cause::Broken);
        }
        // Whoever cannot be asked for a token now may be later.
        for (inner, cause) in
            [(ErrorKind::Connection, Cause::Unreachable), (ErrorKind::Other, Cause::NoCredentials)]
        {
            let inner = SdkError::with_message(inner, "inner");
            let failure = Failure::of(&SdkError::with_error(ErrorKind::Credential, inner, "no token"));
            assert_eq!((failure.cause, failure.message.as_str()), (cause, "no token: inner"));
        }
    }
}
