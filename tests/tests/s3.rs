//! The suites over function processes of this machine that get program and inputs from S3, and leave results there.

use std::process::ExitCode;

use rustwren::Executor;
use rustwren::blocking::block_on;
use rustwren::config::LoadOptions;
use rustwren_testkit::standins::Moto;
use rustwren_tests::grouped::{self, Place};
use rustwren_tests::{Test, suite};

/// The suites, each with the limit of its invocations.
const SUITES: &[(&str, &[Test], Option<&str>)] = &[
    ("mapping", suite::mapping::TESTS, None),
    ("handles", suite::handles::TESTS, None),
    ("jobs", suite::jobs::TESTS, None),
    ("failures", suite::failures::TESTS, None),
    ("pipelines", suite::pipelines::TESTS, None),
    ("passing", suite::passing::TESTS, None),
    ("budgets", suite::budgets::TESTS, None),
    ("deadlines", suite::deadlines::TESTS, Some("1s")),
];

/// A bucket, and how long an invocation may last.
struct Bucket {
    moto: Moto,
    name: String,
    limit: Option<&'static str>,
}

impl Place for Bucket {
    fn connect(&self) -> rustwren::Result<Executor> {
        let mut options = LoadOptions::of_process()
            .search(false)
            .set("storage.backend", "aws")
            .set("storage.bucket", self.name.as_str())
            .set("storage.endpoint", self.moto.endpoint())
            .set("compute.backend", "local")
            .set("compute.workers", 2)
            .set("compute.image", "packed")
            // Of the tasks that use the storage themselves.
            .set("compute.pass_env", vec!["AWS_*".to_owned()])
            .set("client.progress", "never")
            .set("client.logs", "none");
        if let Some(limit) = self.limit {
            options = options.set("compute.max_duration", limit);
        }
        block_on(Executor::connect_with(&options))
    }
}

fn main() -> ExitCode {
    // Configurations have no place for secrets.
    if let Some(code) = grouped::again_with(&Moto::CREDENTIALS) {
        return code;
    }
    let suites = SUITES.iter().map(|&(name, tests, limit)| {
        grouped::suite(format!("s3::{name}"), tests, &[], move || {
            let moto = Moto::start();
            Bucket { name: moto.new_bucket(), moto, limit }
        })
    });
    rustwren_tests::main_with(&[], suites.collect())
}
