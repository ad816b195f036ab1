//! `jobs list`, `jobs show`, `jobs attach` to what has ended, `jobs cancel` of what nobody drives.

use rustwren::__cli::durable::{Failure, How, Kind, Owner, Sign};
use rustwren::__cli::entry::Call;
use rustwren::__cli::error::{Error, ErrorKind};
use rustwren::{FailureKind, TaskFailure};

use crate::harness::{Place, assert_exit, assert_says, stderr, stdout};
use crate::made::{begun, dead_owner, ended, failed, own_image, progress, remote, spec};

crate::tests![
    no_jobs,
    one_of_each_state,
    ids_may_be_cut_short,
    everything_that_is_known_of_a_job,
    ends_are_told_by_attach,
    attach_to_what_cannot_be_attached_to,
    a_job_without_driver_is_cancelled_at_once,
    a_driver_is_asked_to_stop,
    a_broken_journal_hides_nothing_else,
    the_doctor_tells_of_abandoned_jobs,
];

fn no_jobs() {
    let place = Place::new();
    let output = place.run(&["jobs", "list"]);
    assert_exit(&output, 0);
    assert_eq!(stdout(&output), "");
    assert_says(stderr(&output), &["there are no jobs in ", "storage"]);
    assert_eq!(place.json(&["jobs", "list", "--json"])["jobs"], serde_json::json!([]));
    let output = place.run(&["jobs", "show", "6742"]);
    assert_exit(&output, 3);
    assert_says(stderr(&output), &["error: there is no job \"6742\" in ", "hint: there are no jobs at all"]);
}

/// A job for each state that a job can have, and their ids with the states.
async fn one_of_each(place: &Place) -> Vec<(&'static str, &'static str)> {
    let here = || Owner::of_process("/there/render");
    let mut running = begun(place, "1a-running-0", "render", Kind::Detached, here()).await;
    progress(&mut running, 4, 1).await;
    let mut done = begun(place, "1b-done-0", "census", Kind::Durable, here()).await;
    progress(&mut done, 10, 0).await;
    ended(done, How::Done).await;
    let gave_up = begun(place, "1c-failed-0", "census", Kind::Durable, here()).await;
    let error = Error::new(ErrorKind::Denied, "the bucket is closed").with_hint("open it");
    ended(gave_up, How::Failed(Failure::from(&error))).await;
    let mut cancelled = begun(place, "1d-cancelled-0", "census", Kind::Resume, here()).await;
    progress(&mut cancelled, 3, 0).await;
    ended(cancelled, How::Cancelled).await;
    let mut abandoned = begun(place, "1e-abandoned-0", "fractal", Kind::Durable, dead_owner()).await;
    progress(&mut abandoned, 7, 0).await;
    let handed = begun(place, "1f-starting-0", "fractal", Kind::Detached, here()).await;
    handed.heart().hand_over(handed.heart().lease()).await.unwrap();
    vec![
        ("1a-running-0", "running"),
        ("1b-done-0", "done"),
        ("1c-failed-0", "failed"),
        ("1d-cancelled-0", "cancelled"),
        ("1e-abandoned-0", "abandoned"),
        ("1f-starting-0", "starting"),
    ]
}

/// What a plain job leaves whose element has failed.
async fn leave_capsule(place: &Place) {
    let spec = spec("20-left-0", "fails", own_image(), remote("ends", Call::Map));
    let failure = TaskFailure {
        location: Some("src/main.rs:9:5".to_owned()),
        ..TaskFailure::new(FailureKind::Panic, "unlucky 13")
    };
    failed(place, &spec, &place.path("render"), 13, failure, b"\x05panic").await;
}

