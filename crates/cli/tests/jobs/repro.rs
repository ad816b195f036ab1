//! `repro`: how tasks end when they are run again.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Stdio;

use rustwren::__cli::entry::{Call, Target};
use rustwren::__cli::invoker::{JobSpec, Payload};
use rustwren::{FailureKind, TaskFailure};

use crate::harness::{Place, assert_exit, assert_says, stderr, stdout};
use crate::made::{failed, own_image, remote, spec};
use crate::tasks::LIMIT;

crate::tests![
    failures_that_come_again,
    a_task_without_end_is_ended_by_its_limit,
    a_task_beyond_its_memory,
    an_output_is_shown_and_kept,
    what_tasks_write_goes_straight_through,
    functions_of_every_kind,
    a_task_finds_what_it_finds_on_a_worker,
    a_backtrace_on_demand,
    another_failure_than_recorded,
    ctrl_c_ends_the_task,
    what_was_never_kept,
];

pub(crate) const JOB: &str = "1a-0-0";

/// The encoding of a short text.
pub(crate) fn text(text: &str) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(text.len()).unwrap()];
    bytes.extend(text.as_bytes());
    bytes
}

pub(crate) fn failure(kind: FailureKind, message: &str) -> TaskFailure {
    TaskFailure::new(kind, message)
}

pub(crate) fn job(target: Target) -> JobSpec {
    spec(JOB, "render", own_image(), target)
}

fn ends() -> JobSpec {
    job(remote("ends", Call::Map))
}

/// Keeps a failed element of a job of this program's.
pub(crate) fn keep(place: &Place, index: u64, input: &[u8], spec: &JobSpec, failure: TaskFailure) {
    keep_of(place, &std::env::current_exe().unwrap(), index, input, spec, failure);
}

/// Keeps a failed element of a job of the program at this path.
pub(crate) fn keep_of(
    place: &Place,
    program: &Path,
    index: u64,
    input: &[u8],
    spec: &JobSpec,
    failure: TaskFailure,
) {
    place.block_on(failed(place, spec, program, index, failure, input));
}

fn failures_that_come_again() {
    use FailureKind::{Exit, Panic, Returned, Signal, StackOverflow};
    let place = Place::new();
    let returns = job(remote("returns", Call::TryMap));
    let same = "fails again in the same way after ";
    let panicked =
        TaskFailure { location: Some("tests/jobs/tasks.rs:14:20".to_owned()), ..failure(Panic, "unlucky") };
    for (i, (how, spec, recorded, said)) in [
        ("panic", &ends(), panicked, &["unlucky", "RUST_BACKTRACE=1 rustwren repro 1a-0-0 0 "][..]),
        ("segfault", &ends(), failure(Signal(11), ""), &[same, "SIGSEGV", "--debugger"]),
        ("abort", &ends(), failure(Signal(6), "as seen by its supervisor"), &[same, "SIGABRT"]),
        ("exit", &ends(), failure(Exit(3), ""), &[same, "ended its process with exit code 3"]),
        (
            "deep",
            &ends(),
            failure(StackOverflow, ""),
            &["overflowed its stack", "likely in the same way", "SIGABRT"],
        ),
        (
            "badly",
            &returns,
            failure(Returned, "badly is no way to end"),
            &[same, "returned an error: badly is no"],
        ),
    ]
    .into_iter()
    .enumerate()
    {
        keep(&place, i as u64, &text(how), spec, recorded);
        let output = place.run(&["repro", JOB, &i.to_string()]);
        assert_exit(&output, 1);
        assert_says(
            stderr(&output),
            &[&format!("task {i} of job render ({JOB})\n"), "recorded ", "fails again"],
        );
        assert_says(stderr(&output), &["program ", ", as it was\n", "input ", " B\n"]);
        assert_says(stderr(&output), said);
        assert_eq!(stdout(&output), "");
    }
    // A wrong input fails as it did: it is not the task's input that makes it so.
    keep(&place, 99, b"\xff", &ends(), failure(FailureKind::Input, "unexpected end"));
    let output = place.run(&["repro", JOB, "99"]);
    assert_exit(&output, 1);
    assert_says(stderr(&output), &["fails again", "its input could not be decoded"]);
}

