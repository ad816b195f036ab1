//! `rustwren setup`, `teardown` and `logs` where the provider is this machine, which needs nothing.

use crate::{assert_exit, rustwren, text};

#[test]
fn this_machine_needs_no_setup_and_no_removal() {
    let home = tempfile::tempdir().unwrap();
    for (args, said) in [
        (&["setup"][..], "local has nothing to set up: jobs can run as it is\n"),
        (&["setup", "--dry-run"], "local has nothing to set up: jobs can run as it is\n"),
        (&["teardown"], "there is nothing to remove for local\n"),
    ] {
        let output = rustwren(home.path(), args, &[]);
        assert_exit(&output, 0);
        assert_eq!((text(&output.stdout), text(&output.stderr)), ("", said), "{args:?}");
    }
    for command in ["setup", "teardown"] {
        let output = rustwren(home.path(), &[command, "--json"], &[]);
        assert_exit(&output, 0);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["changed"], false);
        assert_eq!(report["providers"].as_array().unwrap().len(), 0);
    }
}

#[test]
fn an_option_without_a_use_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let output = rustwren(home.path(), &["setup", "--rotate"], &[]);
    assert_exit(&output, 3);
    assert!(text(&output.stderr).starts_with("error: --rotate means nothing to local\nhint: "), "{output:?}");
}

#[test]
fn there_are_no_logs_of_this_machine() {
    let home = tempfile::tempdir().unwrap();
    let output = rustwren(home.path(), &["logs", "--since", "5m"], &[]);
    assert_exit(&output, 3);
    let said = text(&output.stderr);
    assert!(said.starts_with("error: local keeps no logs that can be read from here\nhint: "), "{said}");
    assert_exit(&rustwren(home.path(), &["logs", "--since", "yesterday"], &[]), 2);
}