fn one_of_each_state() {
    let place = Place::new();
    let states = place.block_on(one_of_each(&place));
    place.block_on(leave_capsule(&place));
    let output = place.run(&["jobs", "list"]);
    assert_exit(&output, 0);
    let lines: Vec<&str> = stdout(&output).lines().collect();
    assert_eq!(lines.len(), 1 + states.len(), "{}", stdout(&output));
    assert_says(lines[0], &["ID", "LABEL", "KIND", "STATE", "DONE", "FAILED", "TOTAL", "AGE", "LAST SIGN"]);
    let state_column = lines[0].find("STATE").unwrap();
    for (id, state) in &states {
        let line = lines.iter().find(|line| line.starts_with(id)).unwrap();
        assert!(line[state_column..].starts_with(&format!("{state} ")), "{line}");
    }
    let running = lines.iter().find(|line| line.starts_with("1a")).unwrap();
    let words: Vec<&str> = running.split_whitespace().collect();
    assert_eq!(words[..7], ["1a-running-0", "render", "detached", "running", "4", "1", "10"]);
    assert!(running.ends_with(" s ago"), "{running}");
    // Not on a terminal.
    assert!(!stdout(&output).contains('\u{1b}'));
    assert_eq!(stderr(&output), "1 other left something in storage: `rustwren jobs list --all`\n");

    let output = place.run(&["jobs", "list", "--all"]);
    assert_says(stdout(&output), &["20-left-0", "connected", "failed"]);
    assert_eq!(stderr(&output), "");

    let list = place.json(&["jobs", "list", "--all", "--json"]);
    let jobs = list["jobs"].as_array().unwrap();
    assert_eq!(jobs.len(), states.len() + 1);
    for (id, state) in &states {
        let job = jobs.iter().find(|job| job["id"] == *id).unwrap();
        assert_eq!(job["state"], *state);
    }
    let running = jobs.iter().find(|job| job["id"] == "1a-running-0").unwrap();
    let expected =
        serde_json::json!({"done": 4, "failed": 1, "total": 10, "label": "render", "kind": "detached"});
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&running[key], value, "{key}");
    }
    assert_eq!(running["driver"]["pid"], std::process::id());
    let gave_up = jobs.iter().find(|job| job["id"] == "1c-failed-0").unwrap();
    assert_eq!(gave_up["reason"], "the bucket is closed");
}

fn ids_may_be_cut_short() {
    let place = Place::new();
    place.block_on(one_of_each(&place));
    for wanted in ["1b-done-0", "1b-d", "1b"] {
        assert_eq!(place.json(&["jobs", "show", wanted, "--json"])["id"], "1b-done-0");
    }
    let output = place.run(&["jobs", "show", "1"]);
    assert_exit(&output, 3);
    assert_says(
        stderr(&output),
        &["error: 6 jobs have an id that begins with 1:", "1a-running-0", "1f-starting-0"],
    );
    for (wanted, hint) in
        [("1b-dome-0", "did you mean 1b-done-0?"), ("1b-DONE-0", "1b-done-0"), ("../x", "jobs list")]
    {
        let output = place.run(&["jobs", "show", wanted]);
        assert_exit(&output, 3);
        assert_says(stderr(&output), &["error: there is no job ", wanted, "hint: ", hint]);
    }
}

fn everything_that_is_known_of_a_job() {
    let place = Place::new();
    place.block_on(one_of_each(&place));
    place.block_on(leave_capsule(&place));
    let output = place.run(&["jobs", "show", "1a"]);
    assert_exit(&output, 0);
    assert_says(
        stdout(&output),
        &[
            "job 1a-running-0 (render)\n",
            "state ",
            "running\n",
            &format!("process {} on ", std::process::id()),
            "detached",
            "4 of 10 done, 1 failed\n",
            "jobs::tasks::ends (#[remote], map)\n",
            "alloc::string::String\n",
            "/there/render, image 070707070707…",
            "10 elements, 10 B\n",
            "3 invocations, 1.5 s of workers' time, $0.00042\n",
            "storage ",
            " objects, ",
            "rustwren jobs cancel 1a-running-0",
        ],
    );
    assert_eq!(stderr(&output), "");
    assert_says(stdout(&place.run(&["jobs", "show", "1c"])), &["failed: the bucket is closed", "jobs clean"]);
    assert_says(
        stdout(&place.run(&["jobs", "show", "1e"])),
        &["abandoned", "rustwren jobs attach 1e-abandoned-0"],
    );
    assert_says(
        stdout(&place.run(&["jobs", "show", "20"])),
        &[
            "job 20-left-0 (fails)\n",
            "connected",
            "failed tasks\n",
            "task 13 panicked at src/main.rs:9:5: unlucky 13\n",
            "rustwren repro 20-left-0 13\n",
        ],
    );
    let shown = place.json(&["jobs", "show", "1a", "--json"]);
    assert_eq!(shown["spent"], serde_json::json!({"invocations": 3, "worker_seconds": 1.5, "usd": 0.000_42}));
    assert_eq!(shown["manifest"]["output"], "alloc::string::String");
    let shown = place.json(&["jobs", "show", "20", "--json"]);
    let failure = &shown["failures"][0];
    assert_eq!((&failure["index"], &failure["repro"]), (&13.into(), &"rustwren repro 20-left-0 13".into()));
    assert_eq!(failure["attempts"][0]["message"], "unlucky 13");
}