fn a_task_without_end_is_ended_by_its_limit() {
    let place = Place::new();
    let sync = JobSpec { task_timeout: Some(LIMIT), ..ends() };
    let waits = JobSpec { task_timeout: Some(LIMIT), ..job(remote("waits", Call::MapAsync)) };
    for (index, spec) in [(0, sync), (1, waits)] {
        keep(&place, index, &text("endless"), &spec, failure(FailureKind::TimedOut(LIMIT), ""));
        let output = place.run(&["repro", JOB, &index.to_string()]);
        assert_exit(&output, 1);
        assert_says(stderr(&output), &["limits ", "400 ms\n", "in the same way", "400ms", "--timeout none"]);
    }
    let output = place.run(&["repro", JOB, "0", "--timeout", "100ms"]);
    assert_exit(&output, 1);
    assert_says(stderr(&output), &["in the same way", "its limit of 100ms"]);
    for wrong in ["0s", "soon"] {
        assert_exit(&place.run(&["repro", JOB, "0", "--timeout", wrong]), 2);
    }
}

fn a_task_beyond_its_memory() {
    let place = Place::new();
    keep(&place, 0, &text("hungry"), &ends(), failure(FailureKind::OutOfMemory, "memory allocation failed"));
    for (args, variables) in [
        (vec!["repro", JOB, "0", "--memory-limit", "256MB"], vec![]),
        (vec!["repro", JOB, "0"], vec![("RUSTWREN__COMPUTE__MEMORY_LIMIT", "256MB")]),
    ] {
        let output = place.command(&args).envs(variables).output().unwrap();
        assert_exit(&output, 1);
        assert_says(
            stderr(&output),
            &[
                "limits ",
                "256 MB of memory\n",
                "memory allocation of 1073741824 bytes failed",
                "likely in the same way",
            ],
        );
    }
    let output = place.run(&["repro", JOB, "0"]);
    assert_exit(&output, 0);
    assert_says(stderr(&output), &["succeeds now", "--memory-limit sets a limit"]);
}

