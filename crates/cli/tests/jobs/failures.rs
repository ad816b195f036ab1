//! `docs/failures.md`: every class of failure has its section, and what the page shows is what programs say.
//!
//! A block of text behind `<!-- example: name -->` is what the scenario of that name prints here. `BLESS=1 cargo test
//! -p rustwren-cli` writes them anew.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use rustix::process::Signal;
use rustwren::__cli::durable::{How, Kind, Owner};
use rustwren::__cli::env::Environment;
use rustwren::__cli::image::ImageId;
use rustwren::FailureKind;

use crate::harness::Place;
use crate::made::{begun, ended, progress, spec};
use crate::repro::{failure, keep_of, text};
use crate::{PROGRAM, live};

crate::tests![
    every_class_has_its_section,
    examples_are_what_programs_say,
    a_job_at_its_budget_goes_on_under_a_larger_one,
];

fn page_path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/failures.md")
}

/// The variants of an enumeration, from its source.
fn variants(source: &str, name: &str) -> Vec<String> {
    let start = source.find(&format!("pub enum {name} {{")).unwrap();
    let body = &source[start..];
    let body = &body[..body.find("\n}").unwrap()];
    body.lines()
        .skip(1)
        .filter(|line| {
            line.starts_with("    ")
                && !line.starts_with("     ")
                && line[4..].starts_with(char::is_uppercase)
        })
        .map(|line| line[4..].chars().take_while(char::is_ascii_alphanumeric).collect())
        .collect()
}

fn every_class_has_its_section() {
    let page = std::fs::read_to_string(page_path()).unwrap();
    let core = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../core/src");
    let read = |name: &str| std::fs::read_to_string(core.join(name)).unwrap();
    let (failures, errors) = (read("failure.rs"), read("error.rs"));
    let mut missing = Vec::new();
    for (source, name, at_least) in
        [(&failures, "FailureKind", 12), (&errors, "ErrorKind", 8), (&errors, "ErrorClass", 10)]
    {
        let variants = variants(source, name);
        assert!(variants.len() >= at_least, "{name}: {variants:?}");
        for variant in variants {
            // A heading may name several.
            let named = format!("`{name}::{variant}`");
            if !page.lines().any(|line| line.starts_with("###") && line.contains(&named)) {
                missing.push(named);
            }
        }
    }
    assert!(missing.is_empty(), "docs/failures.md has no section for {}", missing.join(", "));
    // Each section answers the three questions.
    let sections = page.split("\n### ").skip(1);
    for section in sections {
        let title = section.lines().next().unwrap();
        for question in ["**Kept:**", "**What to do:**"] {
            assert!(section.contains(question), "docs/failures.md, {title}: no {question}");
        }
    }
}

/// Text with what differs from run to run replaced by what a reader finds plausible.
struct Scrubber {
    replaced: Vec<(String, &'static str)>,
}

impl Scrubber {
    fn new(place: &Place) -> Self {
        let path = |path: PathBuf| path.to_str().unwrap().to_owned();
        Self {
            replaced: vec![
                (path(std::env::current_exe().unwrap()), "target/release/render"),
                (path(place.path("work/../storage")), "/data/rustwren"),
                (path(place.path("storage")), "/data/rustwren"),
                (path(place.path("")), "/data/"),
                (rustix::system::uname().nodename().to_str().unwrap().to_owned() + " (", "laptop ("),
                ("crates/cli/tests/jobs/tasks.rs".to_owned(), "src/main.rs"),
                ("crates/cli/tests/jobs/program.rs".to_owned(), "src/main.rs"),
                ("jobs::tasks::".to_owned(), "render::"),
                ("jobs::program::".to_owned(), "render::"),
            ],
        }
    }

