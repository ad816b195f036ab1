//! Ten thousand calls of a Cloud Run service in flight from one client, beside the bare HTTP client that Google's crates
//! use: the same server, a process of its own, that answers after five seconds.
//!
//! ```text
//! cargo bench -p rustwren-gcp --bench flight            # some twenty seconds
//! cargo bench -p rustwren-gcp --bench flight -- 1000    # with fewer
//! ```
//!
//! Both speak HTTP/1.1, one connection for each call, since the server here has no TLS; with Google it is HTTP/2, and 80
//! calls share a connection.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made ends")]

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use rustwren_core::config::Settings;
use rustwren_gcp::config::functions::{COMPUTE, ComputeConfig};
use rustwren_gcp::invoker::CloudRunInvoker;
use rustwren_testkit::flight::{self, Server, Taken};

fn invoker(address: &str, count: usize) -> CloudRunInvoker {
    let url = format!("http://{address}");
    let settings = [("workers", count.to_string()), ("auth", "none".to_owned()), ("url", url.clone())];
    let settings = Settings::of_program(&COMPUTE, "/tmp", settings).unwrap();
    CloudRunInvoker::new(&ComputeConfig::from_settings(&settings).unwrap(), &url).unwrap()
}

/// The same with nothing around the client. Each call sends as many bytes as an invocation has at least.
fn bare(count: usize) -> Taken {
    rustwren_gcp::client::use_ring();
    flight::raise_limit();
    let server = Server::start(count);
    let url = format!("http://{}/v1/invoke", server.address());
    flight::measure(count, server, async |answered| {
        let client = reqwest::Client::new();
        let one = async || {
            let answer = client.post(&url).body(vec![0; 200]).send().await.unwrap();
            answer.bytes().await.unwrap()
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
