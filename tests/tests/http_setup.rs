//! The files that `rustwren setup` writes for HTTP workers, read by the tools that they are for.

#![expect(clippy::unwrap_used, reason = "tests say what went wrong by failing")]

use std::fs;
use std::path::Path;
use std::process::Command;

use rustwren_tests::fleet::{self, Kind, tool};
use serde_json::Value;
use tempfile::TempDir;

fn set_up() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("rustwren.toml");
    fleet::configure(&config, "http://127.0.0.1:1", 8);
    fleet::set_up(&config, folder.path(), false);
    folder
}

#[track_caller]
fn assert_runs(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let [out, err] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(output.status.success(), "{command:?}\n{out}\n{err}");
    assert!(!err.to_lowercase().contains("warn"), "{err}");
    out
}

#[test]
fn systemd_takes_the_unit() {
    let folder = set_up();
    let path = folder.path().join("rustwren-runtime.service");
    let unit = fs::read_to_string(&path).unwrap();
    assert!(unit.contains("ExecStart=/usr/local/bin/rustwren-runtime serve\n"), "{unit}");
    // The program is not installed here, and systemd looks for it.
    fs::write(&path, unit.replace("/usr/local/bin/rustwren-runtime", "/bin/true")).unwrap();
    assert_runs(Command::new(tool("systemd-analyze")).args(["verify", "--man=no"]).arg(&path));
    fs::write(&path, unit.replace("LoadCredential=", "LoadCredentials=")).unwrap();
    let wrong =
        Command::new(tool("systemd-analyze")).args(["verify", "--man=no"]).arg(&path).output().unwrap();
    assert!(
        String::from_utf8_lossy(&wrong.stderr).contains("LoadCredentials"),
        "it says what it does not know"
    );
}

/// A whole configuration around a snippet, whose listener need not be there.
fn whole(folder: &Path, kind: Kind) -> std::path::PathBuf {
    let snippet = fs::read_to_string(folder.join(kind.file())).unwrap();
    let servers = ["127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap()];
    let text = kind.configuration(&snippet, folder, "127.0.0.1:9".parse().unwrap(), &servers);
    let path = folder.join("whole");
    fs::write(&path, text.replace("bind fd@3", "bind 127.0.0.1:9")).unwrap();
    path
}

#[test]
fn nginx_takes_its_file() {
    let folder = set_up();
    let whole = whole(folder.path(), Kind::Nginx);
    let mut nginx = Command::new(tool("nginx"));
    assert_runs(nginx.arg("-t").args(["-e", "stderr"]).arg("-p").arg(folder.path()).arg("-c").arg(whole));
}

#[test]
fn haproxy_takes_its_file() {
    let folder = set_up();
    assert_runs(Command::new(tool("haproxy")).args(["-c", "-f"]).arg(whole(folder.path(), Kind::Haproxy)));
}

#[test]
fn manifests_are_what_their_platforms_read() {
    let folder = set_up();
    let python = fleet::cache().join("manifests/bin/python");
    assert!(python.is_file(), "there is no {}: run scripts/test once, which brings it", python.display());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/fleet/manifests.py");
    let found = assert_runs(Command::new(python).arg(script).arg(folder.path()));
    let found: Value = serde_json::from_str(&found).unwrap();

    let variable = |container: &Value, name: &str| {
        let variables = container["env"].as_array().unwrap();
        variables.iter().find(|variable| variable["name"] == name).map(|variable| variable["value"].clone())
    };
    let deployment = &found["kubernetes"][0]["spec"]["template"]["spec"];
    let knative = &found["knative"]["spec"]["template"]["spec"];
    for (pod, listen) in [(deployment, "0.0.0.0:8080"), (knative, "0.0.0.0:$PORT")] {
        let container = &pod["containers"][0];
        assert_eq!(variable(container, "RUSTWREN__COMPUTE__LISTEN"), Some(listen.into()));
        assert_eq!(variable(container, "RUSTWREN__COMPUTE__SERVE_STORAGE"), Some("true".into()));
        let file = variable(container, "RUSTWREN__COMPUTE__SECRET_FILE").unwrap();
        let mounts = container["volumeMounts"].as_array().unwrap();
        let mount = mounts.iter().find(|mount| mount["name"] == "secrets").unwrap();
        assert_eq!(file, format!("{}/secrets", mount["mountPath"].as_str().unwrap()));
        let volumes = pod["volumes"].as_array().unwrap();
        assert!(volumes.iter().any(|volume| volume["secret"]["secretName"] == "rustwren"), "{volumes:?}");
    }
    let service = &found["kubernetes"][1]["spec"];
    assert_eq!(service["selector"], found["kubernetes"][0]["spec"]["selector"]["matchLabels"]);

    let app = &found["app"];
    assert_eq!((&app["runtime"], &app["env"]), (&"custom".into(), &"flex".into()));
    assert_eq!(app["env_variables"]["RUSTWREN__COMPUTE__LISTEN"], "0.0.0.0:$PORT");

    let commands = found["dockerfile"].as_array().unwrap();
    let known = ["FROM", "RUN", "COPY", "USER", "EXPOSE", "ENTRYPOINT", "CMD"];
    for command in commands {
        assert!(known.contains(&command[0].as_str().unwrap().to_uppercase().as_str()), "{command}");
    }
    assert_eq!(commands[0][1], "debian:12-slim");
    assert!(commands.iter().any(|command| command[0] == "ENTRYPOINT"), "{commands:?}");
}
