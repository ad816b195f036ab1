//! HTTP for the SDK, by hyper and rustls as in the rest of the workspace.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::Result;
use azure_core::error::{Error, ErrorKind};
use azure_core::http::headers::{HeaderName, HeaderValue, Headers};
use azure_core::http::{AsyncRawResponse, Body, HttpClient, Request};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::{BodyDataStream, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustwren_http::{Chain, tls};

/// How long a connection may take to be made. A provider that is there answers within a second.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection without a request is kept. Azure closes them after some minutes.
const IDLE: Duration = Duration::from_mins(1);

/// Connections, and requests on them. It belongs to the async runtime on which it is used first.
#[derive(Debug)]
pub(crate) struct Transport {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Transport {
    /// One that trusts these certificates instead of the machine's; where TLS is not needed, none are read.
    pub(crate) fn new(ca: Option<&Path>, needs_tls: bool) -> rustwren_core::error::Result<Arc<Self>> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let tls = HttpsConnectorBuilder::new().with_tls_config(tls::config(ca, needs_tls)?);
        let connector = tls.https_or_http().enable_http1().wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Ok(Arc::new(Self { client }))
    }
}

#[async_trait]
impl HttpClient for Transport {
    async fn execute_request(&self, request: &Request) -> Result<AsyncRawResponse> {
        let body = match request.body() {
            Body::Bytes(bytes) => bytes.clone(),
            Body::SeekableStream(_) => {
                return Err(Error::with_message(
                    ErrorKind::Other,
                    "a streamed body, where bytes are expected",
                ));
            }
        };
        let mut sent =
            hyper::Request::builder().method(request.method().as_str()).uri(request.url().as_str());
        for (name, value) in request.headers().iter() {
            sent = sent.header(name.as_str(), value.as_str());
        }
        let sent = sent.body(Full::new(body));
        let sent = sent
            .map_err(|error| Error::with_error(ErrorKind::Other, error, "the request cannot be written"))?;
        let answer = self.client.request(sent).await.map_err(|error| {
            let (kind, message) = if tls::is_of_certificates(&error) {
                (ErrorKind::Other, "the server cannot be trusted")
            } else if error.is_connect() {
                (ErrorKind::Connection, "no connection could be made")
            } else {
                (ErrorKind::Io, "the connection failed")
            };
            Error::with_error(kind, Chain(error), message)
        })?;
        let (head, body) = answer.into_parts();
        // Headers that are no text are none of the SDK's.
        let headers: HashMap<_, _> = head
            .headers
            .iter()
            .filter_map(|(name, value)| {
                let value = value.to_str().ok()?.to_owned();
                Some((HeaderName::from(name.as_str().to_owned()), HeaderValue::from(value)))
            })
            .collect();
        let body = BodyDataStream::new(body).map(|piece| {
            piece.map_err(|error| Error::with_error(ErrorKind::Io, Chain(error), "the answer broke off"))
        });
        Ok(AsyncRawResponse::new(head.status.as_u16().into(), Headers::from(headers), Box::pin(body)))
    }
}
