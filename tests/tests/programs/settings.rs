//! Configurations, right and wrong, as a program meets them.

use crate::harness::{Place, assert_exit, assert_says, impossible_folder, stderr, stdout};

#[test]
fn a_wrong_configuration_is_told_with_place_and_mend() {
    for (text, words) in [
        ("[compute]\nwokers = 3\n", &["2:1: unknown key `wokers`", "hint: did you mean `workers`?"][..]),
        (
            "provider = 'moon'\n",
            &[
                "1:12: there is no provider \"moon\"",
                "hint: Known: `aws`, `azure`, `chaos`, `gcp`, `http`, `local`",
            ],
        ),
        ("[compute\n", &["1:", "hint: "][..1]),
    ] {
        let place = Place::new();
        place.write("outer/work/rustwren.toml", text);
        let output = place.run(&["sum"], &[]);
        assert_exit(&output, 1);
        assert!(stderr(&output).starts_with("Error: "), "{}", stderr(&output));
        assert_says(stderr(&output), &["rustwren.toml:"]);
        assert_says(stderr(&output), words);
        assert_eq!(stdout(&output), "");
    }
}

#[test]
fn without_home_cache_or_configuration_a_program_runs_here() {
    let place = Place::new();
    let mut command = place.command(env!("CARGO_BIN_EXE_program"), &["sum"]);
    for name in ["HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "RUSTWREN_CACHE_DIR"] {
        command.env(name, impossible_folder());
    }
    let output = command.output().unwrap();
    assert_exit(&output, 0);
    assert_eq!((stdout(&output), stderr(&output)), ("328350 by 2 workers\n", ""));

    for name in ["HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "RUSTWREN_CACHE_DIR"] {
        command.env_remove(name);
    }
    // Not even a working directory.
    let gone = place.path("gone");
    std::fs::create_dir(&gone).unwrap();
    let script = "rmdir \"$PWD\" && exec \"$0\" sum";
    let mut shell = place.command("sh", &["-c", script, env!("CARGO_BIN_EXE_program")]);
    for name in ["HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "RUSTWREN_CACHE_DIR"] {
        shell.env_remove(name);
    }
    let output = shell.current_dir(gone).output().unwrap();
    assert_exit(&output, 0);
    assert_eq!(stdout(&output), "328350 by 2 workers\n");
}

#[test]
fn a_file_in_a_folder_above_and_the_environment_take_effect() {
    let place = Place::new();
    place.write("outer/rustwren.toml", "[compute]\nworkers = 3\n");
    let mut command = place.command(env!("CARGO_BIN_EXE_program"), &["sum"]);
    let output = command.env_remove("RUSTWREN__COMPUTE__WORKERS").output().unwrap();
    assert_eq!((stdout(&output), stderr(&output)), ("328350 by 3 workers\n", ""));
    let output = place.run(&["sum"], &[("RUSTWREN__COMPUTE__WORKERS", "1")]);
    assert_eq!((stdout(&output), stderr(&output)), ("328350 by 1 workers\n", ""));
}

#[test]
fn a_packed_image_needs_a_cache() {
    let place = Place::new();
    let packed = [("RUSTWREN__COMPUTE__IMAGE", "packed")];
    let output = place.run(&["sum"], &packed);
    assert_exit(&output, 0);
    let cache = impossible_folder().to_str().unwrap();
    let output = place.run(&["sum"], &[packed[0], ("RUSTWREN_CACHE_DIR", cache)]);
    assert_exit(&output, 1);
    assert_says(stderr(&output), &["Error: ", cache]);
}

#[test]
fn workers_run_another_build_of_the_program() {
    let place = Place::new();
    // The same, but for its length.
    let script =
        "cp \"$0\" ../other.new && printf 12345 >> ../other.new && mv ../other.new ../other && echo built";
    let [this, path] = [env!("CARGO_BIN_EXE_program"), "../other"];
    let config = format!(
        "[compute]\nimage = 'packed'\n[image]\npath = {path:?}\ncommand = ['sh', '-c', '{script}', {this:?}]\n"
    );
    place.write("outer/work/rustwren.toml", &config);
    let len = std::fs::metadata(this).unwrap().len();
    let other = len + 5;
    let output = place.run(&["sizes"], &[]);
    assert_exit(&output, 0);
    assert_eq!(stdout(&output), format!("{len} [{other}, {other}, {other}] [{other}, {other}, {other}]\n"));
    assert_eq!(stderr(&output), "built\n", "once");

    // What has no name is not found there.
    let output = place.run(&["sum"], &[]);
    assert_exit(&output, 1);
    assert_says(stderr(&output), &["is not found in ", "other", "mark it", "`[image]`"]);

    // In place nothing is sent.
    let output = place.run(&["sizes"], &[("RUSTWREN__COMPUTE__IMAGE", "direct")]);
    assert_eq!(stdout(&output), format!("{len} [{len}, {len}, {len}] [{len}, {len}, {len}]\n"));
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_program_that_cannot_be_built_is_told() {
    let place = Place::new();
    for (command, words) in [
        ("['sh', '-c', 'echo no compiler >&2; exit 3']", &["no compiler", "exit status: 3"][..]),
        ("['./nowhere']", &["`./nowhere` cannot be started"]),
        ("['true']", &["nothing-here", "`path` under `[image]`"]),
    ] {
        let image = format!("[image]\npath = 'nothing-here'\ncommand = {command}\n");
        place.write("outer/work/rustwren.toml", &format!("[compute]\nimage = 'packed'\n{image}"));
        let output = place.run(&["sizes"], &[]);
        assert_exit(&output, 1);
        assert_says(stderr(&output), words);
        assert_eq!(stdout(&output), "");
    }
}
