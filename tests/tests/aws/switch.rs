//! An example that goes from this machine to AWS by its configuration file alone.

use std::path::Path;
use std::process::{Command, Stdio};

use libtest_mimic::Trial;

use crate::place::{CREDENTIALS, Place};

pub(crate) fn trial() -> Trial {
    rustwren_tests::trial("aws::an example switches by its configuration alone", switch)
}

/// Runs the example in this folder, and gives what it printed.
fn squares(dir: &Path) -> String {
    let deps = std::env::current_exe().unwrap();
    let example = deps.parent().and_then(Path::parent).unwrap().join("examples/squares");
    assert!(
        example.is_file(),
        "{} is missing: `cargo build --workspace --example squares` makes it, with the features of the workspace",
        example.display()
    );
    let mut command = Command::new(example);
    command.current_dir(dir).env_clear().env("HOME", dir).envs(CREDENTIALS).stdin(Stdio::null());
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && err.is_empty(), "{}\nstdout: {out}\nstderr: {err}", output.status);
    out.into_owned()
}

fn switch() {
    let place = Place::new(20);
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("rustwren.toml");

    std::fs::write(&config, "provider = \"local\"\n").unwrap();
    let here = squares(dir.path());
    assert_eq!(place.front.seen().calls, 0);

    let (bucket, storage, lambda) = (&place.bucket, place.moto.endpoint(), place.front.endpoint());
    let text = format!(
        "provider = \"aws\"\n[storage]\nbucket = \"{bucket}\"\nendpoint = \"{storage}\"\n[compute]\nendpoint = \"{lambda}\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let there = squares(dir.path());
    assert!(place.front.seen().invocations > 0);
    assert_eq!(here, "the squares of 0 to 999 add up to 332833500\n");
    assert_eq!(here, there);
}
