//! `docs/cli.md` and `docs/config.md` are made from the code. These tests fail when they are out of date;
//! `BLESS=1 cargo test -p rustwren-cli` writes them anew.

use std::path::PathBuf;

use clap::CommandFactory as _;
use rustwren::__cli::env::Environment;

use crate::args::Cli;
use crate::exit;

const CLI_HEAD: &str = "\
# The `rustwren` command

<!-- Made from the code; a test keeps it so. -->

Data goes to stdout; messages, logs and progress go to stderr. Colour is used on a terminal only, and never when `NO_COLOR`
is set. Environment variables are listed in [config.md](config.md#environment-variables).

## Exit codes

They are stable.

| code | meaning |
|---|---|
";

fn cli_page() -> String {
    let codes = exit::ALL.iter().map(|(exit, meaning)| format!("| {} | {meaning} |\n", *exit as u8));
    let mut page = CLI_HEAD.to_owned() + &codes.collect::<String>();
    let mut command = Cli::command().term_width(100);
    command.build();
    add_help(&mut page, &mut command);
    page
}

fn add_help(page: &mut String, command: &mut clap::Command) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned();
    // What `--help` prints: clap's long form where there is one, which its short form then mentions.
    let short = command.render_help().to_string();
    let help = if short.contains("see more with") { command.render_long_help().to_string() } else { short };
    *page += &["\n## ", &name, "\n\n```text\n", help.trim_end(), "\n```\n"].concat();
    for inner in command.get_subcommands_mut().filter(|inner| inner.get_name() != "help") {
        add_help(page, inner);
    }
}

fn assert_page(name: &str, expected: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    // By name and not from the registry: it is a variable of this test, none that RustWren reads.
    if Environment::of_process().get("BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let line = found.lines().zip(expected.lines()).position(|(found, expected)| found != expected);
    assert!(
        found == expected,
        "docs/{name} is out of date (from line {}): `BLESS=1 cargo test -p rustwren-cli` writes it anew",
        line.unwrap_or_else(|| found.lines().count().min(expected.lines().count())) + 1
    );
}

#[test]
fn command_line_reference_is_up_to_date() {
    assert_page("cli.md", &cli_page());
}

#[test]
fn configuration_reference_is_up_to_date() {
    assert_page("config.md", &rustwren::__cli::config::reference::markdown(&rustwren::__cli::registry()));
}

#[test]
fn command_line_is_consistent() {
    Cli::command().debug_assert();
}
