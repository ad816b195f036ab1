//! HTTP for invocations: HTTP/1.1 over connections of which each has one call at a time, for the SDK in place of its own
//! client.
//!
//! Thousands of invocations are under way at once, each on a connection of its own, for as long as their functions run.
//! What the SDK's client keeps for each of them, and does for all of them when one has its connection, was a third of what
//! an invocation took (docs/decisions/0014-lambda-connections.md).

use std::collections::VecDeque;
use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, HeaderValue};
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::rt::{Read, Write};
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect;
use rustwren_core::error::Result;
use rustwren_http::tls;
use tower_service::Service as _;

/// How long a connection without a call is kept. Lambda closes them after some minutes.
const IDLE: Duration = Duration::from_mins(1);
/// How often the network is shown that a connection is in use while its function runs: what translates addresses on the
/// way (a NAT gateway, after 350 s) forgets those on which nothing comes.
const KEEP_ALIVE: Duration = Duration::from_mins(1);

/// A client whose connections are made within `connect`. Where TLS is not needed, no certificates are read.
pub(super) fn client(needs_tls: bool, connect: Duration) -> Result<SharedHttpClient> {
    let connector = SharedHttpConnector::new(Shared::new(needs_tls, connect)?);
    Ok(http_client_fn(move |_, _| connector.clone()))
}

/// Scheme, host and port.
type Origin = (Scheme, Authority);

struct Connections {
    connector: HttpsConnector<connect::HttpConnector>,
    connect: Duration,
    /// Connections without a call, those in front for the longest time.
    idle: Mutex<VecDeque<Idle>>,
}

struct Idle {
    origin: Origin,
    sender: SendRequest<SdkBody>,
    since: Instant,
}

#[derive(Clone)]
struct Shared(Arc<Connections>);

impl Shared {
    fn new(needs_tls: bool, connect: Duration) -> Result<Self> {
        let mut tcp = connect::HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEP_ALIVE));
        let tls = HttpsConnectorBuilder::new().with_tls_config(tls::config(None, needs_tls)?);
        let connector = tls.https_or_http().enable_http1().wrap_connector(tcp);
        Ok(Self(Arc::new(Connections { connector, connect, idle: Mutex::default() })))
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("idle", &self.0.idle().len()).finish_non_exhaustive()
    }
}

impl HttpConnector for Shared {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connections = Arc::clone(&self.0);
        HttpConnectorFuture::new(async move { connections.call(request).await })
    }
}

impl Connections {
    fn idle(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let (request, origin) = addressed(request.try_into_http1x().map_err(user)?)?;
        let (sender, response) = self.send(request, &origin).await?;
        self.read(origin, sender, response).await
    }