fn an_output_is_shown_and_kept() {
    let place = Place::new();
    keep(&place, 7, &text("well"), &ends(), failure(FailureKind::Lost, "gone"));
    let output = place.run(&["repro", JOB, "7"]);
    assert_exit(&output, 0);
    assert_says(
        stderr(&output),
        &[
            "succeeds now after ",
            "with an output of 11 B\n",
            "0a 77 65 6c 6c 20 69 74 20 69 73",
            ".well it is\n",
            "--output PATH",
            "it was lost with its worker",
        ],
    );
    let output = place.run(&["repro", JOB, "7", "--output", "out"]);
    assert_exit(&output, 0);
    assert_says(stderr(&output), &["wrote out\n"]);
    assert_eq!(std::fs::read(place.path("work/out")).unwrap(), text("well it is"));
    // Nothing of the run is left.
    let left: Vec<_> = std::fs::read_dir(place.path("home/.cache/rustwren/repro")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

fn what_tasks_write_goes_straight_through() {
    let place = Place::new();
    keep(&place, 7, &text("well"), &ends(), failure(FailureKind::Lost, "gone"));
    let output = place.run(&["repro", JOB, "7"]);
    assert_eq!(stdout(&output), "on stdout\n");
    assert_says(stderr(&output), &["────", "\non stderr\n", "────", "succeeds now"]);
}

fn functions_of_every_kind() {
    let place = Place::new();
    let shared = {
        let mut bytes = vec![2];
        bytes.extend(text("zero"));
        bytes.extend(text("one"));
        bytes
    };
    let with_shared = JobSpec {
        shared: Some(Payload::Inline(vec![shared.into()])),
        ..job(remote("shares", Call::MapWith))
    };
    let closure = rustwren::__private::map(|how: String| how + "!").entry(own_image());
    for (index, spec, input, out) in [
        (0, with_shared, vec![1], "one"),
        (1, job(remote("waits", Call::MapAsync)), text("w"), "w"),
        (2, job(remote("returns", Call::TryMap)), text("well"), "well"),
        (3, job(closure.target), text("c"), "c!"),
    ] {
        // Each under a job of its own: they differ in what they share.
        let spec = JobSpec { id: format!("1a-0-{index}"), ..spec };
        keep(&place, index, &input, &spec, failure(FailureKind::Lost, "gone"));
        let output = place.run(&["repro", &spec.id, &index.to_string(), "--output", "out"]);
        assert_exit(&output, 0);
        assert_eq!(std::fs::read(place.path("work/out")).unwrap(), text(out));
    }
    let output = place.run(&["repro", "1a-0-0", "0"]);
    assert_says(stderr(&output), &["input ", "1 B, and 10 B that all tasks share\n"]);
}

fn a_task_finds_what_it_finds_on_a_worker() {
    let place = Place::new();
    for (index, how, out) in [(5, "attempt", "1 of task 5"), (6, "environment", "None"), (7, "stdin", "")] {
        keep(&place, index, &text(how), &ends(), failure(FailureKind::Lost, "gone"));
        let mut command = place.command(&["repro", JOB, &index.to_string(), "--output", "out"]);
        // This test's own input has no end.
        let (_reader, writer) = std::io::pipe().unwrap();
        let output = command.env("A_TOKEN", "secret").stdin(writer).output().unwrap();
        assert_exit(&output, 0);
        assert_eq!(std::fs::read(place.path("work/out")).unwrap(), text(out), "{how}");
    }
}

fn a_backtrace_on_demand() {
    let place = Place::new();
    keep(&place, 0, &text("panic"), &ends(), failure(FailureKind::Panic, "unlucky"));
    let output = place.command(&["repro", JOB, "0"]).env("RUST_BACKTRACE", "1").output().unwrap();
    assert_exit(&output, 1);
    assert_says(stderr(&output), &["panicked at", "stack backtrace:", "tests/jobs/tasks.rs:", "fails again"]);
    assert!(!stderr(&output).contains("RUST_BACKTRACE=1 rustwren"), "{}", stderr(&output));
    let output = place.run(&["repro", JOB, "0"]);
    assert!(!stderr(&output).contains("stack backtrace:"), "{}", stderr(&output));
}

fn another_failure_than_recorded() {
    let place = Place::new();
    keep(&place, 0, &text("exit"), &ends(), failure(FailureKind::Signal(11), ""));
    let output = place.run(&["repro", JOB, "0"]);
    assert_exit(&output, 1);
    assert_says(stderr(&output), &["fails, but otherwise than recorded", "exit code 3"]);
    keep(&place, 1, &text("panic"), &ends(), failure(FailureKind::Panic, "another day"));
    let output = place.run(&["repro", JOB, "1"]);
    assert_says(stderr(&output), &["fails again, with other words", "unlucky"]);
}

fn ctrl_c_ends_the_task() {
    let place = Place::new();
    keep(&place, 0, &text("endless"), &ends(), failure(FailureKind::Lost, "gone"));
    let mut command = place.command(&["repro", JOB, "0"]);
    let mut child = command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "for ever\n");
    let group = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process_group(group, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_exit(&output, 130);
    assert_says(stderr(&output), &["interrupted after "]);
}

fn what_was_never_kept() {
    let place = Place::new();
    keep(&place, 0, &text("well"), &ends(), failure(FailureKind::Lost, "gone"));
    let output = place.run(&["repro", JOB, "1"]);
    assert_exit(&output, 3);
    assert_says(stderr(&output), &["error: nothing is kept of an element 1 of a job 1a-0-0", "hint: "]);
    let output = place.run(&["repro", "2b", "1"]);
    assert_exit(&output, 3);
    assert_says(stderr(&output), &["error: there is no job \"2b\""]);
}
