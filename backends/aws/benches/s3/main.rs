//! Storage over S3 against the bare SDK: the same objects, by turns, to the same server in this process.
//!
//! ```text
//! cargo bench -p rustwren-aws --bench s3              # some minutes
//! cargo bench -p rustwren-aws --bench s3 -- --quick
//! ```

#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made ends")]

mod server;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use rustwren_aws::S3Storage;
use rustwren_aws::client::{Access, Keys, Retries};
use rustwren_aws::config::StorageConfig;
use rustwren_core::storage::remote::Parts;
use rustwren_core::storage::{Key, Storage as _};
use rustwren_testkit::least_server;
use rustwren_testkit::rivals::{CASES, Side, Work, compare};

const BUCKET: &str = "bucket";

struct Bench {
    bare: Client,
    storage: S3Storage,
}

impl Bench {
    async fn new(endpoint: String) -> Self {
        let keys = Keys { id: "id".to_owned(), secret: "secret".to_owned() };
        let access = Access { endpoint: Some(endpoint), credentials: Some(keys), ..Access::default() };
        let sdk = access.load(Retries::Sdk).await;
        let s3 = aws_sdk_s3::config::Builder::from(&sdk).force_path_style(true).build();
        let config = StorageConfig {
            access,
            bucket: BUCKET.to_owned(),
            prefix: None,
            path_style: true,
            parts: Parts::default(),
        };
        Self { bare: Client::from_conf(s3), storage: S3Storage::open(&config).await.unwrap() }
    }

    async fn one(&self, side: Side, work: Work, name: String, data: Bytes) {
        match (side, work) {
            (Side::Bare, Work::Put) => {
                let request = self.bare.put_object().bucket(BUCKET).key(name);
                request.body(ByteStream::from(data)).send().await.unwrap();
            }
            (Side::Bare, Work::Get) => {
                let answer = self.bare.get_object().bucket(BUCKET).key(name).send().await.unwrap();
                let bytes = answer.body.collect().await.unwrap().into_bytes();
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
    let endpoint = format!("http://{}", least_server::start(server::answer));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let bench = Bench::new(endpoint).await;
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