    async fn send(
        &self,
        mut request: Request<SdkBody>,
        origin: &Origin,
    ) -> Result<(SendRequest<SdkBody>, Response<Incoming>), ConnectorError> {
        while let Some(mut sender) = self.take(origin) {
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((sender, response)),
                Err(mut error) => match error.take_message() {
                    // The server closed the connection before it saw anything of the call.
                    Some(unsent) => request = unsent,
                    None => return Err(broken(error.into_error())),
                },
            }
        }
        let mut sender = self.connect(origin).await?;
        let response = sender.send_request(request).await.map_err(broken)?;
        Ok((sender, response))
    }

    /// The answer as a whole. Its connection is free then.
    async fn read(
        &self,
        origin: Origin,
        mut sender: SendRequest<SdkBody>,
        response: Response<Incoming>,
    ) -> Result<HttpResponse, ConnectorError> {
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(broken)?.to_bytes();
        if sender.ready().await.is_ok() {
            self.keep(Idle { origin, sender, since: Instant::now() });
        }
        HttpResponse::try_from(Response::from_parts(head, SdkBody::from(body)))
            .map_err(|error| ConnectorError::other(error.into(), None))
    }

    /// The connection that had a call last.
    fn take(&self, origin: &Origin) -> Option<SendRequest<SdkBody>> {
        let mut idle = self.idle();
        let usable = |idle: &Idle| idle.origin == *origin && !idle.sender.is_closed();
        std::iter::from_fn(|| idle.pop_back()).find(usable).map(|idle| idle.sender)
    }

    fn keep(&self, free: Idle) {
        let mut idle = self.idle();
        let old = idle.partition_point(|idle| free.since.duration_since(idle.since) > IDLE);
        idle.drain(..old);
        idle.push_back(free);
    }

    async fn connect(&self, (scheme, authority): &Origin) -> Result<SendRequest<SdkBody>, ConnectorError> {
        let uri = Uri::builder().scheme(scheme.clone()).authority(authority.clone()).path_and_query("/");
        let uri = uri.build().map_err(user)?;
        let connected = tokio::time::timeout(self.connect, self.connector.clone().call(uri)).await;
        let stream = connected.map_err(|elapsed| ConnectorError::timeout(elapsed.into()))?;
        let stream = stream.map_err(|error| {
            if tls::is_of_certificates(&*error) {
                ConnectorError::user(error)
            } else {
                ConnectorError::io(error)
            }
        })?;
        // Each by itself: calls without TLS need not have room for its state.
        match stream {
            MaybeHttpsStream::Http(stream) => serve(stream).await,
            MaybeHttpsStream::Https(stream) => serve(Box::new(stream)).await,
        }
    }
}

/// Has calls go over this stream.
async fn serve(
    stream: impl Read + Write + Unpin + Send + 'static,
) -> Result<SendRequest<SdkBody>, ConnectorError> {
    let (sender, connection) = http1::handshake(stream).await.map_err(broken)?;
    // Whoever calls on it hears of its end.
    tokio::spawn(connection.map(drop));
    Ok(sender)
}

/// The request as it is written to the server itself, and which server that is.
fn addressed(mut request: Request<SdkBody>) -> Result<(Request<SdkBody>, Origin), ConnectorError> {
    let parts = std::mem::take(request.uri_mut()).into_parts();
    let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
        return Err(user("the address of a call has no scheme or no host"));
    };
    *request.uri_mut() = parts.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/")).into();
    if !request.headers().contains_key(HOST) {
        // As the call is signed: without the port that goes without saying.
        let usual = if scheme == Scheme::HTTPS { 443 } else { 80 };
        let host = match authority.port_u16() {
            Some(port) if port != usual => authority.as_str(),
            _ => authority.host(),
        };
        let host = HeaderValue::from_str(host).map_err(user)?;
        request.headers_mut().insert(HOST, host);
    }
    Ok((request, (scheme, authority)))
}

fn user(error: impl Into<Box<dyn StdError + Send + Sync>>) -> ConnectorError {
    ConnectorError::user(error.into())
}

