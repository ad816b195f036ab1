//! However a program ends, nothing of it is left.

use std::os::unix::process::{CommandExt, ExitStatusExt};

use rustix::process::{Signal, kill_process, kill_process_group};

use crate::harness::{Place, Watched, assert_all_end, assert_exit, assert_says, pid, start, stderr, stdout};

const PROGRAM: &str = env!("CARGO_BIN_EXE_program");

#[test]
fn ctrl_c_tells_what_was_kept_and_leaves_nothing() {
    let place = Place::new();
    let listener = place.listen();
    let client = start(&mut place.command(PROGRAM, &["endless", listener.path()]));
    let tasks = listener.accept_all(2);
    kill_process(pid(&client), Signal::INT).unwrap();
    let output = client.wait_with_output().unwrap();
    assert_exit(&output, 130);
    assert_says(
        stderr(&output),
        &["interrupted: job endless had 0 of 2 results", "nothing of it was kept\n"],
    );
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    assert_all_end(&tasks);
}

#[test]
fn ctrl_c_at_a_terminal_reaches_the_whole_process_group() {
    let place = Place::new();
    let listener = place.listen();
    let mut command = place.command(PROGRAM, &["some and endless", listener.path()]);
    let client = start(command.process_group(0));
    let tasks = listener.accept_all(2);
    kill_process_group(pid(&client), Signal::INT).unwrap();
    let output = client.wait_with_output().unwrap();
    assert_exit(&output, 130);
    // Two workers, and both are busy for ever.
    assert_says(stderr(&output), &["interrupted: job mixed had 0 of 5 results"]);
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    assert_all_end(&tasks);
}

#[test]
fn a_killed_client_leaves_nothing() {
    for signal in [Signal::KILL, Signal::TERM, Signal::ABORT] {
        let place = Place::new();
        let listener = place.listen();
        let client = start(&mut place.command(PROGRAM, &["endless", listener.path()]));
        let tasks = listener.accept_all(2);
        assert!(tasks.iter().flat_map(|task| &task.processes).all(Watched::is_there));
        kill_process(pid(&client), signal).unwrap();
        let output = client.wait_with_output().unwrap();
        assert_eq!(output.status.signal(), Some(signal.as_raw()));
        assert_all_end(&tasks);
    }
}

#[test]
fn a_program_that_ends_while_a_job_runs_leaves_nothing() {
    // With the executor dropped before the end, and with all of it still there.
    for what in ["abandon", "leave"] {
        let place = Place::new();
        let listener = place.listen();
        let client = start(&mut place.command(PROGRAM, &[what, listener.path(), listener.path()]));
        // Two tasks with a child each, and the client by itself.
        let mut reporters = listener.accept_all(3);
        for client in reporters.iter_mut().filter(|reporter| reporter.processes.len() == 1) {
            client.let_go();
        }
        let output = client.wait_with_output().unwrap();
        assert_exit(&output, 0);
        assert_eq!((stdout(&output), stderr(&output)), ("done\n", ""));
        assert_all_end(&reporters);
    }
}

#[test]
fn an_error_of_main_is_told_once() {
    let place = Place::new();
    let output = place.run(&["what?"], &[]);
    assert_exit(&output, 1);
    assert_eq!(stderr(&output), "Error: no such thing to do: \"what?\"\nhint: read the source\n");
    assert_eq!(stdout(&output), "");

    let output = place.run(&["fails"], &[("RUSTWREN__CLIENT__LOGS", "none")]);
    assert_exit(&output, 1);
    assert_says(stderr(&output), &["Error: task 3 of job fails panicked at ", "three is too many"]);
    assert_eq!(stderr(&output).matches("Error: ").count(), 1);
}

#[test]
fn an_iterator_that_panics_is_an_error_with_its_place() {
    let output = Place::new().run(&["broken"], &[]);
    assert_exit(&output, 1);
    let expected = "Error: input 7 could not be made: the input iterator panicked: the well is dry\n";
    assert!(stderr(&output).ends_with(expected), "{}", stderr(&output));
    assert_eq!(stderr(&output).matches("panicked at").count(), 1, "{}", stderr(&output));
    assert_eq!(stdout(&output), "");
}

#[test]
fn a_task_beyond_the_memory_limit_is_blamed_alone() {
    let output = Place::new().run(
        &["hungry"],
        &[("RUSTWREN__COMPUTE__MEMORY_LIMIT", "256MB"), ("RUSTWREN__CLIENT__LOGS", "none")],
    );
    assert_exit(&output, 0);
    assert_eq!(stdout(&output), "0\n1\nSome(OutOfMemory)\n3\n4\n");
}
