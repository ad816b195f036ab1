//! One runtime process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::listening::Listening;

/// Starts one as the systemd unit that `rustwren setup` wrote into the folder `fleet` says, but on a port of its own
/// and with folders of the test's; and waits until it listens.
///
/// Its program is this one: [`main`](crate::main()) makes it a runtime when it is started as one.
pub(super) fn start(
    home: &Path,
    fleet: &Path,
    secrets: &Path,
    storage: &Path,
    settings: &[(String, String)],
) -> Listening {
    let unit = fs::read_to_string(fleet.join("rustwren-runtime.service")).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([super::SERVE, "--listen", "127.0.0.1:0"])
        .env_clear()
        .env("HOME", home)
        .env("PATH", "/usr/local/bin:/usr/bin:/bin");
    for line in unit.lines().filter_map(|line| line.strip_prefix("Environment=")) {
        let (name, value) = line.trim_matches('"').split_once('=').unwrap();
        let value = value
            .replace("%d/secrets", secrets.to_str().unwrap())
            .replace("%C/rustwren", unpacked().to_str().unwrap())
            .replace("/var/lib/rustwren/storage", storage.to_str().unwrap());
        assert!(!value.contains('%') && !value.starts_with("/var/"), "what is {line} here?");
        command.env(name, value);
    }
    for (key, value) in settings {
        command.arg("--set").arg(format!("{key}={value}"));
    }
    Listening::start(command, home)
}

/// Where runtimes keep unpacked programs: one place for all of them and for every run, since unpacking this program,
/// with all that is in it for debuggers, takes longer than most tests.
pub(crate) fn unpacked() -> PathBuf {
    std::env::current_exe().unwrap().with_file_name("fleet-cache")
}
