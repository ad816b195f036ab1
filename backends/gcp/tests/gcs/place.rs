//! Storages in buckets of their own.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use rustwren_core::storage::Key;
use rustwren_core::storage::remote::Parts;
use rustwren_gcp::GcsStorage;
use rustwren_gcp::client::Access;
use rustwren_gcp::config::StorageConfig;
use rustwren_testkit::standins::{Gcs, Request, Verdict};

/// A configuration for a bucket behind this endpoint, with parts so small that tests reach many of them.
pub(crate) fn config(endpoint: String, bucket: String) -> StorageConfig {
    StorageConfig {
        access: Access { endpoint: Some(endpoint), anonymous: true, ..Access::default() },
        bucket,
        prefix: Some(Key::new("a prefix/of ours").unwrap()),
        parts: Parts { size: 256 << 10, parallel: 4 },
    }
}

/// A storage in a bucket of a server, which it must outlive.
pub(crate) struct Scene {
    pub(crate) storage: GcsStorage,
    pub(crate) gcs: Gcs,
    pub(crate) bucket: String,
}

impl Scene {
    /// Where nothing goes wrong.
    pub(crate) async fn quiet() -> Self {
        let gcs = Gcs::start();
        let bucket = gcs.new_bucket();
        let storage = GcsStorage::open(&config(gcs.endpoint(), bucket.clone())).await.unwrap();
        Self { storage, gcs, bucket }
    }

    pub(crate) async fn new(judge: impl Fn(&Request) -> Verdict + Send + Sync + 'static) -> Self {
        let scene = Self::quiet().await;
        scene.gcs.judge(judge);
        scene
    }

    /// Where the first so many requests that match meet this verdict, and all others pass.
    pub(crate) async fn times(times: usize, matches: fn(&Request) -> bool, verdict: Verdict) -> Self {
        let scene = Self::quiet().await;
        scene.trouble(times, matches, verdict);
        scene
    }

    /// The same from now on.
    pub(crate) fn trouble(&self, times: usize, matches: fn(&Request) -> bool, verdict: Verdict) {
        let met = AtomicUsize::new(0);
        self.gcs.judge(move |request| {
            let is_met = matches(request) && met.fetch_add(1, Ordering::SeqCst) < times;
            if is_met { verdict.clone() } else { Verdict::Pass }
        });
    }
}

pub(crate) fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

/// Enough for a resumable upload, and for reading in several parts.
pub(crate) fn large() -> Bytes {
    let mut random = fastrand::Rng::with_seed(7);
    let mut bytes = vec![0; 1_100_000];
    random.fill(&mut bytes);
    Bytes::from(bytes)
}

/// Writes content in one request, or the content of a resumable upload.
pub(crate) fn is_content(request: &Request) -> bool {
    request.method == "PUT" || (request.method == "POST" && request.path.contains("uploadType=multipart"))
}

/// Asks for content.
pub(crate) fn is_read(request: &Request) -> bool {
    request.method == "GET" && request.path.contains("alt=media")
}
