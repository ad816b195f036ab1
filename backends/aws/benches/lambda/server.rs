//! The server: takes any call, and answers an `Event` at once and everything else after five seconds.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustix::process::{Resource, getrlimit, setrlimit};
use rustwren_core::invoker::Usage;
use rustwren_core::protocol::answer::{Answer, PREAMBLE};
use rustwren_core::protocol::json;
use tokio::net::TcpSocket;
use tokio::sync::OnceCell;

const DELAY: Duration = Duration::from_secs(5);

struct Shared {
    body: Bytes,
    expected: usize,
    came: AtomicUsize,
    first: OnceCell<Instant>,
}

/// Serves until it is killed. Writes where it listens, and then after how many microseconds it had all calls.
pub(crate) fn serve(expected: usize) -> ! {
    let mut limits = getrlimit(Resource::Nofile);
    limits.current = limits.maximum;
    setrlimit(Resource::Nofile, limits).unwrap();
    let mut answer = PREAMBLE.to_vec();
    Answer::append_end(&mut answer, None, &Usage::default()).unwrap();
    let shared = Arc::new(Shared {
        body: json::to_json(&answer).into(),
        expected,
        came: AtomicUsize::new(0),
        first: OnceCell::new(),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(4096).unwrap();
        println!("{}", listener.local_addr().unwrap());
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                let service = service_fn(move |request| call(request, Arc::clone(&shared)));
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await
                    .unwrap_or_default();
            });
        }
    })
}

async fn call(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Full<Bytes>>, Infallible> {
    let first = *shared.first.get_or_init(|| async { Instant::now() }).await;
    let event = request.headers().get("x-amz-invocation-type").is_some_and(|kind| kind == "Event");
    request.into_body().collect().await.unwrap();
    if shared.came.fetch_add(1, Ordering::Relaxed) + 1 == shared.expected {
        println!("{}", first.elapsed().as_micros());
    }
    if event {
        let mut answer = Response::new(Full::default());
        *answer.status_mut() = StatusCode::ACCEPTED;
        return Ok(answer);
    }
    tokio::time::sleep(DELAY).await;
    Ok(Response::new(Full::new(shared.body.clone())))
}
