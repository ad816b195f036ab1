//! `rustwren config`

use std::fmt::Write as _;
use std::path::Path;

use rustwren::__cli::config::{Config, LoadOptions, ShownValue};
use rustwren::__cli::error::{Error, ErrorKind};
use rustwren::__cli::registry;
use serde::Serialize;

use crate::args::Cli;
use crate::failure::Failure;
use crate::output::{self, DIM};

/// What `--json` prints.
#[derive(Serialize)]
struct Shown<'a> {
    file: Option<std::borrow::Cow<'a, str>>,
    values: Vec<ShownValue>,
}

/// Prints every value and where it comes from.
pub(crate) fn show(cli: &Cli, json: bool) -> Result<(), Failure> {
    let config = load(cli)?;
    if json {
        let shown = Shown { file: config.file().map(Path::to_string_lossy), values: config.show() };
        let mut text = serde_json::to_string_pretty(&shown).map_err(|error| {
            Error::new(ErrorKind::Internal, "cannot write the configuration as JSON").with_source(error)
        })?;
        text.push('\n');
        return output::data(text.as_bytes());
    }
    output::data(as_toml(&config).as_bytes())
}

/// Prints the file's path.
pub(crate) fn path(cli: &Cli) -> Result<(), Failure> {
    let config = load(cli)?;
    let Some(path) = config.file() else {
        output::note("there is no configuration file; looked for:");
        for place in config.searched() {
            output::note(&format!("  {}", place.display()));
        }
        return Ok(());
    };
    // As bytes: a path need not be text.
    let mut line = path.as_os_str().as_encoded_bytes().to_vec();
    line.push(b'\n');
    output::data(&line)
}

fn load(cli: &Cli) -> Result<Config, Failure> {
    let mut options = LoadOptions::of_process();
    if let Some(path) = &cli.config {
        options = options.file(path);
    }
    let config = Config::load(&registry(), &options)?;
    for warning in config.warnings() {
        output::warning(warning);
    }
    Ok(config)
}

/// Dotted keys, so that the text is itself a configuration that means the same.
fn as_toml(config: &Config) -> String {
    let values = config.show();
    let lines: Vec<_> = values
        .iter()
        .map(|shown| match (&shown.value, shown.meaning) {
            (Some(value), _) => (format!("{} = {value}", shown.key), shown.origin.to_string()),
            (None, meaning) => {
                (format!("# {} is not set", shown.key), meaning.unwrap_or_default().to_owned())
            }
        })
        .collect();
    let width =
        lines.iter().map(|(line, _)| line.chars().count()).filter(|width| *width <= 60).max().unwrap_or(0);
    let mut text = match config.file() {
        Some(path) => format!("{DIM}# {}{DIM:#}\n", path.to_string_lossy().escape_debug()),
        None => format!("{DIM}# no configuration file{DIM:#}\n"),
    };
    for (line, note) in &lines {
        // Writing to a string cannot fail.
        writeln!(text, "{line:width$}  {DIM}# {}{DIM:#}", note.escape_debug()).unwrap_or_default();
    }
    text
}