fn broken(error: hyper::Error) -> ConnectorError {
    ConnectorError::io(error.into())
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustwren_testkit::standins::Certificates;
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::mpsc;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone";

    /// Reads calls of connections, whose numbers and lines it tells, and answers as told: with nothing, it hangs up.
    async fn server(
        answers: &'static [&'static [&'static str]],
    ) -> (String, mpsc::UnboundedReceiver<(usize, Vec<String>)>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (tell, told) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            for (number, answers) in answers.iter().enumerate() {
                let (stream, _) = listener.accept().await.unwrap();
                let tell = tell.clone();
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    for answer in *answers {
                        let call = read_call(&mut stream).await;
                        if call.is_empty() {
                            return;
                        }
                        tell.send((number, call)).unwrap();
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        (address, told)
    }

    /// The lines of a call's head. Its body has four bytes.
    async fn read_call(stream: &mut BufReader<TcpStream>) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        if !lines.is_empty() {
            stream.read_exact(&mut [0; 4]).await.unwrap();
        }
        lines
    }

    fn connections() -> Shared {
        Shared::new(false, Duration::from_secs(30)).unwrap()
    }

    async fn call(connections: &Shared, address: &str) -> Result<HttpResponse, ConnectorError> {
        let mut request = HttpRequest::new(SdkBody::from("call"));
        request.set_method("POST").unwrap();
        request.set_uri(format!("http://{address}/path?query")).unwrap();
        request.headers_mut().insert("content-length", "4");
        connections.call(request).await
    }

    #[tokio::test]
    async fn a_connection_is_used_again_and_each_has_one_call() {
        let (address, mut told) = server(&[&[ANSWER; 4], &[ANSWER; 2]]).await;
        let connections = connections();
        let answer = call(&connections, &address).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.body().bytes()), (200, Some(&b"done"[..])));
        let (number, lines) = told.recv().await.unwrap();
        assert_eq!((number, lines[0].as_str()), (0, "POST /path?query HTTP/1.1"));
        assert!(lines.contains(&format!("host: {address}")), "{lines:?}");
        call(&connections, &address).await.unwrap();
        assert_eq!(told.recv().await.unwrap().0, 0);
        let (one, other) = tokio::join!(call(&connections, &address), call(&connections, &address));
        assert!(one.is_ok() && other.is_ok());
        let mut numbers = [told.recv().await.unwrap().0, told.recv().await.unwrap().0];
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 1]);
        assert_eq!(connections.0.idle().len(), 2);
    }

    #[tokio::test]
    async fn a_connection_that_the_server_closed_is_not_used() {
        let (address, mut told) = server(&[&[ANSWER], &[ANSWER]]).await;
        let connections = connections();
        for number in 0..2 {
            call(&connections, &address).await.unwrap();
            assert_eq!(told.recv().await.unwrap().0, number);
        }
    }

    #[tokio::test]
    async fn calls_without_an_answer_are_not_made_twice() {
        let (address, mut told) = server(&[&[ANSWER, ""], &[ANSWER]]).await;
        let connections = connections();
        call(&connections, &address).await.unwrap();
        let error = call(&connections, &address).await.unwrap_err();
        assert!(error.is_io(), "{error:?}");
        call(&connections, &address).await.unwrap();
        let numbers =
            [told.recv().await.unwrap().0, told.recv().await.unwrap().0, told.recv().await.unwrap().0];
        assert_eq!(numbers, [0, 0, 1]);
    }

    #[tokio::test]
    async fn what_cannot_be_reached_or_is_no_address_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let connections = connections();
        assert!(call(&connections, &address).await.unwrap_err().is_io());
        let mut request = HttpRequest::new(SdkBody::empty());
        request.set_uri("/path").unwrap();
        assert!(connections.call(request).await.unwrap_err().is_user());
    }

    #[tokio::test]
    async fn a_server_whose_certificate_is_not_trusted_is_no_passing_trouble() {
        let folder = tempfile::tempdir().unwrap();
        let made = Certificates::new_in(folder.path());
        let chain = CertificateDer::pem_file_iter(&made.leaf).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(&made.key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            drop(acceptor.accept(stream).await);
        });
        let connections = Shared::new(true, Duration::from_secs(30)).unwrap();
        let mut request = HttpRequest::new(SdkBody::empty());
        request.set_uri(format!("https://{address}/")).unwrap();
        let error = connections.call(request).await.unwrap_err();
        assert!(error.is_user(), "{error:?}");
    }

    #[test]
    fn hosts_are_written_as_they_are_signed() {
        for (uri, host) in [
            ("https://lambda.us-east-1.amazonaws.com/a", "lambda.us-east-1.amazonaws.com"),
            ("https://lambda.us-east-1.amazonaws.com:443/a", "lambda.us-east-1.amazonaws.com"),
            ("http://localhost:443/a", "localhost:443"),
        ] {
            let request = Request::builder().uri(uri).body(SdkBody::empty()).unwrap();
            let (request, _) = addressed(request).unwrap();
            assert_eq!(request.headers()[HOST], host);
            assert_eq!(request.uri().to_string(), "/a");
        }
    }
}