fn ends_are_told_by_attach() {
    let place = Place::new();
    place.block_on(one_of_each(&place));
    let output = place.run(&["jobs", "attach", "1b"]);
    assert_exit(&output, 0);
    assert_says(stderr(&output), &["job 1b-done-0 (census) has ended: 10 of 10 done\n"]);
    let output = place.run(&["jobs", "attach", "1c"]);
    assert_exit(&output, 4);
    assert_says(stderr(&output), &["has failed", "error: the bucket is closed", "hint: open it"]);
    let output = place.run(&["jobs", "attach", "1d"]);
    assert_exit(&output, 130);
    assert_says(stderr(&output), &["was cancelled: 3 of 10 done, results are kept"]);
}

fn attach_to_what_cannot_be_attached_to() {
    let place = Place::new();
    place.block_on(leave_capsule(&place));
    let output = place.run(&["jobs", "attach", "20"]);
    assert_exit(&output, 3);
    assert_says(stderr(&output), &["is known to the program that runs it", "hint: "]);
}

fn a_job_without_driver_is_cancelled_at_once() {
    let place = Place::new();
    place.block_on(one_of_each(&place));
    let output = place.run(&["jobs", "cancel", "1e", "1b"]);
    assert_exit(&output, 0);
    assert_says(
        stderr(&output),
        &[
            "job 1b-done-0 (census) has ended already: done\n",
            "job 1e-abandoned-0 (fractal) is cancelled: 7 of 10 done, results are kept\n",
        ],
    );
    let shown = place.json(&["jobs", "show", "1e", "--json"]);
    assert_eq!((&shown["state"], &shown["done"]), (&"cancelled".into(), &7.into()));
    assert!(!place.path("storage/jobs%/1e-abandoned-0%/beat").exists(), "no sign of life is left");
}

fn a_driver_is_asked_to_stop() {
    let place = Place::new();
    let here = Owner::of_process("/there/render");
    let leadership = place.block_on(begun(&place, "1a-0", "render", Kind::Detached, here));
    let output = place.run(&["jobs", "cancel", "1a", "--no-wait"]);
    assert_exit(&output, 0);
    assert_eq!(stderr(&output), "asked job 1a-0 to stop\n");
    assert_eq!(place.block_on(leadership.heart().beat()).unwrap(), Some(Sign::Cancel));
    // It obeys while the command waits.
    let mut waiting =
        place.command(&["jobs", "cancel", "1a"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    assert!(waiting.try_wait().unwrap().is_none());
    place.block_on(ended(leadership, How::Cancelled));
    let output = waiting.wait_with_output().unwrap();
    assert_exit(&output, 0);
    // Whether it saw the job run before.
    assert!(
        stderr(&output).contains("job 1a-0 (render) is cancelled: 0 of 10 done")
            || stderr(&output).contains("has ended already: cancelled"),
        "{}",
        stderr(&output)
    );
}

fn a_broken_journal_hides_nothing_else() {
    let place = Place::new();
    place.block_on(one_of_each(&place));
    let log = place.files().into_iter().find(|file| {
        let path = file.to_string_lossy();
        path.contains("1b-done-0") && path.contains("0000000002")
    });
    std::fs::write(log.unwrap(), "x").unwrap();
    let list = place.json(&["jobs", "list", "--json"]);
    let broken = list["jobs"].as_array().unwrap().iter().find(|job| job["id"] == "1b-done-0").unwrap();
    assert_eq!(broken["state"], "unreadable");
    assert!(broken["reason"].as_str().unwrap().contains("log/0000000002"), "{broken}");
    assert_eq!(list["jobs"].as_array().unwrap().len(), 6);
    let output = place.run(&["jobs", "attach", "1b"]);
    assert_exit(&output, 6);
    assert_says(stderr(&output), &["cannot be read", "log/0000000002"]);
}

fn the_doctor_tells_of_abandoned_jobs() {
    let place = Place::new();
    assert_eq!(place.json(&["doctor", "--json"])["abandoned_jobs"], serde_json::json!([]));
    place.block_on(one_of_each(&place));
    let output = place.run(&["doctor"]);
    assert_exit(&output, 0);
    let last = stdout(&output).lines().last().unwrap();
    assert!(
        last.starts_with("note   jobs ") && last.contains("1 job abandoned: `rustwren jobs list`"),
        "{last}"
    );
    assert_eq!(place.json(&["doctor", "--json"])["abandoned_jobs"], serde_json::json!(["1e-abandoned-0"]));
}
