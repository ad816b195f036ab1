//! The suites over workers that know the client by bytes alone, and what pipelines leave in the storage that both have.

use std::path::Path;
use std::process::ExitCode;

use rustwren_core::executor::Executor;
use rustwren_tests::hosted::Place;
use rustwren_tests::{Backend, BoxFuture};

/// Programs are packed once for all tests.
fn cache() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

fn connect() -> BoxFuture<rustwren::Result<Executor>> {
    Box::pin(async { Place::default().connect(cache()).await })
}

fn main() -> ExitCode {
    rustwren_tests::main(&[Backend { name: "hosted", connect, short_lived: None, gaps: GAPS }])
}

const GAPS: &[(&str, &str)] = &[];
