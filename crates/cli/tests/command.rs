//! The built command, as users and scripts see it.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails, fails the test")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A working directory and a home of its own, and nothing else in the environment.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(place.path("work")).unwrap();
        fs::create_dir(place.path("home")).unwrap();
        place
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        // Without symbolic links, so that it is what the command sees as its working directory.
        self.dir.path().canonicalize().unwrap().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rustwren"));
        command
            .args(args)
            .current_dir(self.path("work"))
            .env_clear()
            .env("HOME", self.path("home"))
            .stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

fn assert_exit(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "stdout: {}\nstderr: {}", stdout(output), stderr(output));
}

/// Value and origin of one key in `config show --json`.
fn shown(place: &Place, key: &str) -> (serde_json::Value, String) {
    shown_with(place, &[], key)
}

/// The same with these variables set.
fn shown_with(place: &Place, variables: &[(&str, &str)], key: &str) -> (serde_json::Value, String) {
    let mut command = place.command(&["config", "show", "--json"]);
    let output = command.envs(variables.iter().copied()).output().unwrap();
    assert_exit(&output, 0);
    let all: serde_json::Value = serde_json::from_str(stdout(&output)).unwrap();
    let value = all["values"].as_array().unwrap().iter().find(|value| value["key"] == key).unwrap();
    (value["value"].clone(), value["origin"].as_str().unwrap().to_owned())
}

#[test]
fn help_goes_to_stdout_and_is_what_the_reference_says() {
    let place = Place::new();
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let reference = fs::read_to_string(reference).unwrap();
    for args in
        [vec!["--help"], vec!["config", "--help"], vec!["config", "show", "--help"], vec!["init", "--help"]]
    {
        let output = place.run(&args);
        assert_exit(&output, 0);
        assert_eq!(stderr(&output), "");
        assert!(reference.contains(stdout(&output).trim_end()), "{args:?}:\n{}", stdout(&output));
    }
}

