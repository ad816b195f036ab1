//! Programs that reach `rustwren::init()` late, or never: they are told so, and do not multiply.

use crate::harness::{Place, assert_exit, assert_says, stderr, stdout};

#[test]
fn a_program_without_init_is_told_and_starts_nothing() {
    let place = Place::new();
    let output = place.command(env!("CARGO_BIN_EXE_uninitialised"), &[]).output().unwrap();
    assert_exit(&output, 1);
    assert_eq!(
        stderr(&output),
        "Error: the program has not called rustwren::init(), so it cannot be started as a worker\n\
         hint: put #[rustwren::main] on main, or call rustwren::init() as its first statement\n"
    );
    assert_eq!(place.notes("started"), 1);
}

#[test]
fn nothing_behind_init_runs_in_a_worker() {
    let place = Place::new();
    let output = place.command(env!("CARGO_BIN_EXE_early"), &[]).output().unwrap();
    assert_exit(&output, 0);
    assert_eq!(stdout(&output), "before\nafter\n[1, 2, 3]\n");
    assert_eq!((place.notes("after"), place.notes("end")), (1, 1));
    // What is before it runs in every process: in the client and in up to two workers.
    let before = place.notes("before");
    assert!((2..=3).contains(&before), "{before}");
}

#[test]
fn a_program_that_refuses_the_workers_arguments_is_told_about_init() {
    let place = Place::new();
    let output = place.command(env!("CARGO_BIN_EXE_picky"), &[]).output().unwrap();
    assert_exit(&output, 1);
    assert_eq!(stdout(&output), "");
    assert_says(
        stderr(&output),
        &[
            "Error: ",
            "the program did not reach rustwren::init()",
            "it ended with exit code 2",
            "error: unexpected argument '--rustwren-function-process' found",
            "hint: put #[rustwren::main] on main",
        ],
    );
    assert_eq!(stderr(&output).matches("did not reach").count(), 1, "{}", stderr(&output));
    let started = place.notes("started");
    assert!((2..=1 + 2 * 2).contains(&started), "the program was started {started} times");
}

#[test]
fn a_program_that_does_not_get_to_init_is_told_after_a_while() {
    let place = Place::new();
    let mut command = place.command(env!("CARGO_BIN_EXE_late"), &[]);
    // Long enough for a started program to leave its note, however busy the machine is.
    let output = command.env("RUSTWREN__COMPUTE__START_TIMEOUT", "3s").output().unwrap();
    assert_exit(&output, 1);
    let words = ["the program did not reach rustwren::init(): it did not within 3s", "hint: "];
    assert_says(stderr(&output), &words);
    let started = place.notes("started");
    assert!((2..=1 + 2 * 2).contains(&started), "the program was started {started} times");
}

#[test]
fn one_name_for_two_remote_functions_is_refused_with_both_places() {
    let output = Place::new().command(env!("CARGO_BIN_EXE_duplicates"), &[]).output().unwrap();
    assert_exit(&output, 1);
    assert_eq!(stdout(&output), "3\n");
    assert_says(
        stderr(&output),
        &[
            "two #[remote] functions have the name duplicates::same",
            "duplicates.rs:",
            "duplicates.rs:",
            "hint:",
        ],
    );
}

/// Whoever sets the variable of a function process by hand is told; nothing panics, nothing runs.
#[test]
fn a_program_with_a_wrong_worker_variable_refuses_to_start() {
    let place = Place::new();
    let image = "ab".repeat(32);
    for value in ["", "x", "-1", "\u{e9}", &image[1..], &image] {
        let mut command = place.command(env!("CARGO_BIN_EXE_early"), &[]);
        let output = command.env("RUSTWREN_WORKER_IMAGE", value).output().unwrap();
        if value.is_empty() {
            // Empty is not set: an ordinary start.
            assert_exit(&output, 0);
            continue;
        }
        assert_exit(&output, 2);
        assert_eq!(stdout(&output), "before\n");
        let told = "rustwren: this function process cannot start: ";
        assert!(
            stderr(&output).starts_with(told) && stderr(&output).lines().count() == 1,
            "{}",
            stderr(&output)
        );
    }
}

/// A function process has its socket in the place of stdin until `init`: a program that asks for a line before is told
/// why it cannot serve, and told so at once.
#[test]
fn a_program_that_reads_its_stdin_before_init_cannot_serve() {
    let place = Place::new();
    let mut command = place.command(env!("CARGO_BIN_EXE_early"), &[]);
    place.write("outer/work/ask", "");
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    assert_exit(&output, 1);
    assert_says(
        stderr(&output),
        &[
            "did not reach rustwren::init()",
            "exit code 2",
            "a program must not read or replace its stdin before it calls",
        ],
    );
}
