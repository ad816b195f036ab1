//! Calls over connections that are used again, but not for ever.

use std::error::Error as StdError;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustwren_core::error::{BackendError, Error, ErrorClass, ErrorKind, Result};

use crate::access::{Access, Call, Refused};
use crate::{refusal, tls};

type Connections = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// With HTTP/2 all calls of a client go over one connection, so there are several clients: a balancer that looks at
/// connections has something to spread. There are more where many calls are under way, since servers take some 100 on
/// one connection and let the rest wait.
const HTTP2_CONNECTIONS: usize = 8;
const CALLS_OF_CONNECTION: usize = 80;
/// Connections without a call, kept for each client.
const IDLE: usize = 256;
/// Bytes of answers that may be on their way, for one call and for all of a connection.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// How often a connection on which nothing comes is asked whether its other end is there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// What is read of the answer to a call that was refused.
const MAX_REFUSAL: usize = 64 << 10;

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, or HTTP/2 where the server offers it in the TLS handshake.
    Auto,
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2 alone, also without TLS.
    Http2,
}

/// How to reach a server.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Scheme, host and perhaps port and the prefix of paths.
    pub url: String,
    /// How calls get in.
    pub access: Arc<dyn Access>,
    /// How many calls may be under way at once; more wait for each other where HTTP/2 is spoken.
    pub calls: usize,
    /// A file with certificates that are trusted instead of the machine's.
    pub tls_ca: Option<PathBuf>,
    /// What is spoken.
    pub protocol: Protocol,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// How long a connection is used for new calls.
    pub connection_age: Duration,
}

impl ClientOptions {
    /// What is wrong with the URL, if anything is.
    pub fn check_url(&self) -> Result<Uri, &'static str> {
        let uri: Uri =
            self.url.parse().map_err(|_| "must be a URL, `https://workers.example.com` for instance")?;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        match uri.scheme_str() {
            Some("http" | "https") if uri.host().is_some_and(|host| !host.is_empty()) => {}
            _ => return Err("must begin with `http://` or `https://` and a name"),
        }
        if authority.contains('@') {
            return Err("must have no user or password in it: calls prove otherwise who makes them");
        }
        if uri.query().is_some() {
            return Err("must have no `?` in it");
        }
        Ok(uri)
    }
}

/// Makes calls to one server, or to a fleet that looks like one.
pub struct Client {
    /// The URL, without a slash at its end.
    base: String,
    access: Arc<dyn Access>,
    builder: legacy::Builder,
    connector: HttpsConnector<HttpConnector>,
    age: Duration,
    clients: Vec<Mutex<(Connections, Instant)>>,
    next: AtomicUsize,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Client {
    /// A client that has made no connection yet.
    pub fn new(options: &ClientOptions) -> Result<Self> {
        let config = |what: String| Error::new(ErrorKind::Config, what);
        let uri = options.check_url().map_err(|what| config(format!("the URL {what}")))?;
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(options.connect_timeout));
        http.set_keepalive(Some(KEEP_ALIVE));
        let https = uri.scheme_str() == Some("https");
        let tls = HttpsConnectorBuilder::new()
            .with_tls_config(tls::config(options.tls_ca.as_deref(), https)?)
            .https_or_http();
        let connector = match options.protocol {
            Protocol::Auto => tls.enable_all_versions().wrap_connector(http),
            Protocol::Http1 => tls.enable_http1().wrap_connector(http),
            Protocol::Http2 => tls.enable_http2().wrap_connector(http),
        };
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(options.connection_age)
            .pool_max_idle_per_host(IDLE)
            .http2_only(options.protocol == Protocol::Http2)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            .http2_keep_alive_interval(KEEP_ALIVE);
        let count = match options.protocol {
            Protocol::Http1 => 1,
            Protocol::Auto if !https => 1,
            Protocol::Auto | Protocol::Http2 => {
                HTTP2_CONNECTIONS.max(options.calls.div_ceil(CALLS_OF_CONNECTION))
            }
        };
        let now = Instant::now();
        let clients = (0..count).map(|_| Mutex::new((builder.build(connector.clone()), now))).collect();
        Ok(Self {
            base: options.url.trim_end_matches('/').to_owned(),
            access: Arc::clone(&options.access),
            builder,
            connector,
            age: options.connection_age,
            clients,
            next: AtomicUsize::new(0),
        })
    }