#[test]
fn version() {
    let output = Place::new().run(&["--version"]);
    assert_exit(&output, 0);
    assert_eq!(stdout(&output), concat!("rustwren ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn wrong_command_lines() {
    let place = Place::new();
    for args in
        [vec![], vec!["frobnicate"], vec!["config", "show", "--jsn"], vec!["init", "--provider", "mars"]]
    {
        let output = place.run(&args);
        assert_exit(&output, 2);
        assert_eq!(stdout(&output), "", "{args:?}");
        assert!(stderr(&output).contains("Usage") || stderr(&output).contains("possible values"), "{args:?}");
    }
}

#[test]
fn show_names_origins() {
    let place = Place::new();
    assert_eq!(shown(&place, "storage.backend"), ("local".into(), "default".to_owned()));
    place.write("work/rustwren.toml", "[compute]\nworkers = 3\n");
    let file = place.path("work/rustwren.toml");
    assert_eq!(shown(&place, "compute.workers"), (3.into(), format!("{}:2:1", file.display())));

    let mut command = place.command(&["config", "show"]);
    let output = command.env("RUSTWREN__COMPUTE__WORKERS", "5").output().unwrap();
    assert_exit(&output, 0);
    let line = stdout(&output).lines().find(|line| line.starts_with("compute.workers")).unwrap();
    assert!(line.starts_with("compute.workers = 5 "), "{line}");
    assert!(line.ends_with("# environment variable RUSTWREN__COMPUTE__WORKERS"), "{line}");
    assert!(!stdout(&output).contains('\u{1b}'), "no colour where there is no terminal");
    assert_eq!(stderr(&output), "");
}

#[test]
fn what_show_prints_is_a_configuration_that_means_the_same() {
    let place = Place::new();
    place.write(
        "work/rustwren.toml",
        "[compute]\npass_env = ['A', 'B']\n[storage]\nroot = 'here'\n[job]\ntimeout = '1m30s'\n",
    );
    let first = place.run(&["config", "show"]);
    assert_exit(&first, 0);
    place.write("copy.toml", stdout(&first));
    let second = place.run(&["config", "show", "--config", "../copy.toml"]);
    assert_exit(&second, 0);
    let keys = |output: &Output| -> Vec<String> {
        stdout(output)
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split("  #").next().unwrap_or_default().trim_end().to_owned())
            .collect()
    };
    assert_eq!(keys(&first), keys(&second));
    assert!(keys(&first).contains(&"job.timeout = \"1m30s\"".to_owned()));
}

#[test]
fn path_of_the_file() {
    let place = Place::new();
    let output = place.run(&["config", "path"]);
    assert_exit(&output, 0);
    assert_eq!(stdout(&output), "");
    let user = place.path("home/.config/rustwren/rustwren.toml");
    assert!(stderr(&output).contains(&format!("{}", user.display())), "{}", stderr(&output));

    fs::create_dir_all(user.parent().unwrap()).unwrap();
    fs::write(&user, "").unwrap();
    assert_eq!(stdout(&place.run(&["config", "path"])), format!("{}\n", user.display()));

    place.write("rustwren.toml", "");
    let parent = place.path("rustwren.toml");
    assert_eq!(stdout(&place.run(&["config", "path"])), format!("{}\n", parent.display()));

    place.write("work/other.toml", "");
    let other = place.path("work/other.toml");
    let output = place.command(&["config", "path"]).env("RUSTWREN_CONFIG", "other.toml").output().unwrap();
    assert_eq!(stdout(&output), format!("{}\n", other.display()));
}

#[test]
fn a_mistake_in_the_file_shows_place_and_hint() {
    let place = Place::new();
    place.write("work/rustwren.toml", "[compute]\nwokers = 3\n");
    let output = place.run(&["config", "show"]);
    assert_exit(&output, 3);
    assert_eq!(stdout(&output), "");
    let file = place.path("work/rustwren.toml");
    assert_eq!(
        stderr(&output),
        format!(
            "error: {}:2:1: unknown key `wokers` in [compute] of backend `local`\n  |\n2 | wokers\n  | ^^^^^^\nhint: did you mean `workers`?\n",
            file.display()
        )
    );
}

#[test]
fn a_named_file_that_is_not_there() {
    let place = Place::new();
    assert_exit(&place.run(&["--config", "none.toml", "config", "show"]), 3);
    assert_exit(&place.command(&["config", "path"]).env("RUSTWREN_CONFIG", "none.toml").output().unwrap(), 3);
}

#[test]
fn a_variable_with_one_underscore_is_warned_of() {
    let place = Place::new();
    let output = place.command(&["config", "show"]).env("RUSTWREN_COMPUTE_WORKERS", "5").output().unwrap();
    assert_exit(&output, 0);
    assert!(
        stderr(&output).starts_with("warning: environment variable RUSTWREN_COMPUTE_WORKERS"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn init_writes_a_configuration_that_works_and_overwrites_nothing() {
    let place = Place::new();
    let output = place.run(&["init"]);
    assert_exit(&output, 0);
    assert_eq!(stdout(&output), "");
    let written = fs::read_to_string(place.path("work/rustwren.toml")).unwrap();
    assert!(written.contains("#workers = 4"));
    assert_exit(&place.run(&["config", "show"]), 0);
    assert_eq!(shown(&place, "compute.start_timeout").1, "default");

    place.write("work/rustwren.toml", "# mine\n");
    let output = place.run(&["init"]);
    assert_exit(&output, 3);
    assert_eq!(stderr(&output), "error: rustwren.toml is there already\nhint: --force replaces it\n");
    assert_eq!(fs::read_to_string(place.path("work/rustwren.toml")).unwrap(), "# mine\n");

    assert_exit(&place.run(&["init", "--force"]), 0);
    assert_eq!(fs::read_to_string(place.path("work/rustwren.toml")).unwrap(), written);

    // Into a folder, and into one that is not there.
    assert_exit(&place.run(&["init", "../home"]), 0);
    assert_eq!(fs::read_to_string(place.path("home/rustwren.toml")).unwrap(), written);
    assert_exit(&place.run(&["init", "none/there.toml"]), 3);
}

#[test]
fn every_provider_s_configuration_works() {
    for provider in ["local", "chaos", "aws"] {
        let place = Place::new();
        assert_exit(&place.run(&["init", "--provider", provider]), 0);
        assert_exit(&place.run(&["config", "show"]), 0);
        assert_eq!(shown(&place, "compute.backend").0, provider);
    }
    // Its workers are chosen beside it.
    let place = Place::new();
    assert_exit(&place.run(&["init", "--provider", "gcp"]), 0);
    assert_eq!(shown(&place, "storage.backend").0, "gcp");
}

#[test]
fn chaos_is_put_around_what_a_file_chooses() {
    let place = Place::new();
    place.write("work/rustwren.toml", "[compute]\nworkers = 3\n[storage]\nbackend = \"memory\"\n");
    let shown = |key: &str| shown_with(&place, &[("RUSTWREN__PROVIDER", "chaos")], key);
    assert_eq!(shown("compute.backend").0, "chaos");
    assert_eq!(shown("compute.wraps"), ("local".into(), "default".to_owned()));
    assert_eq!(shown("compute.workers").0, 3);
    let (wraps, origin) = shown("storage.wraps");
    assert_eq!(wraps, "memory");
    assert!(origin.ends_with("rustwren.toml:4:1"), "{origin}");
}

#[test]
fn completions_for_every_shell() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = place.run(&["completions", shell]);
        assert_exit(&output, 0);
        assert!(stdout(&output).contains("rustwren"), "{shell}");
        assert_eq!(stderr(&output), "", "{shell}");
    }
}

#[test]
fn a_wrong_log_filter_is_refused() {
    let place = Place::new();
    let output = place.command(&["config", "path"]).env("RUSTWREN_LOG", "rustwren=loud").output().unwrap();
    assert_exit(&output, 3);
    assert!(stderr(&output).starts_with("error: environment variable RUSTWREN_LOG: "), "{}", stderr(&output));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let place = Place::new();
    for args in [vec!["completions", "bash"], vec!["config", "show"], vec!["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = place.command(&args).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_exit(&output, 0);
        assert_eq!(stderr(&output), "", "{args:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_a_failure() {
    let place = Place::new();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = place.command(&["config", "show"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_exit(&output, 5);
    assert!(stderr(&output).starts_with("error: cannot write the output: "), "{}", stderr(&output));
}
