//! An example that goes from this machine to Azure by its configuration file alone.

use std::path::Path;
use std::process::{Command, Stdio};

use rustwren_tests::example;

use crate::place::{Place, Plan};

/// Runs the example with this configuration, and gives what it printed.
fn squares(dir: &Path, config: &Path) -> String {
    let mut command = Command::new(example("squares"));
    command.current_dir(dir).env_clear().env("HOME", dir).env("RUSTWREN_CONFIG", config).stdin(Stdio::null());
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && err.is_empty(), "{}\nstdout: {out}\nstderr: {err}", output.status);
    out.into_owned()
}

pub(crate) fn switch() {
    let place = Place::new(Plan { instances: 2, ..Plan::default() });
    let dir = tempfile::tempdir().unwrap();
    let local = dir.path().join("rustwren.toml");
    std::fs::write(&local, "provider = \"local\"\n").unwrap();
    let here = squares(dir.path(), &local);
    assert_eq!(place.host.seen().calls, 0);
    let there = squares(dir.path(), &place.config());
    assert!(place.host.seen().invocations > 0);
    assert_eq!(here, "the squares of 0 to 999 add up to 332833500\n");
    assert_eq!(here, there);
}
