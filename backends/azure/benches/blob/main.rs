//! Storage over Blob storage against the bare SDK: the same objects, by turns, to the same server in this process, over the
//! same connections and with the same signatures.
//!
//! ```text
//! cargo bench -p rustwren-azure --bench blob              # some minutes
//! cargo bench -p rustwren-azure --bench blob -- --quick
//! ```

#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made ends")]

mod server;

use azure_storage_blob::BlobContainerClient;
use bytes::Bytes;
use rustwren_azure::BlobStorage;
use rustwren_azure::client::{Access, Credentials};
use rustwren_azure::config::StorageConfig;
use rustwren_core::storage::remote::Parts;
use rustwren_core::storage::{Key, Storage as _};
use rustwren_testkit::least_server;
use rustwren_testkit::rivals::{CASES, Side, Work, compare};

struct Bench {
    storage: BlobStorage,
}

impl Bench {
    fn new(endpoint: String) -> Self {
        let access = Access {
            endpoint: Some(endpoint),
            credentials: Some(Credentials::Key("c2VjcmV0".to_owned())),
            ..Access::default()
        };
        let config = StorageConfig {
            access,
            container: "container".to_owned(),
            prefix: None,
            parts: Parts::default(),
        };
        Self { storage: BlobStorage::open(&config).unwrap() }
    }

    /// The SDK's client, as the storage uses it.
    fn bare(&self) -> &BlobContainerClient {
        self.storage.client()
    }

    async fn one(&self, side: Side, work: Work, name: String, data: Bytes) {
        match (side, work) {
            (Side::Bare, Work::Put) => {
                let blob = self.bare().blob_client(&name);
                Box::pin(blob.upload(data.into(), None)).await.unwrap();
            }
            (Side::Bare, Work::Get) => {
                let answer = Box::pin(self.bare().blob_client(&name).download(None)).await.unwrap();
                let bytes = answer.body.collect().await.unwrap();
                assert_eq!(bytes.len(), data.len());
            }
            (Side::Ours, Work::Put) => {
                self.storage.put(&Key::new(name).unwrap(), data).await.unwrap();
            }
            (Side::Ours, Work::Get) => {
                let bytes = self.storage.get(&Key::new(name).unwrap()).await.unwrap();
                assert_eq!(bytes.len(), data.len());
            }
        }
    }
}

fn main() {
    let is_quick = std::env::args().any(|arg| arg == "--quick");
    let endpoint = format!("http://{}/account", least_server::start(server::answer));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let bench = Bench::new(endpoint);
        for case in &CASES {
            for work in [Work::Put, Work::Get] {
                compare(
                    |side, work, name, data| bench.one(side, work, name, data),
                    work,
                    case,
                    if is_quick { 5 } else { 25 },
                )
                .await;
            }
        }
    });
}
