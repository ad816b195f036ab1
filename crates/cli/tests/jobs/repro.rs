//! `repro`.

use std::path::PathBuf;

use rustwren::__cli::durable::JobId;
use rustwren::__cli::entry::{Call, Target};
use rustwren::__cli::image::{ImageId, ProgramImage, image_key};
use rustwren::__cli::invoker::{JobSpec, Payload};
use rustwren::__cli::storage::Storage as _;
use rustwren::{FailureKind, TaskFailure};

use crate::harness::{Place, assert_exit, assert_says, stderr, stdout};
use crate::made::{failed, own_image, remote, spec};
use crate::tasks::LIMIT;

crate::tests![every_way_to_end];

const JOB: &str = "1a-0-0";

/// The encoding of a short text.
fn text(text: &str) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(text.len()).unwrap()];
    bytes.extend(text.as_bytes());
    bytes
}

fn panicked(message: &str) -> TaskFailure {
    TaskFailure::new(FailureKind::Panic, message)
}

/// Keeps one failed element of a function of ours whose program is this one under another name.
fn keep(place: &Place, index: u64, how: &str, spec: &JobSpec, failure: TaskFailure) -> PathBuf {
    let program = place.path("render");
    if !program.exists() {
        place.program("render");
    }
    place.block_on(failed(place, spec, &program, index, failure, &text(how)));
    program
}

fn every_way_to_end() {
    let place = Place::new();
    let spec = spec(JOB, "render", own_image(), remote("ends", Call::Map));
    keep(&place, 13, "panic", &spec, panicked("unlucky"));
    let output = place.run(&["repro", "1a", "13"]);
    println!("{}{}", stdout(&output), stderr(&output));
    assert_exit(&output, 1);
}
