//! One connection, from its first byte to its end.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::Shared;
use super::connections::{Busy, Place};
use super::handler::handle;
use super::watched::{Patience, Watched};

/// Bytes of headers, at most, and of what is read of a body ahead of its being wanted.
const BUFFER: usize = 64 << 10;
/// The same for HTTP/2, as a sum over decoded headers.
const HEADERS: u32 = 32 << 10;
/// Calls at once on one HTTP/2 connection.
const STREAMS: u32 = 256;
/// Bytes of one call's body that may come before they are read. A connection takes as much of all of its calls together, so
/// that none that wait for a worker, unread, keep the body of one that has a worker from coming.
const STREAM_WINDOW: u32 = 512 << 10;
const CONNECTION_WINDOW: u32 = STREAMS * STREAM_WINDOW;

/// Serves it until it is over, or closing and idle.
pub(super) async fn serve(
    shared: Arc<Shared>,
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    place: Place,
    closing: watch::Receiver<bool>,
) {
    let patience = Patience { headers: shared.config.header_timeout, idle: shared.config.idle_timeout };
    let state = Arc::clone(&place.state);
    match tls {
        None => http(shared, Watched::new(stream, state, patience), &place, closing).await,
        Some(tls) => {
            let handshake = async {
                tokio::select! {
                    stream = timeout(patience.headers, tls.accept(stream)) => stream.ok()?.ok(),
                    () = place.state.to_close() => None,
                }
            };
            match handshake.await {
                Some(stream) => http(shared, Watched::new(stream, state, patience), &place, closing).await,
                None => shared.metrics.connections_refused.count(),
            }
        }
    }
}

async fn http(
    shared: Arc<Shared>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    place: &Place,
    mut closing: watch::Receiver<bool>,
) {
    let state = Arc::clone(&place.state);
    let service = service_fn(move |request| {
        let (shared, state) = (Arc::clone(&shared), Arc::clone(&state));
        let busy = Busy::new(&state);
        async move { Ok::<_, Infallible>(handle(&shared, request, &state).await.holding(busy)) }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    // Times are kept by `Watched`.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADERS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let closed = async {
        if closing.wait_for(|closing| *closing).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = place.state.to_close() => return,
        () = closed => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "a connection has ended badly");
    }
}
