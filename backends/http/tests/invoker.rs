//! The HTTP invoker and a runtime with real function processes. This program is its own function process, so it brings
//! its own `main` instead of libtest's.
#![expect(clippy::unwrap_used, reason = "a test, which clippy cannot see without libtest")]

mod common;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use common::Runtime;
use libtest_mimic::{Arguments, Trial};
use rustwren_core::entry::{Call, DRIVE, Entry, Target};
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::image::{ImageId, ProgramImage, image_key};
use rustwren_core::invoker::{Events, Invoker as _, LogLine, ResultBatch};
use rustwren_core::storage::{MemoryStorage, Storage};
use rustwren_core::worker::{Function, serve};
use rustwren_http::{ClientOptions, HttpInvoker, HttpOptions, Protocol};
use rustwren_testkit::invoker_suite::{BAD, Subject, invocation, program, run_all};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

fn resolve(entry: &Entry, _: ImageId) -> Result<&'static Function, String> {
    let Target::Named { name, .. } = &entry.target else {
        return Err("these functions have names".to_owned());
    };
    program::function(name).ok_or_else(|| format!("there is no function {name}"))
}

fn options(client: ClientOptions, workers: usize) -> HttpOptions {
    HttpOptions { client, workers, timeout: Duration::from_secs(30), max_inline: 4 << 20, max_duration: None }
}

/// A storage with this program in it, which is packed once for all tests.
async fn storage_with_program() -> (Arc<dyn Storage>, ImageId) {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let image = ProgramImage::of_this_program(Some(Path::new(env!("CARGO_TARGET_TMPDIR")))).unwrap();
    storage.put(&image_key(image.id()).unwrap(), image.packed().unwrap()).await.unwrap();
    (storage, image.id())
}

async fn suite(protocol: Protocol) {
    let dir = tempfile::tempdir().unwrap();
    let (storage, image) = storage_with_program().await;
    let runtime = Runtime::start(Arc::clone(&storage), dir.path(), &[("workers", "2")]).await;
    let invoker = HttpInvoker::new(&options(runtime.client(protocol), 2)).unwrap();
    let functions = program::functions(image);
    run_all(&Subject { invoker: Arc::new(invoker), storage, functions }, &[]).await;
    runtime.end().await;
}

/// Has a runtime with these settings refuse a call that is too long to be sent before it has answered. With `busy`, its
/// worker has something else to do.
async fn refused(protocol: Protocol, more: &[(&'static str, &'static str)], busy: bool) -> BackendError {
    let dir = tempfile::tempdir().unwrap();
    let (storage, image) = storage_with_program().await;
    let settings = [&[("workers", "1"), ("queue_time", "0s")], more].concat();
    let runtime = Runtime::start(storage, dir.path(), &settings).await;
    let invoker = Arc::new(HttpInvoker::new(&options(runtime.client(protocol), 2)).unwrap());
    let functions = program::functions(image);
    let (events, mut begun) = events();
    let mut endless = JoinSet::new();
    if busy {
        let (invoker, call) = (Arc::clone(&invoker), invocation(&functions.looping, &[BAD.to_vec()]));
        endless.spawn(async move { invoker.invoke(call, &events).await });
        begun.recv().await.unwrap();
    }
    let long = invocation(&functions.echo, &[vec![7; 6 << 20]]);
    let error = invoker.invoke(long, &self::events().0).await.unwrap_err();
    drop(endless);
    runtime.end().await;
    error
}

/// Tells when an invocation has begun.
fn events() -> (Arc<dyn Events>, mpsc::UnboundedReceiver<u64>) {
    struct Begun(mpsc::UnboundedSender<u64>);
    impl Events for Begun {
        fn results(&self, _: u64, _: ResultBatch) {}
        fn started(&self, invocation: u64) {
            // Whoever does not care has let go of the other end.
            self.0.send(invocation).unwrap_or_default();
        }
        fn log(&self, _: u64, _: LogLine) {}
    }
    let (tell, told) = mpsc::unbounded_channel();
    (Arc::new(Begun(tell)), told)
}

/// Why a call is refused is heard, though its body is still on the way by then.
async fn long_calls_hear_why_they_are_refused() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let error = refused(protocol, &[("max_body", "64KiB")], false).await;
        assert_eq!(error.class(), ErrorClass::Invalid, "{protocol:?}: {error}");
        assert!(error.hint().unwrap().contains("max_body"), "{protocol:?}: {error}");
        let error = refused(protocol, &[], true).await;
        assert!(matches!(error.class(), ErrorClass::Throttled { .. }), "{protocol:?}: {error}");
    }
}

async fn metrics(runtime: &Runtime) -> String {
    let address = runtime.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// On one HTTP/2 connection calls that wait for a worker, unread, must not use up what the body of one that has a worker
/// needs in order to come.
async fn calls_that_wait_do_not_hold_up_others() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, image) = storage_with_program().await;
    let runtime = Runtime::start(storage, dir.path(), &[("workers", "4"), ("queue_time", "1h")]).await;
    let invoker = Arc::new(HttpInvoker::new(&options(runtime.client(Protocol::Http2), 20)).unwrap());
    let functions = program::functions(image);
    let (events, mut begun) = events();
    let mut endless = JoinSet::new();
    for _ in 0..4 {
        let (invoker, events) = (Arc::clone(&invoker), Arc::clone(&events));
        let call = invocation(&functions.looping, &[BAD.to_vec()]);
        endless.spawn(async move { invoker.invoke(call, &events).await });
        begun.recv().await.unwrap();
    }
    // Two for each of the client's connections, together longer than what a connection takes unless it is told.
    let mut waiting = JoinSet::new();
    for _ in 0..16 {
        let (invoker, call) = (Arc::clone(&invoker), invocation(&functions.echo, &[vec![7; 1_200_000]]));
        waiting.spawn(async move { invoker.invoke(call, &self::events().0).await.map(|_| ()) });
    }
    while !metrics(&runtime).await.contains("\nrustwren_waiting 16\n") {
        tokio::task::yield_now().await;
    }
    drop(endless);
    while let Some(done) = waiting.join_next().await {
        done.unwrap().unwrap();
    }
    runtime.end().await;
}

/// One that drives a job needs the secret. Where the runtime keeps it, that is said at once, and not to its log alone.
async fn a_driver_without_the_secret_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let runtime = Runtime::start(storage, dir.path(), &[]).await;
    let invoker = HttpInvoker::new(&options(runtime.client(Protocol::Auto), 2)).unwrap();
    let drive = program::job(ImageId([0; 32]), DRIVE, Call::TryMapAsync);
    let error = invoker.invoke_detached(invocation(&drive, &[Vec::new()])).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Misconfigured, "{error}");
    assert!(error.hint().unwrap().contains("RUSTWREN__COMPUTE__PASS_ENV=RUSTWREN_HTTP_SECRET"), "{error}");
    runtime.end().await;
}

fn trial<F: Future<Output = ()> + 'static>(name: &str, test: fn() -> F) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(test());
        Ok(())
    })
}

fn main() -> ExitCode {
    if rustwren_core::env::is_worker() {
        serve(resolve);
    }
    let trials = vec![
        trial("conformance_http1", || suite(Protocol::Http1)),
        trial("conformance_http2", || suite(Protocol::Http2)),
        trial("long_calls_hear_why_they_are_refused", long_calls_hear_why_they_are_refused),
        trial("calls_that_wait_do_not_hold_up_others", calls_that_wait_do_not_hold_up_others),
        trial("a_driver_without_the_secret_is_refused", a_driver_without_the_secret_is_refused),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
