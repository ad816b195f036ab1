//! The suites over function processes of this machine that get program and inputs from S3, and leave results there.
//!
//! One test for each suite, with a server of its own: the server's start costs more than most tests.

#![expect(clippy::disallowed_methods, reason = "the test's own way to have credentials in its environment")]

use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use rustwren::Executor;
use rustwren::blocking::block_on;
use rustwren::config::LoadOptions;
use rustwren_testkit::standins::Moto;
use rustwren_tests::{Test, suite};

/// The suites, each with the limit of its invocations.
const SUITES: &[(&str, &[Test], Option<&str>)] = &[
    ("mapping", suite::mapping::TESTS, None),
    ("handles", suite::handles::TESTS, None),
    ("jobs", suite::jobs::TESTS, None),
    ("failures", suite::failures::TESTS, None),
    ("pipelines", suite::pipelines::TESTS, None),
    ("deadlines", suite::deadlines::TESTS, Some("1s")),
];

/// What the SDK finds in the environment. Configurations have no place for secrets.
const CREDENTIALS: [(&str, &str); 4] = [
    ("AWS_ACCESS_KEY_ID", "rustwren-test"),
    ("AWS_SECRET_ACCESS_KEY", "rustwren-test"),
    ("AWS_CONFIG_FILE", "/dev/null"),
    ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
];

fn connect(moto: &Moto, bucket: &str, limit: Option<&str>) -> rustwren::Result<Executor> {
    let mut options = LoadOptions::of_process()
        .search(false)
        .set("storage.backend", "aws")
        .set("storage.bucket", bucket)
        .set("storage.endpoint", moto.endpoint())
        .set("compute.backend", "local")
        .set("compute.workers", 2)
        .set("compute.image", "packed")
        // Of the tasks that use the storage themselves.
        .set("compute.pass_env", vec!["AWS_*".to_owned()])
        .set("client.progress", "never")
        .set("client.logs", "none");
    if let Some(limit) = limit {
        options = options.set("compute.max_duration", limit);
    }
    block_on(Executor::connect_with(&options))
}

fn run(tests: &[Test], limit: Option<&str>) -> Result<(), Failed> {
    let moto = Moto::start();
    let bucket = moto.new_bucket();
    for (name, test) in tests {
        // So that a failure's message stands below its test's name.
        eprintln!("{name}");
        let executor =
            connect(&moto, &bucket, limit).map_err(|error| Failed::from(format!("{name}: {error}")))?;
        block_on(test(executor));
    }
    Ok(())
}

fn main() -> ExitCode {
    rustwren::init();
    let has_credentials = std::env::var_os(CREDENTIALS[0].0).is_some_and(|id| id == CREDENTIALS[0].1);
    if !has_credentials {
        let again = std::env::current_exe().and_then(|program| {
            Command::new(program).args(std::env::args_os().skip(1)).envs(CREDENTIALS).status()
        });
        return match again {
            Ok(status) if status.success() => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        };
    }
    let trials = SUITES
        .iter()
        .map(|&(name, tests, limit)| Trial::test(format!("s3::{name}"), move || run(tests, limit)));
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}
