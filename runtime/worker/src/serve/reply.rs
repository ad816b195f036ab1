//! What is said in answer to a call.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream as _;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::protocol::answer::{Answer, PREAMBLE};
use rustwren_runtime::host::AnswerStream;

use super::connections::Busy;

/// An answer's body.
pub(super) struct ReplyBody {
    content: Content,
    /// The connection has a call as long as the answer is being written.
    busy: Option<Busy>,
}

enum Content {
    Whole(Option<Bytes>),
    Stream(Option<Bytes>, Box<AnswerStream>),
}

/// An answer.
pub(super) struct Reply(Response<ReplyBody>);

impl Reply {
    fn new(status: StatusCode, kind: &'static str, content: Content) -> Self {
        let mut response = Response::new(ReplyBody { content, busy: None });
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        Self(response)
    }

    /// What machines read.
    pub(super) fn json(status: StatusCode, value: &serde_json::Value) -> Self {
        Self::new(status, "application/json", Content::Whole(Some(value.to_string().into())))
    }

    /// A few words.
    pub(super) fn text(status: StatusCode, text: impl Into<Bytes>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", Content::Whole(Some(text.into())))
    }

    /// Bytes.
    pub(super) fn bytes(status: StatusCode, bytes: impl Into<Bytes>) -> Self {
        Self::new(status, "application/octet-stream", Content::Whole(Some(bytes.into())))
    }

    /// An answer of which the first part is there.
    pub(super) fn stream(first: Bytes, rest: AnswerStream) -> Self {
        let first = Some(first).filter(|first| !first.is_empty());
        Self::new(StatusCode::OK, "application/octet-stream", Content::Stream(first, Box::new(rest)))
    }

    /// An error for a caller with a secret, as one frame of an answer to an invocation. The status says as much as a
    /// balancer needs to know.
    pub(super) fn error(error: &BackendError) -> Self {
        let status = match error.class() {
            ErrorClass::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
            ErrorClass::Transient => StatusCode::SERVICE_UNAVAILABLE,
            ErrorClass::NotFound => StatusCode::NOT_FOUND,
            ErrorClass::Denied => StatusCode::FORBIDDEN,
            ErrorClass::Invalid => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut bytes = PREAMBLE.to_vec();
        Answer::append_refused(&mut bytes, error);
        let mut reply = Self::bytes(status, bytes);
        let seconds = match error.class() {
            ErrorClass::Throttled { retry_after } => retry_after.map(whole_seconds),
            ErrorClass::Transient => Some(1),
            _ => None,
        };
        if let Some(seconds) = seconds {
            reply.0.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        reply
    }

    /// With another status.
    pub(super) fn with_status(mut self, status: StatusCode) -> Self {
        *self.0.status_mut() = status;
        self
    }

    pub(super) fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// The response, which holds this until it is written.
    pub(super) fn holding(mut self, busy: Busy) -> Response<ReplyBody> {
        self.0.body_mut().busy = Some(busy);
        self.0
    }
}

/// At least this long: the header knows nothing shorter than a second.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match &mut self.content {
            Content::Whole(bytes) => bytes.take().filter(|bytes| !bytes.is_empty()),
            Content::Stream(first, rest) => match first.take() {
                Some(first) => Some(first),
                None => ready!(Pin::new(rest).poll_next(cx)),
            },
        };
        Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.content, Content::Whole(bytes) if bytes.as_ref().is_none_or(Bytes::is_empty))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Content::Stream(..) => SizeHint::default(),
        }
    }
}
