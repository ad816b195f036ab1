//! `repro`: which program is run, by whom, and where there is none.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use rustwren::__cli::entry::Call;
use rustwren::__cli::image::{ImageId, ProgramImage, image_key};
use rustwren::__cli::invoker::JobSpec;
use rustwren::FailureKind;

use crate::harness::{Place, assert_exit, assert_says, stderr, stdout};
use crate::made::{own_image, remote, spec};
use crate::repro::{JOB, failure, job, keep, keep_of, text};

crate::tests![
    a_program_that_is_gone_comes_from_storage,
    a_program_that_is_nowhere,
    another_build,
    a_build_without_the_function,
    a_program_that_is_none,
    a_program_that_runs_something_else,
    the_command_can_be_printed_and_run,
    any_debugger,
];

fn named() -> JobSpec {
    job(remote("ends", Call::Map))
}

fn closure() -> JobSpec {
    job(rustwren::__private::map(|how: String| how + "!").entry(own_image()).target)
}

fn upload(place: &Place) {
    let image = ProgramImage::of_this_program(None).unwrap();
    let key = image_key(image.id()).unwrap();
    place.block_on(place.store.storage().put(&key, image.packed().unwrap())).unwrap();
}

fn a_program_that_is_gone_comes_from_storage() {
    let place = Place::new();
    let program = place.path("render");
    keep_of(&place, &program, 0, &text("panic"), &named(), failure(FailureKind::Panic, "unlucky"));
    keep_of(&place, &program, 1, &text("c"), &closure(), failure(FailureKind::Lost, "gone"));
    upload(&place);
    // Gone, and replaced by something else.
    for replaced in [false, true] {
        if replaced {
            std::fs::copy("/bin/true", &program).unwrap();
        }
        let output = place.run(&["repro", JOB, "0"]);
        assert_exit(&output, 1);
        assert_says(
            stderr(&output),
            &["program ", "as it was uploaded for workers\n", "fails again", "no debug information"],
        );
        assert_exit(&place.run(&["repro", JOB, "1"]), 0);
    }
}

fn a_program_that_is_nowhere() {
    let place = Place::new();
    let program = place.path("render");
    keep_of(&place, &program, 0, &text("well"), &named(), failure(FailureKind::Lost, "gone"));
    keep_of(&place, &program, 1, &text("c"), &closure(), failure(FailureKind::Lost, "gone"));
    let output = place.run(&["repro", JOB, "0"]);
    assert_exit(&output, 6);
    assert_says(
        stderr(&output),
        &[
            "error: the program of the task is nowhere",
            "render is not here",
            "hint: ",
            "jobs::tasks::ends: --program PATH",
        ],
    );
    std::fs::copy("/bin/true", &program).unwrap();
    let output = place.run(&["repro", JOB, "1"]);
    assert_exit(&output, 6);
    assert_says(
        stderr(&output),
        &["render has changed since", "hint: build it again as it was", "#[remote]"],
    );
}

fn another_build() {
    let place = Place::new();
    // Of a build that is not this one.
    let older = ImageId([5; 32]);
    let with = |spec: JobSpec| spec_of(older, spec);
    let program = place.program("render");
    keep_of(&place, &program, 0, &text("well"), &with(named()), failure(FailureKind::Lost, "gone"));
    keep_of(&place, &program, 1, &text("c"), &with(closure()), failure(FailureKind::Lost, "gone"));
    let program = program.to_str().unwrap();
    let output = place.run(&["repro", JOB, "0", "--program", program]);
    assert_exit(&output, 0);
    assert_says(stderr(&output), &["render, another build than the one that it failed in\n", "succeeds now"]);
    let output = place.run(&["repro", JOB, "1", "--program", program]);
    assert_exit(&output, 6);
    assert_says(
        stderr(&output),
        &["is not the program that the task failed in", "hint: leave --program out", "#[remote]"],
    );
    // Named, and the same.
    keep(&place, 2, &text("c"), &closure(), failure(FailureKind::Lost, "gone"));
    let output = place.run(&["repro", JOB, "2", "--program", "../render"]);
    assert_exit(&output, 0);
    assert_says(stderr(&output), &["render, the one that it failed in\n"]);
}

