//! `rustwren doctor`, as users and scripts see it. It starts function processes of its own.

use std::path::Path;
use std::process::Output;

use crate::{assert_exit, rustwren, text};

const LEGS: [&str; 5] = ["config", "connect", "storage", "worker", "round trip"];

/// With one worker.
fn doctor(home: &Path, args: &[&str], variables: &[(&str, &str)]) -> Output {
    let args = [&["doctor"], args].concat();
    rustwren(home, &args, &[&[("RUSTWREN__COMPUTE__WORKERS", "1")], variables].concat())
}

fn legs(output: &Output) -> Vec<serde_json::Value> {
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    report["legs"].as_array().unwrap().clone()
}

#[test]
fn every_leg_is_told_with_its_time() {
    let home = tempfile::tempdir().unwrap();
    for image in ["direct", "packed"] {
        let output = doctor(home.path(), &[], &[("RUSTWREN__COMPUTE__IMAGE", image)]);
        assert_exit(&output, 0);
        assert_eq!(text(&output.stderr), "");
        let lines: Vec<&str> = text(&output.stdout).lines().collect();
        assert_eq!(lines.len(), LEGS.len(), "{lines:?}");
        for (line, leg) in lines.iter().zip(LEGS) {
            assert!(line.starts_with(&format!("ok     {leg} ")) && line.contains(" ms  "), "{line}");
        }
        assert!(lines[0].contains("no file: defaults; storage local, compute local"), "{}", lines[0]);
        assert!(lines[1].ends_with("1 workers on this machine"), "{}", lines[1]);
    }
    let objects = home.path().join(".cache/rustwren/storage/doctor%");
    let left = std::fs::read_dir(objects).map_or(0, Iterator::count);
    assert_eq!(left, 0, "the object that it wrote is removed");
}

#[test]
fn json() {
    let home = tempfile::tempdir().unwrap();
    let output = doctor(home.path(), &["--json"], &[]);
    assert_exit(&output, 0);
    let legs = legs(&output);
    let names: Vec<_> = legs.iter().map(|leg| leg["name"].as_str().unwrap()).collect();
    assert_eq!(names, LEGS);
    for leg in &legs {
        assert!(leg["seconds"].as_f64().unwrap() >= 0.0, "{leg}");
        assert!(leg.get("error").is_none() && !leg["detail"].as_str().unwrap().is_empty(), "{leg}");
    }
}

#[test]
fn a_storage_that_cannot_be_used_is_the_last_leg() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("occupied"), "").unwrap();
    for root in ["/proc/rustwren", "occupied"] {
        let variables = [("RUSTWREN__STORAGE__ROOT", root)];
        let output = doctor(home.path(), &["--json"], &variables);
        assert_exit(&output, 3);
        let legs = legs(&output);
        assert_eq!(legs.len(), 3, "{legs:?}");
        let said = legs[2]["error"].as_str().unwrap();
        assert!(legs[2]["name"] == "storage" && said.contains(root), "{said}");
        assert!(text(&output.stderr).starts_with(&format!("error: {said}")), "{}", text(&output.stderr));

        let output = doctor(home.path(), &[], &variables);
        assert_exit(&output, 3);
        let last = text(&output.stdout).lines().last().unwrap();
        assert!(last.starts_with("failed storage ") && last.contains(root), "{last}");
    }
}

#[test]
fn a_wrong_configuration_is_the_first_and_last_leg() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("rustwren.toml"), "[storage]\nrot = 'x'\n").unwrap();
    let output = doctor(home.path(), &["--json"], &[]);
    assert_exit(&output, 3);
    let legs = legs(&output);
    assert_eq!(legs.len(), 1, "{legs:?}");
    assert!(legs[0]["error"].as_str().unwrap().contains("rustwren.toml:2:1: unknown key `rot`"), "{legs:?}");
    assert_eq!(legs[0]["hint"], "did you mean `root`?");
    let output = doctor(home.path(), &[], &[]);
    assert_exit(&output, 3);
    assert!(text(&output.stdout).starts_with("failed config "), "{}", text(&output.stdout));
    assert!(text(&output.stderr).ends_with("hint: did you mean `root`?\n"), "{}", text(&output.stderr));
}
