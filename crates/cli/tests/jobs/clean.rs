//! `jobs clean`.

use std::io::Write as _;
use std::process::Stdio;

use rustwren::__cli::durable::{How, Kind, Owner};

use crate::harness::{Place, assert_exit, assert_says, stderr, stdout};
use crate::made::{begun, dead_owner, ended, progress};

crate::tests![
    nothing_to_clean,
    what_has_ended_goes_and_leaves_nothing,
    nobody_to_ask,
    a_dry_run_deletes_nothing,
    young_jobs_are_spared,
    running_jobs_are_never_touched,
    named_jobs_go_alone,
];

/// Three jobs: one that has ended, one that nobody drives, and a running one.
fn three(place: &Place) {
    place.block_on(async {
        let here = || Owner::of_process("/there/render");
        let mut done = begun(place, "1a-done", "census", Kind::Durable, here()).await;
        progress(&mut done, 10, 0).await;
        ended(done, How::Done).await;
        begun(place, "1b-abandoned", "fractal", Kind::Durable, dead_owner()).await;
        begun(place, "1c-running", "render", Kind::Detached, here()).await;
    });
}

fn ids(value: &serde_json::Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap()).collect()
}

fn left(place: &Place) -> Vec<String> {
    let list = place.json(&["jobs", "list", "--all", "--json"]);
    let mut ids: Vec<String> = ids(&list["jobs"]).into_iter().map(str::to_owned).collect();
    ids.sort();
    ids
}

fn nothing_to_clean() {
    let place = Place::new();
    let output = place.run(&["jobs", "clean"]);
    assert_exit(&output, 0);
    assert_eq!(stderr(&output), "there is nothing to delete\n");
    let report = place.json(&["jobs", "clean", "--json"]);
    assert_eq!(report, serde_json::json!({"dry_run": false, "removed": [], "kept": [], "programs": []}));
}

fn what_has_ended_goes_and_leaves_nothing() {
    let place = Place::new();
    three(&place);
    let output = place.run(&["jobs", "clean", "--yes"]);
    assert_exit(&output, 0);
    assert_eq!(stdout(&output), "");
    assert_says(
        stderr(&output),
        &[
            "kept: job 1c-running (render) is running, driven by process ",
            "ID ",
            "1a-done ",
            "census",
            "done",
            "deleted 1 job, ",
            " objects, ",
        ],
    );
    assert_eq!(left(&place), ["1b-abandoned", "1c-running"]);
    let report = place.json(&["jobs", "clean", "--all", "--yes", "--json"]);
    assert_eq!((ids(&report["removed"]), ids(&report["kept"])), (vec!["1b-abandoned"], vec!["1c-running"]));
    let rest = place.files();
    assert!(!rest.is_empty());
    for file in rest {
        assert!(file.to_string_lossy().contains("1c-running"), "{} is left", file.display());
    }
}

fn nobody_to_ask() {
    let place = Place::new();
    three(&place);
    let output = place.run(&["jobs", "clean"]);
    assert_exit(&output, 3);
    assert_says(stderr(&output), &["1a-done", "error: 1 job, ", "there is nobody to ask", "hint: --yes"]);
    // An answer that nobody at a terminal has given is none.
    let mut command = place.command(&["jobs", "clean"]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It may end without having read it.
    drop(child.stdin.take().unwrap().write_all(b"y\n"));
    assert_exit(&child.wait_with_output().unwrap(), 3);
    assert_eq!(left(&place).len(), 3);
}

fn a_dry_run_deletes_nothing() {
    let place = Place::new();
    three(&place);
    let before = place.files();
    let output = place.run(&["jobs", "clean", "--all", "--dry-run"]);
    assert_exit(&output, 0);
    assert_says(stderr(&output), &["1b-abandoned", "would delete 2 jobs, "]);
    let report = place.json(&["jobs", "clean", "--all", "--dry-run", "--json"]);
    assert_eq!(report["dry_run"], true);
    assert_eq!(ids(&report["removed"]), ["1b-abandoned", "1a-done"]);
    assert_eq!(place.files(), before);
}

fn young_jobs_are_spared() {
    let place = Place::new();
    three(&place);
    let output = place.run(&["jobs", "clean", "--older-than", "1h", "--yes"]);
    assert_exit(&output, 0);
    assert_eq!(stderr(&output), "there is nothing to delete\n");
    assert_eq!(left(&place).len(), 3);
    let output = place.run(&["jobs", "clean", "--older-than", "0s", "--yes"]);
    assert_exit(&output, 0);
    assert_eq!(left(&place), ["1b-abandoned", "1c-running"]);
    let output = place.run(&["jobs", "clean", "--older-than", "a while"]);
    assert_exit(&output, 2);
    assert_says(stderr(&output), &["a while", "90m, 12h or 7d"]);
}

fn running_jobs_are_never_touched() {
    let place = Place::new();
    three(&place);
    let output = place.run(&["jobs", "clean", "1c", "--yes"]);
    assert_exit(&output, 1);
    assert_says(stderr(&output), &["kept: job 1c-running (render) is running", "there is nothing to delete"]);
    assert_eq!(left(&place).len(), 3);
}

fn named_jobs_go_alone() {
    let place = Place::new();
    three(&place);
    let output = place.run(&["jobs", "clean", "1b", "-y"]);
    assert_exit(&output, 0);
    assert_says(stderr(&output), &["deleted 1 job, "]);
    assert_eq!(left(&place), ["1a-done", "1c-running"]);
    let output = place.run(&["jobs", "clean", "1b", "-y"]);
    assert_exit(&output, 3);
    assert_says(stderr(&output), &["there is no job \"1b\""]);
    let output = place.run(&["jobs", "clean", "1a", "--all"]);
    assert_exit(&output, 2);
}
