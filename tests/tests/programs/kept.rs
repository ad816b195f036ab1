//! Jobs that outlive their programs: killed clients, detached jobs, several clients of one job.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};
use rustwren_core::durable::JobId;

use crate::harness::{Place, Watched, assert_exit, assert_says, pid, start, stderr, stdout};
use crate::journal::Kept;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_kept");
/// Elements of a job, and how long each works, in microseconds.
const COUNT: u64 = 150;
const MICROS: u64 = 1500;

/// A place in which tasks leave marks and tell the test when they begin.
pub(crate) struct Scene {
    pub(crate) place: Place,
    pipe: File,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let place = Place::new();
        let path = place.path("pipe");
        mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
        // Open at both ends, so that nobody waits for anybody to open it.
        let pipe = File::options().read(true).write(true).open(&path).unwrap();
        Self { place, pipe }
    }

    /// Run number `run` of the program.
    pub(crate) fn command(&self, run: u32, args: &[&str]) -> Command {
        let mut command = self.place.command(PROGRAM, args);
        command
            .env("KEPT_PIPE", self.place.path("pipe"))
            .env("KEPT_MARKS", self.place.path("marks"))
            .env("KEPT_RUN", run.to_string())
            .env("RUSTWREN__CLIENT__LOGS", "none");
        command
    }

    pub(crate) fn run(&self, run: u32, args: &[&str]) -> Output {
        self.command(run, args).output().unwrap()
    }

    /// Waits until so many further tasks have begun.
    pub(crate) fn wait_for_tasks(&mut self, count: usize) {
        self.pipe.read_exact(&mut vec![0; count]).unwrap();
    }

    /// The elements that were begun in a run, each as often as it was.
    pub(crate) fn marks(&self, run: u32) -> Vec<u64> {
        let marks = std::fs::read_to_string(self.place.path("marks")).unwrap_or_default();
        let of_run = marks.lines().filter_map(|line| line.strip_prefix(&format!("{run} ")));
        of_run.map(|index| index.parse().unwrap()).collect()
    }

    /// No element of `known` was begun in this run.
    #[track_caller]
    pub(crate) fn assert_spared(&self, run: u32, known: &BTreeSet<u64>) {
        let again: Vec<u64> = self.marks(run).into_iter().filter(|index| known.contains(index)).collect();
        assert!(again.is_empty(), "run again though recorded: {again:?}");
    }
}

/// A job's id as the program says it.
pub(crate) fn job_of(text: &str) -> Option<JobId> {
    text.lines().find_map(|line| line.strip_prefix("job ")).map(|id| id.parse().unwrap())
}

/// A run of a job came to its end with all results.
#[track_caller]
pub(crate) fn assert_complete(output: &Output, count: u64) {
    assert_exit(output, 0);
    assert_says(stdout(output), &[&format!("ended 0 missing, done {count},")]);
}

/// Where a client is killed: after so many tasks have begun, and a moment.
#[derive(Debug)]
struct Point {
    begun: usize,
    moment: Duration,
}

/// Some points lie before the job is there, some behind its end, most between.
fn points(seed: u64) -> Vec<Point> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut draw = |_| Point {
        begun: rng.usize(0..=COUNT as usize).min(rng.usize(0..=2 * COUNT as usize)),
        moment: Duration::from_micros(if rng.bool() { 0 } else { rng.u64(..80_000) }),
    };
    (0..50).map(&mut draw).collect()
}

/// Starts the program, kills it at this point, and gives what it has said.
fn killed_at(scene: &mut Scene, args: &[&str], point: &Point) -> String {
    let mut client = start(&mut scene.command(0, args));
    let mut said = String::new();
    let mut lines = BufReader::new(client.stdout.take().unwrap());
    lines.read_line(&mut said).unwrap();
    scene.wait_for_tasks(point.begun);
    // Not to wait for anything, but to be at another place in the program each time.
    #[expect(
        clippy::disallowed_methods,
        reason = "at which moment it is killed is drawn; nothing waits for anything"
    )]
    std::thread::sleep(point.moment);
    kill(&client);
    client.wait().unwrap();
    lines.read_to_string(&mut said).unwrap();
    said
}

fn kill(client: &Child) {
    kill_process(pid(client), Signal::KILL).unwrap();
}

fn numbers() -> [String; 2] {
    [COUNT.to_string(), MICROS.to_string()]
}

