//! Storage over S3 against the bare SDK: the same objects, by turns, to the same server in this process.
//!
//! ```text
//! cargo bench -p rustwren-aws --bench s3              # some minutes
//! cargo bench -p rustwren-aws --bench s3 -- --quick
//! ```

#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made ends")]

mod server;

use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use rustix::time::{ClockId, clock_gettime};
use rustwren_aws::S3Storage;
use rustwren_aws::client::{Access, Keys, Retries};
use rustwren_aws::config::StorageConfig;
use rustwren_core::storage::{Key, Storage as _};

const BUCKET: &str = "bucket";

/// What is written and read: so many objects of such a size, so many at once.
struct Case {
    name: &'static str,
    size: usize,
    objects: usize,
    at_once: usize,
}

const CASES: [Case; 2] = [
    Case { name: "4 KB, 64 at once", size: 4 << 10, objects: 2_000, at_once: 64 },
    Case { name: "64 MB", size: 64 << 20, objects: 2, at_once: 1 },
];

#[derive(Clone, Copy)]
enum Side {
    Bare,
    Storage,
}

#[derive(Clone, Copy)]
enum Work {
    Put,
    Get,
}

struct Bench {
    bare: Client,
    storage: S3Storage,
}

/// Wall time, and processor time of this thread, which is the client's only one.
#[derive(Clone, Copy, Default)]
struct Cost {
    wall: Duration,
    cpu: Duration,
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
            part_size: 8 << 20,
            parallel: 8,
        };
        Self { bare: Client::from_conf(s3), storage: S3Storage::open(&config).await.unwrap() }
    }

    async fn one(&self, side: Side, work: Work, name: String, data: &Bytes) {
        match (side, work) {
            (Side::Bare, Work::Put) => {
                let request = self.bare.put_object().bucket(BUCKET).key(name);
                request.body(ByteStream::from(data.clone())).send().await.unwrap();
            }
            (Side::Bare, Work::Get) => {
                let answer = self.bare.get_object().bucket(BUCKET).key(name).send().await.unwrap();
                let bytes = answer.body.collect().await.unwrap().into_bytes();
                assert_eq!(bytes.len(), data.len());
            }
            (Side::Storage, Work::Put) => {
                self.storage.put(&Key::new(name).unwrap(), data.clone()).await.unwrap()
            }
            (Side::Storage, Work::Get) => {
                let bytes = self.storage.get(&Key::new(name).unwrap()).await.unwrap();
                assert_eq!(bytes.len(), data.len());
            }
        }
    }

    async fn round(&self, side: Side, work: Work, case: &Case, data: &Bytes) -> Cost {
        let (wall, cpu) = (Instant::now(), cpu());
        stream::iter(0..case.objects)
            .for_each_concurrent(case.at_once, |i| self.one(side, work, format!("o/{i}"), data))
            .await;
        Cost { wall: wall.elapsed(), cpu: self::cpu() - cpu }
    }
}

fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Of every pair of rounds the ratio of the bare SDK's time to the storage's: above 1, the storage is faster.
async fn compare(bench: &Bench, work: Work, case: &Case, rounds: usize) {
    let data = Bytes::from(fastrand::Rng::with_seed(1).u8(..).to_le_bytes().repeat(case.size));
    let mut pairs = Vec::new();
    for round in 0..=rounds {
        let mut pair = [Cost::default(); 2];
        // By turns, so that a change of the machine's load meets both; the first pair warms up.
        let order = if round % 2 == 0 { [Side::Bare, Side::Storage] } else { [Side::Storage, Side::Bare] };
        for side in order {
            pair[side as usize] = bench.round(side, work, case, &data).await;
        }
        pairs.push(pair);
    }
    let pairs = &pairs[1..];
    let ratio = |of: fn(&Cost) -> Duration| {
        median(
            pairs.iter().map(|[bare, storage]| of(bare).as_secs_f64() / of(storage).as_secs_f64()).collect(),
        )
    };
    let bare = median(pairs.iter().map(|[bare, _]| bare.wall.as_secs_f64()).collect());
    println!(
        "{} {:18} {:>9.0} objects/s bare, {:.2} of it through Storage ({:.2} by processor time), {} pairs",
        if matches!(work, Work::Put) { "put" } else { "get" },
        case.name,
        case.objects as f64 / bare,
        ratio(|cost| cost.wall),
        ratio(|cost| cost.cpu),
        pairs.len(),
    );
}

fn main() {
    let is_quick = std::env::args().any(|arg| arg == "--quick");
    let endpoint = format!("http://{}", server::start());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let bench = Bench::new(endpoint).await;
        for case in &CASES {
            for work in [Work::Put, Work::Get] {
                compare(&bench, work, case, if is_quick { 5 } else { 25 }).await;
            }
        }
    });
}
