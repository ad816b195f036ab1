//! `rustwren setup`, `teardown`, `doctor` and `logs`, as users and scripts see them.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails, fails the test")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

mod aws;
mod aws_hello;
mod azure;
mod doctor;
mod local;

/// The command in this folder, which is its home too, with these variables and nothing else in the environment.
fn rustwren(home: &Path, args: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rustwren"))
        .args(args)
        .current_dir(home)
        .env_clear()
        .env("HOME", home)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[track_caller]
fn assert_exit(output: &Output, code: i32) {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "stdout: {out}\nstderr: {err}");
}
