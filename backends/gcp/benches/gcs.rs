//! Storage over Cloud Storage against Google's bare crate: the same objects, by turns, to the same server in this process.
//!
//! ```text
//! cargo bench -p rustwren-gcp --bench gcs              # some minutes
//! cargo bench -p rustwren-gcp --bench gcs -- --quick
//! ```

#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made ends")]

use bytes::{Bytes, BytesMut};
use google_cloud_storage::client::Storage as Client;
use rustwren_core::storage::remote::Parts;
use rustwren_core::storage::{Key, Storage as _};
use rustwren_gcp::GcsStorage;
use rustwren_gcp::client::Access;
use rustwren_gcp::config::StorageConfig;
use rustwren_testkit::rivals::{CASES, Side, Work, compare};
use rustwren_testkit::standins::Gcs;

struct Bench {
    bare: Client,
    storage: GcsStorage,
    bucket: String,
}

impl Bench {
    async fn new(gcs: &Gcs) -> Self {
        let access = Access { endpoint: Some(gcs.endpoint()), anonymous: true, ..Access::default() };
        let credentials = access.credentials().unwrap();
        let bare = Client::builder().with_endpoint(gcs.endpoint()).with_credentials(credentials);
        let bucket = gcs.new_bucket();
        let config = StorageConfig { access, bucket: bucket.clone(), prefix: None, parts: Parts::default() };
        Self {
            // The crate tells the server a host without its port, and would send the content of resumable uploads there.
            bare: bare.with_resumable_upload_threshold(usize::MAX).build().await.unwrap(),
            storage: GcsStorage::open(&config).await.unwrap(),
            bucket: format!("projects/_/buckets/{bucket}"),
        }
    }

    async fn one(&self, side: Side, work: Work, name: String, data: Bytes) {
        match (side, work) {
            (Side::Bare, Work::Put) => {
                Box::pin(self.bare.write_object(&self.bucket, name, data).send_unbuffered()).await.unwrap();
            }
            (Side::Bare, Work::Get) => {
                let mut answer = self.bare.read_object(&self.bucket, name).send().await.unwrap();
                let mut bytes = BytesMut::new();
                while let Some(piece) = answer.next().await {
                    bytes.extend_from_slice(&piece.unwrap());
                }
                assert_eq!(bytes.len(), data.len());
            }
            (Side::Ours, Work::Put) => self.storage.put(&Key::new(name).unwrap(), data).await.unwrap(),
            (Side::Ours, Work::Get) => {
                let bytes = self.storage.get(&Key::new(name).unwrap()).await.unwrap();
                assert_eq!(bytes.len(), data.len());
            }
        }
    }
}

fn main() {
    let is_quick = std::env::args().any(|arg| arg == "--quick");
    let gcs = Gcs::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let bench = Bench::new(&gcs).await;
        for case in &CASES {
            for work in [Work::Put, Work::Get] {
                let one = |side, work, name, data| bench.one(side, work, name, data);
                compare(one, work, case, if is_quick { 5 } else { 25 }).await;
            }
        }
    });
}
