//! What callers see of a runtime, byte by byte: those with a secret and those without.
#![expect(clippy::unwrap_used, reason = "what tests share stands outside of them, where clippy looks")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use rustwren_core::auth::{Secret, Signer};
use rustwren_core::config::{Config, Settings};
use rustwren_core::entry::Call;
use rustwren_core::image::ImageId;
use rustwren_core::invoker::{Invocation, JobSpec, Payload};
use rustwren_core::protocol::invocation;
use rustwren_core::storage::{Key, ObjectMeta, PutOutcome, Storage, StorageResult};
use rustwren_worker::args::ServeArgs;
use rustwren_worker::backends::compiled_in;
use rustwren_worker::config::{KEYS, ServeConfig};
use rustwren_worker::serve::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Storage in which everything takes for ever: an invocation that waits for its image holds its place.
#[derive(Debug)]
struct Stuck;

#[async_trait]
impl Storage for Stuck {
    fn location(&self) -> String {
        "nowhere".to_owned()
    }
    async fn put(&self, _: &Key, _: Bytes) -> StorageResult<()> {
        std::future::pending().await
    }
    async fn put_if_absent(&self, _: &Key, _: Bytes) -> StorageResult<PutOutcome> {
        std::future::pending().await
    }
    async fn get(&self, _: &Key) -> StorageResult<Bytes> {
        std::future::pending().await
    }
    async fn get_range(&self, _: &Key, _: std::ops::Range<u64>) -> StorageResult<Bytes> {
        std::future::pending().await
    }
    async fn head(&self, _: &Key) -> StorageResult<ObjectMeta> {
        std::future::pending().await
    }
    fn list(&self, _: &str) -> BoxStream<'_, StorageResult<ObjectMeta>> {
        Box::pin(futures_util::stream::pending())
    }
    async fn delete(&self, _: &Key) -> StorageResult<()> {
        std::future::pending().await
    }
}

