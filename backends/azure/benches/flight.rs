//! Ten thousand calls of a function app in flight from one client, beside a bare HTTP client (hyper's): the same server, a
//! process of its own, that answers after five seconds.
//!
//! ```text
//! cargo bench -p rustwren-azure --bench flight            # some twenty seconds
//! cargo bench -p rustwren-azure --bench flight -- 1000    # with fewer
//! ```
//!
//! Both speak HTTP/1.1, one connection for each call, since the server here has no TLS.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made ends")]

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustwren_azure::FunctionsInvoker;
use rustwren_azure::config::{COMPUTE, ComputeConfig};
use rustwren_core::config::Settings;
use rustwren_core::storage::MemoryStorage;
use rustwren_testkit::flight::{self, Server, Taken};

fn invoker(address: &str, count: usize) -> FunctionsInvoker {
    let mut key = tempfile::NamedTempFile::new().unwrap();
    writeln!(key, "a-function-key").unwrap();
    let settings = [
        ("workers", count.to_string()),
        ("url", format!("http://{address}")),
        ("key_file", key.path().to_str().unwrap().to_owned()),
    ];
    let settings = Settings::of_program(&COMPUTE, "/tmp", settings).unwrap();
    let config = ComputeConfig::from_settings(&settings).unwrap();
    FunctionsInvoker::new(&config, Arc::new(MemoryStorage::new())).unwrap()
}

/// The same with nothing around the client. Each call sends as many bytes as an invocation has at least.
fn bare(count: usize) -> Taken {
    flight::raise_limit();
    let server = Server::start(count);
    let url: hyper::Uri = format!("http://{}/api/v1/invoke", server.address()).parse().unwrap();
    flight::measure(count, server, async |answered| {
        let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
        let one = async || {
            let call = hyper::Request::post(url.clone()).body(Full::from(vec![0; 200])).unwrap();
            client.request(call).await.unwrap().into_body().collect().await.unwrap().to_bytes()
        };
        let mut all: FuturesUnordered<_> = (0..count).map(|_| one()).collect();
        while all.next().await.is_some() {
            answered();
        }
    })
}

fn main() {
    flight::beside_bare("application/octet-stream", flight::nothing(), bare, |count| {
        flight::ours(count, |address| invoker(address, count))
    });
}
