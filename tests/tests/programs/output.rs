//! What a program and its tasks print, and where.

use std::io::Read;
use std::process::Stdio;

use crate::harness::{Place, assert_exit, stderr, stdout};
use crate::screen::screen;

const PROGRAM: &str = env!("CARGO_BIN_EXE_program");

#[test]
fn tasks_speak_on_stderr_with_their_tag() {
    let place = Place::new();
    let output = place.run(&["talk"], &[]);
    assert_exit(&output, 0);
    assert_eq!(stdout(&output), "[0, 1, 2]\n");
    let mut lines: Vec<&str> = stderr(&output).lines().collect();
    lines.sort_unstable();
    let expected: Vec<String> = (0..3)
        .flat_map(|i| {
            ["no line end".to_owned(), format!("task {i} complains"), format!("task {i} speaks")]
                .map(|text| format!("[talk {i}] {text}"))
        })
        .collect();
    assert_eq!(lines, expected);

    let output = place.run(&["talk"], &[("RUSTWREN__CLIENT__LOGS", "none")]);
    assert_exit(&output, 0);
    assert_eq!((stdout(&output), stderr(&output)), ("[0, 1, 2]\n", ""));
}

#[test]
fn a_failed_task_shows_its_output_with_its_error() {
    let output = Place::new().run(&["fails"], &[("RUSTWREN__CLIENT__LOGS", "failed")]);
    assert_exit(&output, 1);
    assert!(stderr(&output).starts_with("Error: task 3 of job fails panicked at "), "{}", stderr(&output));
}

#[test]
fn a_terminal_shows_progress_and_is_left_clean() {
    let place = Place::new();
    let listener = place.listen();
    let line = format!("stty cols 120 && exec {PROGRAM} held {}", listener.path());
    let mut command = place.command("script", &["-qec", &line, "/dev/null"]);
    command.env("TERM", "xterm").env("SHELL", "/bin/sh");
    // Two workers, three elements: one element is done while two are held.
    let mut client = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut terminal = client.stdout.take().unwrap();
    let mut first = listener.accept();
    let second = listener.accept();
    first.let_go();
    let third = listener.accept();
    let mut seen = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let read = terminal.read(&mut buffer).unwrap();
        assert_ne!(read, 0, "no progress in {:?}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..read]);
        if screen(&seen).iter().any(|line| line.starts_with("held ") && line.contains(" 1/3  33%")) {
            break;
        }
    }
    for mut task in [second, third] {
        task.let_go();
    }
    terminal.read_to_end(&mut seen).unwrap();
    assert!(client.wait().unwrap().success());
    assert_eq!(screen(&seen), ["[0, 1, 2]"], "{:?}", String::from_utf8_lossy(&seen));
}

#[test]
fn progress_is_for_terminals_unless_asked_for() {
    let place = Place::new();
    let listener = place.listen();
    let file = std::fs::File::create(place.path("stderr")).unwrap();
    let mut command = place.command(PROGRAM, &["held", listener.path()]);
    let client = command.stdout(Stdio::piped()).stderr(file).spawn().unwrap();
    for mut task in (0..3).map(|_| listener.accept()) {
        task.let_go();
    }
    let output = client.wait_with_output().unwrap();
    assert_exit(&output, 0);
    assert_eq!(stdout(&output), "[0, 1, 2]\n");
    assert_eq!(std::fs::read_to_string(place.path("stderr")).unwrap(), "");
}