#[test]
fn clients_of_durable_jobs_killed_at_50_points() {
    let [count, micros] = numbers();
    let (mut attached, mut spared) = (0, 0);
    for point in points(1) {
        let mut scene = Scene::new();
        let said = killed_at(&mut scene, &["durable", &count, &micros], &point);
        let kept = Kept::of(&scene.place);
        let jobs = kept.jobs();
        let begun: BTreeSet<u64> = scene.marks(0).into_iter().collect();
        let [id] = &jobs[..] else {
            // Killed while it was stored: nothing of it is run before it is there.
            assert!(jobs.is_empty() && begun.is_empty() && job_of(&said).is_none(), "{point:?}: {jobs:?}");
            continue;
        };
        assert!(job_of(&said).is_none_or(|said| said == *id));
        let known = kept.by_index(id, COUNT);
        assert!(known.is_subset(&begun), "{point:?}");
        let args = ["attach", &count, "0", id.as_str()];
        assert_complete(&scene.run(1, &args), COUNT);
        scene.assert_spared(1, &known);
        let all: BTreeSet<u64> = known.iter().copied().chain(scene.marks(1)).collect();
        assert_eq!(all.len() as u64, COUNT, "{point:?}");
        // Once more, and there is nothing left to be run.
        assert_complete(&scene.run(2, &args), COUNT);
        assert!(scene.marks(2).is_empty(), "{point:?}");
        attached += 1;
        spared += known.len();
    }
    // What this test is about has happened.
    assert!(attached > 25 && spared > 500, "{attached} attached, {spared} spared");
}

#[test]
fn programs_that_resume_killed_at_50_points() {
    let [count, micros] = numbers();
    let inputs = || (0..COUNT).map(|index| (index, Duration::from_micros(MICROS)));
    let mut spared = 0;
    for point in points(2) {
        let mut scene = Scene::new();
        let args = ["resume", &count, &micros];
        killed_at(&mut scene, &args, &point);
        let known = Kept::of(&scene.place).by_content(inputs());
        let begun: BTreeSet<u64> = scene.marks(0).into_iter().collect();
        assert!(known.is_subset(&begun), "{point:?}");
        assert_complete(&scene.run(1, &args), COUNT);
        scene.assert_spared(1, &known);
        assert_complete(&scene.run(2, &args), COUNT);
        assert!(scene.marks(2).is_empty(), "{point:?}");
        spared += known.len();
    }
    assert!(spared > 500, "{spared} spared");
}

#[test]
fn a_program_with_other_inputs_runs_only_what_is_new() {
    let scene = Scene::new();
    assert_complete(&scene.run(0, &["resume", "50", "100"]), 50);
    assert_complete(&scene.run(1, &["resume", "80", "100"]), 80);
    let begun: BTreeSet<u64> = scene.marks(1).into_iter().collect();
    assert_eq!(begun, (50..80).collect());
    // The time is a part of the input.
    assert_complete(&scene.run(2, &["resume", "50", "101"]), 50);
    assert_eq!(scene.marks(2).len(), 50);
}

#[test]
fn a_detached_job_outlives_its_client() {
    let scene = Scene::new();
    let output = scene.run(0, &["detach", "400", "2000"]);
    assert_exit(&output, 0);
    let id = job_of(stdout(&output)).unwrap();
    assert_complete(&scene.run(1, &["attach", "400", "0", id.as_str()]), 400);
    // Whoever looked on has run nothing.
    assert_eq!((scene.marks(0).len(), scene.marks(1)), (400, Vec::new()));
}

#[test]
fn a_detached_job_whose_driver_is_killed_goes_on_where_somebody_looks_on() {
    let mut scene = Scene::new();
    let output = scene.run(0, &["detach", "1000", "2000"]);
    let id = job_of(stdout(&output)).unwrap();
    let args = ["attach", "1000", "0", id.as_str()];
    let [one, other] = [1, 2].map(|run| start(&mut scene.command(run, &args)));
    scene.wait_for_tasks(300);
    let kept = Kept::of(&scene.place);
    let driver = kept.driver(&id).expect("somebody drives it");
    let driver_ends = Watched::new(driver);
    kill_process(Pid::from_raw(driver).unwrap(), Signal::KILL).unwrap();
    driver_ends.assert_ends();
    let known = kept.by_index(&id, 1000);
    for client in [one, other] {
        assert_complete(&client.wait_with_output().unwrap(), 1000);
    }
    for run in [1, 2] {
        scene.assert_spared(run, &known);
    }
    assert_eq!(kept.leads(&id), 3, "the client's that began it, the driver's, and that of who went on");
}

#[test]
fn all_clients_of_a_job_see_the_same() {
    let scene = Scene::new();
    // What its tasks give differs from run to run.
    let output = scene.run(0, &["detach unlike", "600", "1000"]);
    assert_exit(&output, 0);
    let id = job_of(stdout(&output)).unwrap();
    let args = ["digest", "600", "0", id.as_str()];
    let clients: Vec<Child> = (1..4).map(|run| start(&mut scene.command(run, &args))).collect();
    let seen = clients.into_iter().map(|client| {
        let output = client.wait_with_output().unwrap();
        assert_exit(&output, 0);
        stdout(&output).to_owned()
    });
    let mut seen: BTreeSet<String> = seen.collect();
    seen.insert(stdout(&scene.run(4, &args)).to_owned());
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!(seen.iter().all(|seen| seen.contains("digest of 600: ")), "{seen:?}");
}