struct Runtime {
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Runtime {
    async fn start(more: &[(&'static str, &'static str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pairs = [("listen", "127.0.0.1:0"), ("secret", SECRET), ("workers", "1"), ("queue_time", "0s")];
        let pairs = pairs.into_iter().chain(more.iter().copied());
        let settings = Settings::of_program(&KEYS, dir.path(), pairs).unwrap();
        let config = ServeConfig::from_settings(&settings).unwrap();
        let server = Server::bind(config, Arc::new(Stuck), dir.path()).await.unwrap();
        let address = server.address().unwrap();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run(async { stopped.await.unwrap() }));
        Self { address, stop, running, _dir: dir }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends this over a connection of its own: all that comes back until it is closed, without the date.
    async fn tell(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // A connection with unread bytes is reset.
        if let Err(error) = stream.read_to_end(&mut answer).await {
            assert!(!answer.is_empty(), "{error}");
        }
        let answer = String::from_utf8_lossy(&answer);
        answer.lines().filter(|line| !line.starts_with("date:")).flat_map(|line| [line, "\n"]).collect()
    }

    async fn get(&self, path: &str) -> String {
        self.tell(request("GET", path, None, b"").as_bytes()).await
    }

    async fn end(self) {
        self.stop.send(()).unwrap();
        self.running.await.unwrap();
    }
}

fn sign(secret: &str, target: &str, body: &[u8]) -> String {
    Signer::new(Secret::new(secret).unwrap()).sign("POST", target, body).unwrap()
}

/// A request that is to be answered by closing the connection.
fn request(method: &str, target: &str, signature: Option<&str>, body: &[u8]) -> String {
    let signature = signature.map_or_else(String::new, |value| format!("x-rustwren-signature: {value}\r\n"));
    let (len, body) = (body.len(), std::str::from_utf8(body).unwrap());
    format!(
        "{method} {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{signature}content-length: {len}\r\n\r\n{body}"
    )
}

/// An invocation of something that is not there, whose bytes are text.
fn invocation() -> Vec<u8> {
    let job = JobSpec::named("job", ImageId([7; 32]), "f", Call::Map);
    let invocation =
        Invocation::first(Arc::new(job), 1, 1, Payload::Inline(vec![Bytes::from_static(b"\x00")]));
    invocation::encode(&invocation).unwrap()
}

fn signed(body: &[u8]) -> String {
    request("POST", "/v1/invoke", Some(&sign(SECRET, "/v1/invoke", body)), body)
}

#[tokio::test]
async fn strangers_all_hear_the_same() {
    let runtime = Runtime::start(&[("serve_storage", "true")]).await;
    let body = invocation();
    let expected = runtime.tell(request("POST", "/v1/invoke", None, &body).as_bytes()).await;
    assert!(expected.starts_with("HTTP/1.1 401 ") && expected.ends_with("unauthorized\n"), "{expected}");
    let good = sign(SECRET, "/v1/invoke", &body);
    let used = sign(SECRET, "/v1/invoke", b"nonsense");
    let first = runtime.tell(request("POST", "/v1/invoke", Some(&used), b"nonsense").as_bytes()).await;
    assert!(first.starts_with("HTTP/1.1 400 "), "{first}");
    for (what, target, signature, body) in [
        ("another secret", "/v1/invoke", sign(&"x".repeat(32), "/v1/invoke", &body), &body[..]),
        ("another target", "/v1/detach", good.clone(), &body),
        ("a query more", "/v1/invoke?x", good.clone(), &body),
        ("cut short", "/v1/invoke", good[..good.len() - 1].to_owned(), &body),
        ("made before", "/v1/invoke", used, b"nonsense"),
        ("the body swapped", "/v1/invoke", sign(SECRET, "/v1/invoke", b"other"), &body),
        ("an object, unsigned", "/v1/objects?key=k", String::new(), &body),
        ("nothing that is there", "/v1/other", String::new(), &body),
        ("nothing at all", "/", String::new(), b""),
    ] {
        let answer = runtime.tell(request("POST", target, Some(&signature), body).as_bytes()).await;
        assert_eq!(answer, expected, "{what}");
    }
    // The good one is still good.
    let mut stream = runtime.connect().await;
    stream.write_all(request("POST", "/v1/invoke", Some(&good), &body).as_bytes()).await.unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    drop(stream);
    runtime.end().await;
}

#[tokio::test]
async fn a_strangers_body_is_not_waited_for() {
    let runtime = Runtime::start(&[("header_timeout", "1h"), ("idle_timeout", "1h")]).await;
    let head = "POST /v1/invoke HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n";
    let answer = runtime.tell(head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    runtime.end().await;
}

#[tokio::test]
async fn a_body_longer_than_allowed_is_not_read() {
    let runtime = Runtime::start(&[("max_body", "1KiB"), ("header_timeout", "1h")]).await;
    let signature = sign(SECRET, "/v1/invoke", b"whatever");
    let head = format!(
        "POST /v1/invoke HTTP/1.1\r\nhost: x\r\nx-rustwren-signature: {signature}\r\ncontent-length: 1025\r\n\r\n"
    );
    let answer = runtime.tell(head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("max_body"), "{answer}");
    runtime.end().await;
}

#[tokio::test]
async fn slow_and_silent_callers_are_left() {
    let runtime = Runtime::start(&[("header_timeout", "100ms"), ("idle_timeout", "1h")]).await;
    for begin in ["", "P", "POST / HTTP/1.1\r\nhost: x\r\n"] {
        let mut stream = runtime.connect().await;
        stream.write_all(begin.as_bytes()).await.unwrap();
        // Nothing but the end: this would hang otherwise.
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty(), "{rest:?}");
    }
    // A caller with the secret whose body does not come.
    let signature = sign(SECRET, "/v1/invoke", b"hello");
    let head = format!(
        "POST /v1/invoke HTTP/1.1\r\nhost: x\r\nx-rustwren-signature: {signature}\r\ncontent-length: 5\r\n\r\nhe"
    );
    let answer = runtime.tell(head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    runtime.end().await;
}

#[tokio::test]
async fn idle_connections_give_way() {
    let runtime = Runtime::start(&[("max_connections", "3"), ("header_timeout", "1h")]).await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(runtime.connect().await);
        assert!(runtime.get("/healthz").await.ends_with("ok\n"), "good calls go on");
    }
    runtime.end().await;
}

/// Waits until `/metrics` has this line.
async fn until(runtime: &Runtime, line: &str) {
    while !runtime.get("/metrics").await.lines().any(|found| found == line) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_call_for_which_there_is_no_worker_is_sent_away_and_one_that_leaves_makes_room() {
    let runtime = Runtime::start(&[]).await;
    let body = invocation();
    let mut first = runtime.connect().await;
    first.write_all(signed(&body).as_bytes()).await.unwrap();
    until(&runtime, "rustwren_workers_busy 1").await;
    let second = runtime.tell(signed(&body).as_bytes()).await;
    assert!(second.starts_with("HTTP/1.1 429 ") && second.contains("retry-after: 1\n"), "{second}");
    drop(first);
    until(&runtime, "rustwren_workers_busy 0").await;
    until(&runtime, "rustwren_throttled_total 1").await;
    runtime.end().await;
}

#[tokio::test]
async fn an_ending_runtime_says_so_and_hands_back() {
    let runtime = Runtime::start(&[("drain", "10m")]).await;
    assert!(runtime.get("/healthz").await.starts_with("HTTP/1.1 200 "));
    let body = invocation();
    let mut first = runtime.connect().await;
    first.write_all(signed(&body).as_bytes()).await.unwrap();
    until(&runtime, "rustwren_workers_busy 1").await;
    let mut begun = [0; 12];
    first.read_exact(&mut begun).await.unwrap();
    assert_eq!(&begun, b"HTTP/1.1 200");
    runtime.stop.send(()).unwrap();
    let mut rest = Vec::new();
    first.read_to_end(&mut rest).await.unwrap();
    assert!(String::from_utf8_lossy(&rest).contains("the worker is about to end"));
    tokio::time::timeout(Duration::from_mins(1), runtime.running).await.unwrap().unwrap();
}

#[test]
fn file_and_environment_set_keys_without_choosing_the_backend() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("runtime.toml");
    std::fs::write(&file, "[compute]\nworkers = 3\ndetached = 5\n").unwrap();
    let environment = [
        ("RUSTWREN__COMPUTE__DETACHED", "7"),
        ("RUSTWREN__COMPUTE__LISTEN", "127.0.0.1:1"),
        ("RUSTWREN__COMPUTE__SECRET", "0123456789abcdef0123456789abcdef"),
    ];
    let args =
        ServeArgs { config: Some(file), listen: Some("127.0.0.1:2".to_owned()), ..ServeArgs::default() };
    let options = args.load_options().environment(environment.into_iter().collect());
    let config = Config::load(&compiled_in(), &options).unwrap();
    let config = ServeConfig::from_settings(config.compute()).unwrap();
    assert_eq!((config.processes.workers, config.detached), (3, 7));
    assert_eq!(config.listen.port(), 2);
}
