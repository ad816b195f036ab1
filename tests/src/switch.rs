//! The examples, which go from this machine to anywhere by their configuration file alone.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// An example's executable, beside the test binaries, where `cargo nextest run --workspace` and `cargo test --workspace`
/// put it.
///
/// # Panics
///
/// Where it was not built.
pub fn example(name: &str) -> PathBuf {
    let deps = std::env::current_exe().unwrap();
    let path = deps.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    assert!(
        path.is_file(),
        "{} is missing: `cargo build --workspace --examples` makes it, with the features of the workspace",
        path.display()
    );
    path
}

/// Every example with little work for it.
const EXAMPLES: [(&str, &[&str]); 6] = [
    ("squares", &[]),
    ("pi", &["50000", "7"]),
    ("mandelbrot", &["64", "50", "small.png"]),
    ("flops", &["3", "40", "1"]),
    ("census", &["packages"]),
    ("geolocate", &["0"]),
];

/// Runs every example on this machine, and again with the configuration file `there` and these variables: nothing else
/// differs, and they find the same.
///
/// # Panics
///
/// Where one fails, complains, or finds something else.
pub fn all_examples(there: &Path, variables: &[(&str, &str)]) {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path().join("here.toml");
    std::fs::write(&here, "provider = \"local\"\n").unwrap();
    let package = dir.path().join("packages/half-1.0.0");
    std::fs::create_dir_all(package.join("src")).unwrap();
    std::fs::write(package.join("Cargo.toml"), "").unwrap();
    std::fs::write(package.join("src/lib.rs"), "#[test]\nfn f() {}\n").unwrap();
    for (name, args) in EXAMPLES {
        let [local, remote] = [&*here, there].map(|config| {
            let printed = printed(dir.path(), config, variables, name, args);
            let picture = std::fs::read(dir.path().join("small.png")).ok();
            (found(name, &printed), picture)
        });
        assert!(!local.0.is_empty(), "{name} has found nothing");
        assert!(local == remote, "{name}: {:#?}\nand there {:#?}", local.0, remote.0);
    }
}

/// Runs an example in this folder, and gives what it printed.
fn printed(
    dir: &Path,
    config: &Path,
    variables: &[(&str, &str)],
    name: &str,
    args: &[&str],
) -> String {
    let mut command = Command::new(example(name));
    command
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("HOME", dir)
        .env("RUSTWREN_CONFIG", config)
        .envs(variables.iter().copied())
        .stdin(Stdio::null());
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success() && err.is_empty(),
        "{name} with {}: {}\nstdout: {out}\nstderr: {err}",
        config.display(),
        output.status
    );
    out.into_owned()
}

/// What it has found, without what differs from run to run: the speed of a machine, a report with its times in it, the
/// job's id in a hint, the address of an example's own service.
fn found(name: &str, printed: &str) -> Vec<String> {
    let lines = printed.lines().take_while(|line| !line.is_empty());
    let lines = lines.filter(|line| !line.starts_with("hint: ")).map(without_port);
    let without_speed = |line: String| line.split_once(": ").map_or(line.clone(), |(what, _)| what.to_owned());
    lines.map(|line| if name == "flops" { without_speed(line) } else { line }).collect()
}

/// A line without the port of a service on this machine.
fn without_port(line: &str) -> String {
    const HOST: &str = "127.0.0.1:";
    match line.split_once(HOST) {
        Some((before, after)) => {
            format!("{before}{HOST}{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
        }
        None => line.to_owned(),
    }
}