#[test]
fn a_job_is_cancelled_by_who_looks_on() {
    let scene = Scene::new();
    let mut command = scene.command(0, &["detach", "1000000", "1000"]);
    let output = command.env("RUSTWREN__JOB__LEASE", "300ms").output().unwrap();
    let id = job_of(stdout(&output)).unwrap();
    let output = scene.run(1, &["cancel", "0", "0", id.as_str()]);
    assert_exit(&output, 0);
    assert_says(stdout(&output), &["job kept was cancelled after "]);
    // And for good.
    let output = scene.run(2, &["attach", "1000000", "0", id.as_str()]);
    assert_exit(&output, 1);
    assert_says(stderr(&output), &["Error: job kept was cancelled after "]);
    assert!(scene.marks(2).is_empty());
}

#[test]
fn a_dropped_job_is_left_alone_and_what_is_finished_is_kept() {
    let scene = Scene::new();
    let gate = scene.place.path("gate");
    let output = scene.command(0, &["leave", "300", "1000"]).env("KEPT_GATE", &gate).output().unwrap();
    assert_exit(&output, 0);
    assert_says(stdout(&output), &["left"]);
    let id = job_of(stdout(&output)).unwrap();
    let known = Kept::of(&scene.place).by_index(&id, 300);
    assert_eq!(known, (0..150).collect());
    std::fs::write(&gate, "").unwrap();
    let mut command = scene.command(1, &["attach", "300", "0", id.as_str()]);
    assert_complete(&command.env("KEPT_GATE", &gate).output().unwrap(), 300);
    scene.assert_spared(1, &known);
}

#[test]
fn ctrl_c_says_what_is_kept_and_how_to_go_on() {
    for (what, words) in [
        ("durable", ["they are kept: `rustwren jobs attach ", " goes on with the rest"]),
        ("resume", ["they are kept: run the same program again", " to go on with the rest"]),
    ] {
        let mut scene = Scene::new();
        let client = start(&mut scene.command(0, &[what, "100000", "1000"]));
        scene.wait_for_tasks(200);
        kill_process(pid(&client), Signal::INT).unwrap();
        let output = client.wait_with_output().unwrap();
        assert_exit(&output, 130);
        assert_says(
            stderr(&output),
            &["interrupted: job kept had ", " of 100000 results; ", words[0], words[1]],
        );
        assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
        // It says how many, and these are there.
        let kept = Kept::of(&scene.place);
        let id = &kept.jobs()[0];
        let known = match what {
            "durable" => kept.by_index(id, 100_000).len(),
            _ => kept.by_content((0..100_000_u64).map(|index| (index, Duration::from_millis(1)))).len(),
        };
        assert_says(stderr(&output), &[&format!("had {known} of")]);
    }
}

#[test]
fn what_cannot_be_is_refused_with_the_mend() {
    let scene = Scene::new();
    let output = scene.run(0, &["durable", "3", "0"]);
    let id = job_of(stdout(&output)).unwrap();
    let resumed = job_of(stdout(&scene.run(0, &["resume", "3", "0"]))).unwrap();
    for (args, words) in [
        (["both", "1", "0", ""], ["is to be resumed and to be durable", "take one"]),
        (["wrong type", "1", "0", id.as_str()], ["gives outputs of type u64, not", "attach::<u64>"]),
        (["attach", "1", "0", "nobody"], ["there is no job nobody in file://", "rustwren jobs list"]),
        (["attach", "1", "0", "../../etc"], ["no lower-case letter, digit or dash", "rustwren jobs list"]),
        (["attach", "3", "0", resumed.as_str()], ["has no stored inputs", "run that program again"]),
    ] {
        let output = scene.run(1, &args);
        assert_exit(&output, 1);
        assert_says(stderr(&output), &["Error: ", words[0], "hint: ", words[1]]);
    }
}

#[test]
fn failed_tasks_say_how_to_run_them_again() {
    let scene = Scene::new();
    for what in ["poisoned", "poisoned plain"] {
        let output = scene.run(0, &[what, "12", "0"]);
        let said = if what == "poisoned" { stdout(&output) } else { stderr(&output) };
        assert_says(said, &["task 3 of job poisoned panicked at ", "three again", "hint: rustwren repro "]);
        let (_, command) = said.split_once("rustwren repro ").unwrap();
        let mut words = command.split_whitespace();
        let (id, index) = (words.next().unwrap(), words.next().unwrap());
        let capsule = format!("cache/storage/jobs%/{id}%/failed%/{index}");
        assert!(scene.place.path(&capsule).is_file(), "{capsule}");
    }
    // Where nothing outlives the program there is nothing to run again.
    let mut command = scene.command(0, &["poisoned plain", "12", "0"]);
    let output = command.env("RUSTWREN__STORAGE__BACKEND", "memory").output().unwrap();
    assert_says(stderr(&output), &["three again"]);
    assert!(!stderr(&output).contains("hint:"), "{}", stderr(&output));
}
