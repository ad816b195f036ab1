//! Every example, built and run as a user runs it, on little work.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

use std::process::{Command, Output, Stdio};

use rustwren_tests::switch::example;
use tempfile::TempDir;

/// Runs an example in a folder of its own, with nothing in its environment but that folder.
fn run(dir: &TempDir, name: &str, args: &[&str]) -> Output {
    Command::new(example(name))
        .args(args)
        .current_dir(dir.path())
        .env_clear()
        .env("HOME", dir.path())
        .env("RUSTWREN__COMPUTE__WORKERS", "2")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// What it printed, if it went well and complained of nothing.
#[track_caller]
fn printed(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && err.is_empty(), "{}\nstdout: {out}\nstderr: {err}", output.status);
    out.into_owned()
}

/// What it complained of.
#[track_caller]
fn complaint(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "stdout: {out}\nstderr: {err}");
    assert_eq!(out, "");
    err.into_owned()
}

#[test]
fn squares() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(printed(&run(&dir, "squares", &[])), "the squares of 0 to 999 add up to 332833500\n");
}

#[test]
fn pi() {
    let dir = tempfile::tempdir().unwrap();
    let once = printed(&run(&dir, "pi", &["50000", "7"]));
    assert!(once.starts_with("pi is 3.1") && once.ends_with(", from 50000 points\n"), "{once}");
    assert_eq!(printed(&run(&dir, "pi", &["50000", "7"])), once, "a seed gives the same digits");
    let text = complaint(&run(&dir, "pi", &["many"]));
    assert!(text.starts_with("Error: POINTS: \"many\": invalid digit"), "{text}");
}

#[test]
fn mandelbrot() {
    let dir = tempfile::tempdir().unwrap();
    let text = printed(&run(&dir, "mandelbrot", &["64", "50", "small.png"]));
    assert_eq!(text, "small.png holds 64 by 50 pixels\n");
    let png = std::fs::read(dir.path().join("small.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
    // The header's width and height.
    assert_eq!(png[16..24], [0, 0, 0, 64, 0, 0, 0, 50]);
    let text = complaint(&run(&dir, "mandelbrot", &["8", "8", "no/such/folder.png"]));
    assert!(text.contains("no/such/folder.png") && text.contains("hint: name another file"), "{text}");
}

#[test]
fn flops() {
    let dir = tempfile::tempdir().unwrap();
    let text = printed(&run(&dir, "flops", &["3", "40", "1"]));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].starts_with("one worker: ") && lines[0].ends_with(" GFLOP/s"), "{text}");
    assert!(lines[1].starts_with("  3 tasks: ") && lines[1].ends_with(" times one worker"), "{text}");
    assert!(complaint(&run(&dir, "flops", &["0"])).contains("at least 1"));
}

#[test]
fn geolocate() {
    let dir = tempfile::tempdir().unwrap();
    let text = printed(&run(&dir, "geolocate", &["0"]));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], " 13.4443  144.7863  96915  Santa Rita, GU");
    assert_eq!(lines[1], " 65.2264 -151.0251  99746  Huslia, AK");
    let failed: Vec<&&str> = lines.iter().filter(|line| line.starts_with("failed: task ")).collect();
    assert_eq!(failed.len(), 2, "{text}");
    assert!(failed.iter().all(|line| line.ends_with("try again later (attempt 2 of 2)")), "{text}");
    let row = |name: &str| {
        let line = lines.iter().find(|line| line.starts_with(name)).copied().unwrap_or_default();
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>()
    };
    let counts = |name: &str| row(name).get(4..6).map(|cells| (cells[0], cells[1]));
    assert_eq!(counts("geolocate"), Some(("3 000", "2 998")), "{text}");
    assert_eq!(counts("cleanup"), Some(("2 998", "2 923")), "{text}");
    assert_eq!(counts("sort"), Some(("2 923", "2 923")), "{text}");
    assert!(text.contains("from 40 items measured one by one"), "{text}");
    assert!(complaint(&run(&dir, "geolocate", &["slow"])).contains("DELAY_MS: \"slow\""));
}

#[test]
fn census() {
    let dir = tempfile::tempdir().unwrap();
    let text = complaint(&run(&dir, "census", &[]));
    assert!(text.contains(".cargo/registry/src: ") && text.contains(".cargo/registry/cache: "), "{text}");
    assert!(text.contains("hint: name a folder"), "{text}");

    let package = dir.path().join(".cargo/registry/src/index/half-1.0.0");
    std::fs::create_dir_all(package.join("src")).unwrap();
    std::fs::write(package.join("Cargo.toml"), "").unwrap();
    std::fs::write(package.join("src/lib.rs"), "#[test]\nfn f() {}\n").unwrap();
    for args in [&[][..], &[".cargo/registry/src"]] {
        let text = printed(&run(&dir, "census", args));
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["crate", "files", "lines", "tests", "unsafe", "unparsed"]);
        assert_eq!(rows[1], ["half-1.0.0", "1", "2", "1", "0", "0"]);
        assert_eq!(rows[2], ["all", "1", "1", "2", "1", "0", "0"]);
    }
}
