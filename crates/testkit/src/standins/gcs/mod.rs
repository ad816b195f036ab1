//! Cloud Storage as a server of ours, since none of those that can be installed keeps to the contract: they ignore
//! `ifGenerationMatch`, or know nothing of generations.
//!
//! It follows the published JSON API, <https://cloud.google.com/storage/docs/json_api/v1>: buckets that are made, read and
//! removed; objects that are
//! [inserted](https://cloud.google.com/storage/docs/json_api/v1/objects/insert) (media, multipart, and in
//! [resumable uploads](https://cloud.google.com/storage/docs/performing-resumable-uploads)),
//! [read](https://cloud.google.com/storage/docs/json_api/v1/objects/get) whole or in ranges,
//! [listed](https://cloud.google.com/storage/docs/json_api/v1/objects/list) and
//! [deleted](https://cloud.google.com/storage/docs/json_api/v1/objects/delete), with generations, their
//! [preconditions](https://cloud.google.com/storage/docs/request-preconditions) and CRC-32C. Errors are those of
//! <https://cloud.google.com/storage/docs/json_api/v1/status-codes>.
//!
//! Which parameters and fields there are, of which types, and what of them is for answers alone, is checked of each
//! request and each answer by the published definitions (`published`); the part of an answer that `fields` asks for is all
//! that is sent. What they do is our reading of these pages, and no more. It does not know versions of the past, access control beyond one
//! bearer token, `alt=media` with transcoding, composing, copying, or the limit of one write per second to one name: what
//! it should answer out of turn, a test says ([`Gcs::judge`]).

#![expect(clippy::expect_used, reason = "a test whose server cannot be had fails")]

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::thread::JoinHandle;

use bytes::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Map;
use tokio::sync::oneshot;

use super::{Request, Verdict};

mod answer;
mod download;
mod exchange;
mod objects;
mod query;
mod resumable;
mod store;
mod upload;

pub(super) use answer::error;
use store::{Conditions, Store};

type Judge = dyn Fn(&Request) -> Verdict + Send + Sync;

/// What the server and its handle share.
struct Shared {
    store: Mutex<Store>,
    judge: Mutex<Arc<Judge>>,
    token: Mutex<Option<String>>,
    served: AtomicUsize,
}

impl Shared {
    fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }
}

/// What a panicking test has left is still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A server of one test's own on a free port of 127.0.0.1, empty at first, until it is dropped.
pub struct Gcs {
    address: SocketAddr,
    shared: Arc<Shared>,
    end: Option<oneshot::Sender<Infallible>>,
    serving: Option<JoinHandle<()>>,
}

impl Gcs {
    /// Starts one, on a thread of its own.
    ///
    /// # Panics
    ///
    /// When no port can be listened on.
    pub fn start() -> Self {
        Self::start_at(0)
    }

    /// The same on this port.
    ///
    /// # Panics
    ///
    /// When the port cannot be listened on.
    pub fn start_at(port: u16) -> Self {
        let shared = Arc::new(Shared {
            store: Mutex::default(),
            judge: Mutex::new(Arc::new(|_: &Request| Verdict::Pass)),
            token: Mutex::default(),
            served: AtomicUsize::new(0),
        });
        let (tell, told) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let serving = {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || serve(port, &tell, ended, shared))
        };
        let address = told.recv().expect("the server's thread says where it listens");
        Self { address, shared, end: Some(end), serving: Some(serving) }
    }

    /// `http://127.0.0.1:port`
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Creates a bucket with a name of its own.
    pub fn new_bucket(&self) -> String {
        let bucket = format!("test-{:016x}", fastrand::u64(..));
        self.shared.store().make_bucket(&bucket);
        bucket
    }

    /// From now on every request meets what this says of it.
    pub fn judge(&self, judge: impl Fn(&Request) -> Verdict + Send + Sync + 'static) {
        *lock(&self.shared.judge) = Arc::new(judge);
    }

    /// From now on requests need this bearer token; none need any where it is none, as at first.
    pub fn require_token(&self, token: Option<&str>) {
        *lock(&self.shared.token) = token.map(str::to_owned);
    }

    /// Somebody else, who writes without being asked to wait: what [`Gcs::judge`] is given may use it.
    pub fn other_client(&self) -> OtherClient {
        OtherClient(Arc::downgrade(&self.shared))
    }

    /// Requests until now.
    pub fn served(&self) -> usize {
        self.shared.served.load(Ordering::SeqCst)
    }

    /// Resumable uploads that were begun, and neither completed nor cancelled.
    pub fn unfinished_uploads(&self) -> usize {
        self.shared.store().uploads.len()
    }
}

/// Somebody who changes objects beside the client under test, at one blow.
pub struct OtherClient(Weak<Shared>);

impl OtherClient {
    /// Writes an object.
    ///
    /// # Panics
    ///
    /// When there is no such bucket, or the server has ended.
    pub fn write(&self, bucket: &str, object: &str, data: Bytes) {
        let shared = self.0.upgrade().expect("the server is there");
        let written = shared.store().write(bucket, object, data, Map::new(), Conditions::default());
        written.expect("the bucket is there");
    }

    /// Removes an object, where it is there.
    ///
    /// # Panics
    ///
    /// When there is no such bucket, or the server has ended.
    pub fn remove(&self, bucket: &str, object: &str) {
        let shared = self.0.upgrade().expect("the server is there");
        shared.store().buckets.get_mut(bucket).expect("the bucket is there").remove(object);
    }
}

impl std::fmt::Debug for OtherClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("OtherClient").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Gcs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gcs")
            .field("address", &self.address)
            .field("served", &self.served())
            .finish_non_exhaustive()
    }
}

impl Drop for Gcs {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(serving) = self.serving.take() {
            // Its panics are printed; a second one here would hide the test's own.
            drop(serving.join());
        }
    }
}

/// Serves until the other end of `ended` is dropped. Connections end with the runtime.
fn serve(
    port: u16,
    tell: &mpsc::Sender<SocketAddr>,
    mut ended: oneshot::Receiver<Infallible>,
    shared: Arc<Shared>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async move {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a port that nobody else listens on");
        listener.set_nonblocking(true).expect("a socket that does not block");
        let listener = tokio::net::TcpListener::from_std(listener).expect("the socket");
        tell.send(listener.local_addr().expect("its address")).expect("whoever started it waits");
        loop {
            let stream = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = &mut ended => return,
            };
            // A connection that was gone before it was accepted is its client's affair.
            let Ok((stream, _)) = stream else { continue };
            if stream.set_nodelay(true).is_err() {
                continue;
            }
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                let service = service_fn(move |request| exchange::serve(request, Arc::clone(&shared)));
                // How a connection ends is what the client and the test make of it.
                drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
            });
        }
    });
}
