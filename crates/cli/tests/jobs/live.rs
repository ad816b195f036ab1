//! Jobs of real programs, watched, stopped, gone on with and cleaned away from outside.

use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::PROGRAM;
use crate::harness::{Place, assert_exit, assert_says, stderr, stdout};
use crate::program::HELD;

crate::tests![
    a_detached_job_is_watched_to_its_end,
    ctrl_c_leaves_the_job_running,
    a_job_whose_driver_was_killed_goes_on,
    a_job_whose_client_was_killed_goes_on,
    who_leaves_a_job_takes_its_sign_of_life_away,
    failed_tasks_are_named_and_can_be_run_again,
    a_job_that_gives_up_says_why,
    a_running_job_is_cancelled,
    a_clean_beside_a_running_job_harms_neither,
    a_plain_jobs_failure_can_be_run_again,
    a_resumed_job_needs_its_program,
];

/// Runs the program to its end.
pub(crate) fn program(place: &Place, args: &[&str]) -> Output {
    start(place, args).wait_with_output().unwrap()
}

/// Starts the program.
pub(crate) fn start(place: &Place, args: &[&str]) -> Child {
    let mut command: Command = place.in_place(&std::env::current_exe().unwrap());
    command.arg(PROGRAM).args(args).env("RUSTWREN__CLIENT__LOGS", "none");
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Hands a job over whose second half waits for [`go`].
fn detach(place: &Place) -> String {
    let output = program(place, &["detach held"]);
    assert_exit(&output, 0);
    stdout(&output).trim().to_owned()
}

/// Lets the elements go that wait.
pub(crate) fn go(place: &Place) {
    std::fs::write(place.path("work/go"), "").unwrap();
}

/// Looks at the jobs until one is as it should be. Which of two of the same second is listed first is left to chance.
pub(crate) fn until(place: &Place, wanted: impl Fn(&Value) -> bool) -> Value {
    loop {
        let list = place.json(&["jobs", "list", "--json"]);
        if let Some(job) = list["jobs"].as_array().unwrap().iter().find(|job| wanted(job)) {
            return job.clone();
        }
    }
}

/// Until its first half is done, and committed.
pub(crate) fn until_half(place: &Place) -> Value {
    until(place, |job| job["done"] == HELD)
}

/// How often each element of the first half was run.
pub(crate) fn first_half_ran_once(place: &Place) {
    let ran = std::fs::read_to_string(place.path("work/ran")).unwrap();
    for index in 0..HELD {
        let times = ran.lines().filter(|line| **line == index.to_string()).count();
        assert_eq!(times, 1, "element {index}:\n{ran}");
    }
}

fn kill(pid: &Value, signal: Signal) {
    let pid = i32::try_from(pid.as_i64().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

fn ends_well(output: &Output, id: &str) {
    assert_exit(output, 0);
    assert_says(
        stderr(output),
        &[&format!("job {id} (render) has ended: {} of {} done\n", 2 * HELD, 2 * HELD)],
    );
}

fn a_detached_job_is_watched_to_its_end() {
    let place = Place::new();
    let id = detach(&place);
    let watching = place.command(&["jobs", "attach", &id]).stderr(Stdio::piped()).spawn().unwrap();
    until_half(&place);
    go(&place);
    ends_well(&watching.wait_with_output().unwrap(), &id);
    // And again, when all is over.
    let output = place.run(&["jobs", "attach", &id]);
    ends_well(&output, &id);
    assert_eq!(stdout(&output), "");
    first_half_ran_once(&place);
}

fn ctrl_c_leaves_the_job_running() {
    let place = Place::new();
    let id = detach(&place);
    until_half(&place);
    let mut command = place.command(&["jobs", "attach", &id]);
    let mut watching = command.stderr(Stdio::piped()).spawn().unwrap();
    // It has begun to watch when it says how far the job is.
    let mut said = std::io::BufReader::new(watching.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    assert_eq!(line, format!("{HELD} of {} done\n", 2 * HELD));
    kill_process(Pid::from_child(&watching), Signal::INT).unwrap();
    let rest = std::io::read_to_string(said).unwrap();
    let output = watching.wait_with_output().unwrap();
    assert_exit(&output, 130);
    assert_eq!(rest, format!("job {id} (render) goes on without this terminal: rustwren jobs attach {id}\n"));
    assert_eq!(until_half(&place)["state"], "running");
    go(&place);
    ends_well(&place.run(&["jobs", "attach", &id]), &id);
}

fn a_job_whose_driver_was_killed_goes_on() {
    let place = Place::new();
    let id = detach(&place);
    let job = until(&place, |job| job["done"] == HELD && job["state"] == "running");
    kill(&job["driver"]["pid"], Signal::KILL);
    until(&place, |job| job["state"] == "abandoned");
    go(&place);
    let output = place.run(&["jobs", "attach", &id]);
    assert_says(stderr(&output), &["its driver, process ", ", is gone: starting another\n"]);
    ends_well(&output, &id);
    first_half_ran_once(&place);
}

fn a_job_whose_client_was_killed_goes_on() {
    let place = Place::new();
    let mut client = start(&place, &["durable held"]);
    let job = until_half(&place);
    assert_eq!((&job["kind"], &job["driver"]["pid"]), (&"durable".into(), &client.id().into()));
    client.kill().unwrap();
    client.wait().unwrap();
    until(&place, |job| job["state"] == "abandoned");
    go(&place);
    let id = job["id"].as_str().unwrap();
    ends_well(&place.run(&["jobs", "attach", id]), id);
    first_half_ran_once(&place);
}

/// However long that takes: a program that was gone before its sign of life would be taken for a crash.
fn who_leaves_a_job_takes_its_sign_of_life_away() {
    let place = Place::new();
    let mut command = place.in_place(&std::env::current_exe().unwrap());
    let client = command
        .args([PROGRAM, "durable held"])
        .env("RUSTWREN__CLIENT__LOGS", "none")
        .env("RUSTWREN__STORAGE__BACKEND", "chaos")
        .env("RUSTWREN__STORAGE__WRAPS", "local")
        .env("RUSTWREN__STORAGE__PROFILE", "calm")
        .env("RUSTWREN__STORAGE__SLOW", "100%")
        .env("RUSTWREN__STORAGE__SLOW_BY", "100ms..100ms")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let job = until_half(&place);
    kill_process(Pid::from_child(&client), Signal::INT).unwrap();
    assert_exit(&client.wait_with_output().unwrap(), 130);
    go(&place);
    let id = job["id"].as_str().unwrap();
    let output = place.run(&["jobs", "attach", id]);
    assert_says(stderr(&output), &["nobody drives it: starting another\n"]);
    ends_well(&output, id);
    first_half_ran_once(&place);
}

fn failed_tasks_are_named_and_can_be_run_again() {
    let place = Place::new();
    let id = stdout(&program(&place, &["detach bad"])).trim().to_owned();
    let output = place.run(&["jobs", "attach", &id]);
    assert_exit(&output, 1);
    assert_says(
        stderr(&output),
        &[
            &format!("job {id} (render) has ended: 18 of 20 done, 2 failed\n"),
            "task 3 panicked at ",
            "unlucky\n",
            &format!("rustwren repro {id} 3\n"),
            "task 13 panicked at ",
        ],
    );
    let output = place.run(&["repro", &id, "13"]);
    assert_exit(&output, 1);
    assert_says(stderr(&output), &["fails again in the same way"]);
    assert_eq!(place.json(&["jobs", "show", &id, "--json"])["failures"].as_array().unwrap().len(), 2);
}

fn a_job_that_gives_up_says_why() {
    let place = Place::new();
    let id = stdout(&program(&place, &["detach fatal"])).trim().to_owned();
    let output = place.run(&["jobs", "attach", &id]);
    assert_exit(&output, 1);
    assert_says(
        stderr(&output),
        &["has failed", "error: task 13 of job render panicked at ", "hint: rustwren repro "],
    );
}

fn a_running_job_is_cancelled() {
    let place = Place::new();
    let id = detach(&place);
    until_half(&place);
    let output = place.run(&["jobs", "cancel", &id]);
    assert_exit(&output, 0);
    assert_eq!(
        stderr(&output),
        format!("job {id} (render) is cancelled: {HELD} of {} done, results are kept\n", 2 * HELD)
    );
    let output = place.run(&["jobs", "attach", &id]);
    assert_exit(&output, 130);
    assert_says(stderr(&output), &["was cancelled"]);
}

fn a_clean_beside_a_running_job_harms_neither() {
    let place = Place::new();
    assert_exit(&program(&place, &["durable"]), 0);
    let ended = until(&place, |job| job["state"] == "done");
    let id = detach(&place);
    until(&place, |job| job["id"] == id.as_str() && job["done"] == HELD);
    let report = place.json(&["jobs", "clean", "--all", "--yes", "--json"]);
    assert_eq!((&report["removed"][0]["id"], &report["kept"][0]["id"]), (&ended["id"], &id.as_str().into()));
    assert_eq!(report["removed"].as_array().unwrap().len(), 1);
    assert!(report["programs"].as_array().unwrap().is_empty(), "{report}");
    go(&place);
    ends_well(&place.run(&["jobs", "attach", &id]), &id);
    let output = place.run(&["jobs", "clean", "--all", "--yes"]);
    assert_exit(&output, 0);
    assert_says(stderr(&output), &["deleted 1 job, ", ", 1 program\n"]);
    assert_eq!(place.files(), Vec::<std::path::PathBuf>::new());
}

fn a_plain_jobs_failure_can_be_run_again() {
    let place = Place::new();
    for what in ["panic", "closure"] {
        let output = program(&place, &[what]);
        assert_exit(&output, 1);
        let hint = stderr(&output).lines().find_map(|line| line.strip_prefix("hint: rustwren ")).unwrap();
        let args: Vec<&str> = hint.split(' ').collect();
        let output = place.run(&args);
        assert_exit(&output, 1);
        assert_says(
            stderr(&output),
            &["task 13 of job render", "as it was\n", "fails again in the same way"],
        );
    }
    let output = place.run(&["jobs", "list"]);
    assert_says(stderr(&output), &["there are no jobs", "2 others left something in storage"]);
    assert_exit(&place.run(&["jobs", "clean", "--yes"]), 0);
    assert_eq!(place.files(), Vec::<std::path::PathBuf>::new());
}

fn a_resumed_job_needs_its_program() {
    let place = Place::new();
    let mut client = start(&place, &["resume held"]);
    let job = until_half(&place);
    assert_eq!(job["kind"], "resumed");
    client.kill().unwrap();
    client.wait().unwrap();
    until(&place, |job| job["state"] == "abandoned");
    let id = job["id"].as_str().unwrap();
    assert_says(stdout(&place.run(&["jobs", "show", id])), &["run its program again"]);
    let output = place.run(&["jobs", "attach", id]);
    assert_exit(&output, 3);
    assert_says(stderr(&output), &["no stored inputs", "hint: run that program again"]);
    go(&place);
    let output = program(&place, &["resume held"]);
    assert_exit(&output, 0);
    first_half_ran_once(&place);
}
