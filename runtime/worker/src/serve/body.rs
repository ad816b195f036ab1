//! The body of a call that was let in.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::body::{Body as _, Incoming};
use rustwren_core::auth::BodyCheck;
use rustwren_core::error::{BackendError, ErrorClass};
use tokio::time::timeout;

use super::Shared;
use super::handler::unauthorized;
use super::reply::Reply;

/// A body of a call that is refused is read all the same if it is no longer than this, so that the connection can
/// be used again.
const SPARED: u64 = 64 << 10;

/// Reads it: the whole body, if it is the one that was signed, where it was, and no longer than allowed.
pub(super) async fn read(
    shared: &Shared,
    mut body: Incoming,
    mut check: Option<BodyCheck>,
) -> Result<Bytes, Reply> {
    let most = shared.config.max_body;
    let announced = body.size_hint().lower();
    if announced > most as u64 {
        return Err(too_long(most));
    }
    let mut first = None;
    let mut more = BytesMut::new();
    loop {
        let frame = match timeout(shared.config.header_timeout, body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) | Err(_) => {
                let broken = BackendError::new(ErrorClass::Transient, "the call's body did not come in time");
                return Err(Reply::error(&broken).with_status(StatusCode::REQUEST_TIMEOUT));
            }
        };
        let Ok(data) = frame.into_data() else { continue };
        if first.as_ref().map_or(0, Bytes::len) + more.len() + data.len() > most {
            return Err(too_long(most));
        }
        if let Some(check) = &mut check {
            check.update(&data);
        }
        // Most bodies come in one piece, which is not copied.
        match &first {
            None => first = Some(data),
            Some(begin) => {
                if more.is_empty() {
                    more.reserve(usize::try_from(announced).unwrap_or(most).min(most));
                    more.extend_from_slice(begin);
                    first = Some(Bytes::new());
                }
                more.extend_from_slice(&data);
            }
        }
    }
    if check.is_some_and(|check| !check.is_right()) {
        shared.metrics.denied.count();
        tracing::debug!("a call's body is not the one that was signed");
        return Err(unauthorized());
    }
    shared.metrics.received_bytes.add((first.as_ref().map_or(0, Bytes::len) + more.len()) as u64);
    Ok(if more.is_empty() { first.unwrap_or_default() } else { more.freeze() })
}

/// Reads the short body of a call that is refused.
pub(super) async fn discard(shared: &Shared, mut body: Incoming) {
    if body.size_hint().upper().is_none_or(|bytes| bytes > SPARED) {
        return;
    }
    let all = async { while let Some(Ok(_)) = body.frame().await {} };
    if timeout(shared.config.header_timeout, all).await.is_err() {
        tracing::debug!("the body of a call that is refused does not come");
    }
}

fn too_long(most: usize) -> Reply {
    let message = format!("the call's body is longer than the runtime takes ({most} bytes)");
    let error = BackendError::new(ErrorClass::Invalid, message)
        .with_hint("raise `max_body` in the runtime's configuration, or use smaller chunks");
    Reply::error(&error).with_status(StatusCode::PAYLOAD_TOO_LARGE)
}
