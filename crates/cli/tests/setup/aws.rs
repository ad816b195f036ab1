//! `rustwren setup`, `teardown` and `logs` on AWS, against moto. It does not run functions, so that the first call after a
//! setup is answered by a front before it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Output;

use rustwren_testkit::standins::{Front, Moto, Verdict};
use serde_json::Value;

use crate::text;

/// Whoever runs the command.
const CREDENTIALS: [(&str, &str); 2] =
    [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "hunter2-secret")];

/// A folder with a configuration for what is behind the endpoint.
pub(crate) fn home(endpoint: &str, compute: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let mut config = "provider = 'aws'\n".to_owned();
    write!(config, "[storage]\nbucket = 'ada-rustwren'\nregion = 'eu-west-1'\nendpoint = '{endpoint}'\n")
        .unwrap();
    write!(config, "[compute]\nregion = 'eu-west-1'\nendpoint = '{endpoint}'\n{compute}\n").unwrap();
    fs::write(home.path().join("rustwren.toml"), config).unwrap();
    home
}

pub(crate) fn rustwren(home: &Path, args: &[&str]) -> Output {
    crate::rustwren(home, args, &CREDENTIALS)
}

/// A file that could run there as far as its headers tell; it is never started.
fn runtime(home: &Path) -> String {
    let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0];
    elf.resize(16, 0);
    let header = [(2, 2), (2, 62), (4, 1), (8, 0x40_0078), (8, 64), (8, 0), (4, 0)];
    let sizes = [(2, 64), (2, 56), (2, 1), (2, 64), (2, 0), (2, 0)];
    let segment = [(4, 1), (4, 5), (8, 0), (8, 0x40_0000), (8, 0x40_0000), (8, 128), (8, 128), (8, 4096)];
    for (size, value) in [&header[..], &sizes, &segment, &[(8, 0x90)]].concat() {
        elf.extend_from_slice(&u64::to_le_bytes(value)[..size]);
    }
    let path = home.join("runtime");
    fs::write(&path, elf).unwrap();
    path.to_str().unwrap().to_owned()
}

#[track_caller]
pub(crate) fn assert_exit(output: &Output, code: i32) {
    crate::assert_exit(output, code);
    let said = [&output.stdout, &output.stderr].map(|bytes| text(bytes));
    assert!(said.iter().all(|said| !said.contains("hunter2")), "a secret is shown");
}

/// Kinds and changes of a report's steps.
fn steps(output: &Output) -> Vec<String> {
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let steps = report["providers"][0]["steps"].as_array().unwrap();
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    steps.iter().map(|step| format!("{} {}", word(&step["change"]), word(&step["kind"]))).collect()
}

#[test]
fn the_life_of_a_setup() {
    let moto = Moto::start();
    let front = Front::before(moto.address(), |request| {
        if request.path.ends_with("/invocations") {
            let headers = vec![("x-amzn-errortype", "AccessDeniedException".to_owned())];
            return Verdict::Answer {
                status: 403,
                headers,
                body: "{\"Message\":\"not in this test\"}".to_owned(),
            };
        }
        Verdict::Pass
    });
    let home = home(&front.endpoint(), "");
    let home = home.path();
    let runtime = runtime(home);
    let runtime = runtime.as_str();

    let made = ["create bucket", "create role", "create log group", "create function", "create async calls"];
    let planned = rustwren(home, &["setup", "--runtime", runtime, "--dry-run"]);
    assert_exit(&planned, 0);
    let shown = text(&planned.stdout);
    assert!(shown.contains("5 to create") && shown.contains("/aws/lambda/rustwren"), "{shown}");
    let planned = rustwren(home, &["setup", "--runtime", runtime, "--dry-run", "--json"]);
    assert_exit(&planned, 0);
    assert_eq!(steps(&planned), made, "a dry run has changed nothing");

    let unasked = rustwren(home, &["setup", "--runtime", runtime]);
    assert!(!unasked.status.success() && text(&unasked.stderr).contains("--yes"), "{unasked:?}");

    let done = rustwren(home, &["setup", "--runtime", runtime, "--yes"]);
    assert!(!done.status.success(), "the first call is refused");
    let said = text(&done.stderr);
    assert!(said.contains("everything is set up, but a first call failed"), "{said}");
    assert!(said.contains("not in this test"), "{said}");

    let again = rustwren(home, &["setup", "--runtime", runtime, "--dry-run"]);
    assert_exit(&again, 0);
    assert!(text(&again.stdout).contains("no change: 5 as they should be"), "{}", text(&again.stdout));

    let doctor = rustwren(home, &["doctor"]);
    assert!(!doctor.status.success());
    for leg in ["ok     credentials", "ok     bucket", "ok     function", "ok     storage", "failed worker"] {
        assert!(text(&doctor.stdout).contains(leg), "{leg}: {}", text(&doctor.stdout));
    }

    let logs = rustwren(home, &["logs", "--since", "1h"]);
    assert_exit(&logs, 0);
    assert!(text(&logs.stderr).contains("has logged nothing"), "{logs:?}");

    let removal = rustwren(home, &["teardown", "--dry-run", "--json"]);
    assert_exit(&removal, 0);
    let removed = ["delete function", "delete log group", "delete role", "delete bucket"];
    assert_eq!(steps(&removal), removed);
    let removal = rustwren(home, &["teardown", "--yes"]);
    assert_exit(&removal, 0);
    assert!(text(&removal.stderr).contains("nothing is left"), "{}", text(&removal.stderr));
    let removal = rustwren(home, &["teardown", "--yes"]);
    assert_exit(&removal, 0);
    assert!(text(&removal.stderr).contains("there is nothing to remove"), "{}", text(&removal.stderr));
}

#[test]
fn a_runtime_for_other_machines_is_refused_before_anything_is_made() {
    let moto = Moto::start();
    let home = home(&moto.endpoint(), "architecture = 'arm64'");
    let refused = rustwren(home.path(), &["setup", "--runtime", &runtime(home.path()), "--yes"]);
    assert_exit(&refused, 6);
    let said = text(&refused.stderr);
    assert!(said.contains("--target aarch64-unknown-linux-gnu.2.34"), "{said}");
    let missing = rustwren(home.path(), &["setup", "--runtime", "/nowhere", "--yes"]);
    assert_exit(&missing, 3);
}
