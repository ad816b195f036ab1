//! A deployment: a bucket of moto, and a function that runs this program as its runtime.

use std::time::Duration;

use rustwren::Executor;
use rustwren::blocking::block_on;
use rustwren::config::LoadOptions;
use rustwren_testkit::standins::Moto;
use rustwren_testkit::standins::lambda::{Function, LambdaFront};
use rustwren_tests::grouped::Place;

/// What jobs may have at once. The account allows more: Lambda does not end an invocation because its job is over, and
/// those go on for a while.
const WORKERS: usize = 2;
const ACCOUNT: usize = 16;

/// A deployment of one suite's own.
pub(crate) struct Deployment {
    pub(crate) front: LambdaFront,
    pub(crate) bucket: String,
    pub(crate) moto: Moto,
    /// How long an invocation may last.
    seconds: u64,
    _dir: tempfile::TempDir,
}

impl Deployment {
    pub(crate) fn new(seconds: u64) -> Self {
        Self::with(seconds, &[])
    }

    /// With these variables of the function besides.
    pub(crate) fn with(seconds: u64, variables: &[(&str, &str)]) -> Self {
        let (moto, dir) = (Moto::start(), tempfile::tempdir().expect("a folder for the test"));
        let bucket = moto.new_bucket();
        let own = [
            ("RUSTWREN__STORAGE__BACKEND", "aws"),
            ("RUSTWREN__STORAGE__BUCKET", bucket.as_str()),
            ("RUSTWREN__STORAGE__ENDPOINT", &moto.endpoint()),
            // Nested jobs and drivers of detached ones call AWS themselves.
            ("RUSTWREN__COMPUTE__PASS_ENV", "AWS_*"),
            // One for all environments: an image is unpacked once for all of them.
            ("RUSTWREN_CACHE_DIR", dir.path().to_str().expect("a folder with a readable name")),
        ];
        let environment = own.iter().chain(&Moto::CREDENTIALS).chain(variables);
        let front = LambdaFront::start(Function {
            name: "rustwren".to_owned(),
            bootstrap: std::env::current_exe().expect("this program is somewhere"),
            timeout: Duration::from_secs(seconds),
            memory_mb: 1769,
            environment: environment.map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
            concurrency: ACCOUNT,
            event_retries: 0,
        });
        Self { front, bucket, moto, seconds, _dir: dir }
    }

}

impl Place for Deployment {
    fn connect(&self) -> rustwren::Result<Executor> {
        let options = LoadOptions::of_process()
            .search(false)
            .set("provider", "aws")
            .set("storage.bucket", self.bucket.as_str())
            .set("storage.endpoint", self.moto.endpoint())
            .set("compute.endpoint", self.front.endpoint())
            .set("compute.workers", WORKERS as u64)
            .set("compute.timeout", format!("{}s", self.seconds))
            .set("client.progress", "never")
            .set("client.logs", "none");
        block_on(Executor::connect_with(&options))
    }
}