fn spec_of(image: ImageId, of: JobSpec) -> JobSpec {
    spec(&of.id, &of.label, image, of.entry.target)
}

fn a_build_without_the_function() {
    let place = Place::new();
    keep(&place, 0, &text("well"), &named(), failure(FailureKind::Lost, "gone"));
    let output = place.run(&["repro", JOB, "0", "--program", env!("CARGO_BIN_EXE_rustwren")]);
    assert_exit(&output, 6);
    assert_says(
        stderr(&output),
        &[
            "error: ",
            "cannot run the task: this program has no #[remote] function jobs::tasks::ends",
            "hint: was the",
        ],
    );
}

fn a_program_that_is_none() {
    let place = Place::new();
    keep(&place, 0, &text("well"), &named(), failure(FailureKind::Lost, "gone"));
    std::fs::write(place.path("work/script"), "#!/bin/sh\n").unwrap();
    let output = place.run(&["repro", JOB, "0", "--program", "script"]);
    assert_exit(&output, 3);
    assert_says(stderr(&output), &["script cannot be started"]);
    for wrong in ["nothing", "."] {
        let output = place.run(&["repro", JOB, "0", "--program", wrong]);
        assert_exit(&output, 3);
        assert_says(stderr(&output), &["error: --program", wrong]);
    }
}

fn a_program_that_runs_something_else() {
    let place = Place::new();
    keep(&place, 0, &text("well"), &named(), failure(FailureKind::Lost, "gone"));
    let output = place.run(&["repro", JOB, "0", "--program", "/bin/true"]);
    assert_exit(&output, 6);
    assert_says(
        stderr(&output),
        &["error: /bin/true ended (exit status: 0) before it reached rustwren::init()", "hint: "],
    );
}

fn the_command_can_be_printed_and_run() {
    let place = Place::new();
    keep(&place, 13, &text("panic"), &named(), failure(FailureKind::Panic, "unlucky"));
    let output = place.command(&["repro", JOB, "13", "--print"]).env("A_TOKEN", "secret").output().unwrap();
    assert_exit(&output, 0);
    assert_says(stderr(&output), &["runs task 13 of job render in ", ", as it was"]);
    let line = stdout(&output);
    assert!(line.starts_with("env -u A_TOKEN RUSTWREN_RERUN="), "{line}");
    assert_eq!(line.lines().count(), 1);
    let task = place.path(&format!("home/.cache/rustwren/repro/{JOB}.13"));
    assert!(task.exists(), "it stays for the command");
    assert_eq!(task.metadata().unwrap().permissions().mode() & 0o077, 0, "inputs may be secret");
    // As often as one likes.
    for _ in 0..2 {
        let output = Command::new("sh").args(["-c", line]).env("A_TOKEN", "secret").output().unwrap();
        assert_exit(&output, 1);
        assert_says(
            stderr(&output),
            &["panicked at", "rustwren: task 13 of job render panicked at ", "unlucky\n"],
        );
    }
}

fn any_debugger() {
    let place = Place::new();
    keep(&place, 0, &text("panic"), &named(), failure(FailureKind::Panic, "unlucky"));
    // One that does nothing but start the program.
    let output = place.run(&["repro", JOB, "0", "--debugger=env A=b"]);
    assert_exit(&output, 1);
    assert_says(stderr(&output), &["rustwren: task 0 of job render panicked", "fails again"]);
    // One that is left at once.
    let output = place.run(&["repro", JOB, "0", "--debugger=true"]);
    assert_exit(&output, 1);
    assert_says(stderr(&output), &["the debugger was left before the task ended"]);
    let output = place.run(&["repro", JOB, "0", "--debugger=no-such-debugger"]);
    assert_exit(&output, 3);
    assert_says(
        stderr(&output),
        &["error: no-such-debugger cannot be started", "hint: install no-such-debugger"],
    );
    assert_exit(&place.run(&["repro", JOB, "0", "--debugger", "--print"]), 2);
}
