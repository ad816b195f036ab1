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