    /// The server, for messages.
    pub fn place(&self) -> &str {
        &self.base
    }

    /// One of the sets of connections; a new one where it is too old. The connections of the old one end with the calls
    /// that are under way on them.
    fn connections(&self) -> Option<Connections> {
        let next = self.next.fetch_add(1, Ordering::Relaxed) % self.clients.len().max(1);
        let mut client = self.clients.get(next)?.lock().unwrap_or_else(PoisonError::into_inner);
        if client.1.elapsed() >= self.age {
            *client = (self.builder.build(self.connector.clone()), Instant::now());
        }
        Some(client.0.clone())
    }

    /// Makes a call; answers with whatever status come back as they are.
    pub async fn call(
        &self,
        method: &str,
        target: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, BackendError> {
        let headers = self.headers(method, target, &body).await?;
        let response = self.send(method, target, headers.clone(), body.clone()).await?;
        // Nobody has taken the call, so it is not made twice.
        if response.status() == StatusCode::UNAUTHORIZED && self.access.renew(&headers) {
            let headers = self.headers(method, target, &body).await?;
            return self.send(method, target, headers, body).await;
        }
        Ok(response)
    }

    async fn headers(&self, method: &str, target: &str, body: &Bytes) -> Result<HeaderMap, BackendError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        self.access.prove(Call { method, target, body }, &mut headers).await?;
        Ok(headers)
    }

    async fn send(
        &self,
        method: &str,
        target: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, BackendError> {
        let internal =
            |what: &str| BackendError::new(ErrorClass::Internal, format!("a call to {}: {what}", self.base));
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{target}", self.base))
            .body(Full::new(body))
            .map_err(|error| internal("it cannot be written").with_source(error))?;
        *request.headers_mut() = headers;
        let connections = self.connections().ok_or_else(|| internal("there is no client"))?;
        connections.request(request).await.map_err(|error| self.failed(error))
    }

    /// The error of a call that was answered, but not with what was asked for.
    pub async fn refused(&self, response: Response<Incoming>) -> BackendError {
        let (head, mut body) = response.into_parts();
        let mut begin = Vec::new();
        while begin.len() < MAX_REFUSAL
            && let Some(Ok(frame)) = body.frame().await
        {
            if let Some(data) = frame.data_ref() {
                begin.extend_from_slice(data);
            }
        }
        let refused =
            Refused { place: &self.base, status: head.status, headers: &head.headers, body: &begin };
        refusal::of_answer(&refused, &*self.access)
    }

    fn failed(&self, error: legacy::Error) -> BackendError {
        if tls::is_of_certificates(&error) {
            let message = format!("{} cannot be trusted", self.base);
            return BackendError::new(ErrorClass::Misconfigured, message)
                .with_source(Chain(error))
                .with_hint("set `tls_ca` to the certificate that has signed the server's");
        }
        let what = if error.is_connect() { "cannot be reached" } else { "did not answer" };
        BackendError::new(ErrorClass::Transient, format!("{} {what}", self.base)).with_source(Chain(error))
    }
}

/// An error with all that is behind it, each part of which hyper leaves to be asked for.
#[derive(Debug)]
pub struct Chain<E>(pub E);

impl<E: StdError> fmt::Display for Chain<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)?;
        let mut next = self.0.source();
        while let Some(error) = next {
            write!(f, ": {error}")?;
            next = error.source();
        }
        Ok(())
    }
}

impl<E: StdError> StdError for Chain<E> {}