    fn scrub(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (from, to) in &self.replaced {
            text = text.replace(from, to);
        }
        text.lines().map(|line| scrub_words(line) + "\n").collect()
    }
}

/// Word by word: ids of jobs, places in files, numbers of processes, times.
fn scrub_words(line: &str) -> String {
    let mut out = String::new();
    let mut before = "";
    for word in line.split_inclusive([' ', '(', ')', ',', '`']) {
        let bare = word.trim_end_matches([' ', '(', ')', ',', ':', '.', '`']);
        let rest = &word[bare.len()..];
        let is_id = |word: &str| {
            let parts: Vec<&str> = word.split('-').collect();
            matches!(parts[..], [time, random, count] if time.len() == 8 && random.len() == 6
                && [time, random, count].iter().all(|part| part.bytes().all(|c| c.is_ascii_hexdigit())))
        };
        let place =
            bare.split_once(".rs:").filter(|(_, place)| place.split(':').all(|n| n.parse::<u32>().is_ok()));
        let number = bare.parse::<u64>().is_ok();
        let scrubbed = match (is_id(bare), place) {
            (true, _) => format!("6a223f1c-09c2f1-0{rest}"),
            (_, Some((file, _))) => format!("{file}.rs:9:5{rest}"),
            _ if number && matches!(before, "process" | "'task'") => format!("4711{rest}"),
            _ => word.to_owned(),
        };
        out += &scrubbed;
        if !bare.is_empty() {
            before = bare;
        }
    }
    out
}

#[derive(Default)]
struct Transcript(String);

impl Transcript {
    fn add(&mut self, scrubber: &Scrubber, command: &str, output: &Output) {
        self.0 = format!("{}$ {command}\n", self.0);
        for bytes in [&output.stdout, &output.stderr] {
            self.0 += &scrubber.scrub(std::str::from_utf8(bytes).unwrap());
        }
    }
}

/// What the program says on its way through one of its jobs.
fn program(what: &str, shown: &str, variables: &[(&str, &str)]) -> String {
    let place = Place::new();
    let output = in_place(&place, what).envs(variables.iter().copied()).output().unwrap();
    let mut transcript = Transcript::default();
    transcript.add(&Scrubber::new(&place), shown, &output);
    transcript.0
}

fn in_place(place: &Place, what: &str) -> Command {
    let mut command = place.in_place(&std::env::current_exe().unwrap());
    // What the tasks write is in the error as well.
    command.args([PROGRAM, what]).env("RUSTWREN__CLIENT__LOGS", "none");
    command
}

/// The program on a bad day: `RUSTWREN__COMPUTE__LOST=5%`.
fn chaos(what: &str, key: &str, value: &str) -> String {
    let variable = format!("RUSTWREN__COMPUTE__{key}");
    let shown = format!("RUSTWREN__PROVIDER=chaos {variable}={value} render");
    let variables = [
        ("RUSTWREN__PROVIDER", "chaos"),
        ("RUSTWREN__COMPUTE__PROFILE", "calm"),
        ("RUSTWREN__STORAGE__PROFILE", "calm"),
        (variable.as_str(), value),
    ];
    program(what, &shown, &variables)
}

fn ctrl_c() -> String {
    let place = Place::new();
    let mut command = in_place(&place, "ctrl-c");
    let child =
        command.env("RUSTWREN__CLIENT__LOGS", "all").stderr(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert!(line.ends_with("] for ever\n"), "{line}");
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::INT).unwrap();
    let said: Vec<u8> = stderr
        .lines()
        .map(Result::unwrap)
        .filter(|line| !line.ends_with("] for ever"))
        .flat_map(|line| (line + "\n").into_bytes())
        .collect();
    let output = Output { stderr: said, ..child.wait_with_output().unwrap() };
    let mut transcript = Transcript::default();
    transcript.add(&Scrubber::new(&place), "render\n^C", &output);
    transcript.0
}

/// A durable job that is interrupted or killed half-way, and gone on with.
fn half_way(signal: Signal, shown: &str) -> String {
    let place = Place::new();
    let scrubber = Scrubber::new(&place);
    let client = live::start(&place, &["durable held"]);
    let id = live::until_half(&place)["id"].as_str().unwrap().to_owned();
    rustix::process::kill_process(rustix::process::Pid::from_child(&client), signal).unwrap();
    let mut transcript = Transcript::default();
    transcript.add(&scrubber, shown, &client.wait_with_output().unwrap());
    live::until(&place, |job| job["state"] == "abandoned");
    live::go(&place);
    let output = place.run(&["jobs", "attach", &id]);
    transcript.add(&scrubber, "rustwren jobs attach 6a22", &output);
    live::first_half_ran_once(&place);
    transcript.0
}

/// A durable job that has stopped at its budget, and an attempt to go on with it.
fn budget() -> String {
    let place = Place::new();
    let scrubber = Scrubber::new(&place);
    let mut transcript = Transcript::default();
    transcript.add(&scrubber, "render", &in_place(&place, "durable budget").output().unwrap());
    transcript.add(
        &scrubber,
        "rustwren jobs attach 6a22",
        &place.run(&["jobs", "attach", &only_job(&place)]),
    );
    transcript.0
}

fn only_job(place: &Place) -> String {
    let listed = place.run(&["jobs", "list", "--json"]);
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    listed["jobs"][0]["id"].as_str().unwrap().to_owned()
}

fn a_job_at_its_budget_goes_on_under_a_larger_one() {
    let place = Place::new();
    assert!(!in_place(&place, "durable budget").output().unwrap().status.success());
    let id = only_job(&place);
    let again = place.run(&["jobs", "attach", &id]);
    assert_eq!(again.status.code(), Some(7), "{again:?}");
    let raised = place.run(&["jobs", "attach", &id, "--max-invocations", "1000"]);
    assert!(raised.status.success(), "{raised:?}");
    let shown = place.run(&["jobs", "show", &id, "--json"]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["done"], 20, "{shown}");
    assert!(shown["spent"]["invocations"].as_u64().unwrap() >= 20, "{shown}");
}

fn config() -> String {
    let place = Place::new();
    std::fs::write(place.path("work/rustwren.toml"), "[compute]\nwokers = 4\n").unwrap();
    let mut transcript = Transcript::default();
    transcript.add(&Scrubber::new(&place), "render", &in_place(&place, "panic").output().unwrap());
    transcript.0
}

fn incompatible() -> String {
    let place = Place::new();
    let own = std::env::current_exe().unwrap();
    let target = rustwren::__private::map(|how: String| how).entry(ImageId([5; 32])).target;
    let spec = spec("6a223f1c-09c2f1-0", "render", ImageId([5; 32]), target);
    keep_of(&place, &own, 13, &text("x"), &spec, failure(FailureKind::Panic, "unlucky"));
    let output = place.run(&["repro", "6a22", "13", "--program", own.to_str().unwrap()]);
    let mut transcript = Transcript::default();
    transcript.add(&Scrubber::new(&place), "rustwren repro 6a22 13 --program target/release/render", &output);
    transcript.0
}

fn journal() -> String {
    let place = Place::new();
    place.block_on(async {
        let owner = Owner::of_process("/data/render");
        let mut leadership = begun(&place, "6a223f1c-09c2f1-0", "render", Kind::Durable, owner).await;
        progress(&mut leadership, 7, 0).await;
        ended(leadership, How::Done).await;
    });
    let entry = place.files().into_iter().find(|file| file.to_string_lossy().contains("0000000002")).unwrap();
    let bytes = std::fs::read(&entry).unwrap();
    std::fs::write(&entry, &bytes[..bytes.len() / 2]).unwrap();
    let mut transcript = Transcript::default();
    transcript.add(
        &Scrubber::new(&place),
        "rustwren jobs attach 6a22",
        &place.run(&["jobs", "attach", "6a22"]),
    );
    transcript.0
}

fn scenario(name: &str) -> String {
    match name {
        "panic" | "returned" | "input" | "output" | "segfault" | "deep" | "exit" | "timeout" | "exec"
        | "cancel one" | "cancel" => program(name, "render", &[]),
        "hungry" => program(name, "render", &[("RUSTWREN__COMPUTE__MEMORY_LIMIT", "512MB")]),
        "lost" => chaos("lone", "CRASHED", "100%"),
        "worker lost" => chaos("stats", "CRASHED", "20%"),
        "throttled" => chaos("stats", "THROTTLED", "30%"),
        "ctrl-c" => ctrl_c(),
        "ctrl-c durable" => half_way(Signal::INT, "render\n^C"),
        "killed" => half_way(Signal::KILL, "render\nKilled"),
        "deadline" => {
            let variables = [("RUSTWREN__COMPUTE__MAX_DURATION", "1s")];
            program("one endless", "RUSTWREN__COMPUTE__MAX_DURATION=1s render", &variables)
        }
        "budget" => budget(),
        "budget in dollars" => {
            let variables = [
                ("RUSTWREN__COMPUTE__PRICE_PER_SECOND", "0.01"),
                ("RUSTWREN__JOB__TIMEOUT", "5s"),
                ("RUSTWREN__JOB__BUDGET_USD", "0.1"),
            ];
            program("lone", "RUSTWREN__JOB__BUDGET_USD=0.1 render", &variables)
        }
        "config" => config(),
        "incompatible" => incompatible(),
        "journal" => journal(),
        other => panic!("docs/failures.md has an example {other:?}, and no scenario makes it"),
    }
}

const MARK: &str = "<!-- example: ";

fn examples_are_what_programs_say() {
    let page = std::fs::read_to_string(page_path()).unwrap();
    let mut parts = page.split(MARK);
    let mut made = parts.next().unwrap().to_owned();
    let mut names = Vec::new();
    for part in parts {
        let (name, rest) = part.split_once(" -->\n").unwrap();
        let rest =
            rest.strip_prefix("```text\n").unwrap_or_else(|| panic!("{name}: no block of text behind it"));
        let (_, rest) = rest.split_once("```\n").unwrap();
        assert!(!names.contains(&name), "{name} is there twice");
        names.push(name);
        made = format!("{made}{MARK}{name} -->\n```text\n{}```\n{rest}", scenario(name));
    }
    assert!(names.len() > 10, "{names:?}");
    if Environment::of_process().get("BLESS").is_some_and(|value| value == "1") {
        std::fs::write(page_path(), &made).unwrap();
        return;
    }
    let line = page.lines().zip(made.lines()).position(|(found, made)| found != made);
    assert!(
        page == made,
        "docs/failures.md is out of date from line {}: `BLESS=1 cargo test -p rustwren-cli` writes it anew; there it \
         is now: {:?}",
        line.unwrap_or(0) + 1,
        made.lines().nth(line.unwrap_or(0))
    );
}
