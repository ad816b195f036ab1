//! Parses every crate in your cargo registry: lines, tests and `unsafe`, largest first. One element per crate; a crate
//! that crashes the parser would cost that one element.
//!
//! ```text
//! $ cargo run --release --example census [FOLDER]
//! ```

use std::path::{Path, PathBuf};

use rustwren::prelude::*;
use rustwren_examples::census::{Counts, RawPath, Report, crates_in, survey};
use rustwren_examples::table::{layout, thousands};

const SHOWN: usize = 20;

#[rustwren::main]
async fn main() -> rustwren::Result<()> {
    let folder = folder()?;
    let crates = crates_in(&folder).map_err(|error| no_crates(&folder, &error.to_string()))?;
    if crates.is_empty() {
        return Err(no_crates(&folder, "no folder in it has a Cargo.toml"));
    }
    let executor = Executor::connect().await?;
    let inputs: Vec<RawPath> = crates.iter().map(|path| RawPath::from(&**path)).collect();
    let mut reports = executor.map(survey, inputs).label("census").await?;
    reports.sort_by(|a, b| b.counts.lines.cmp(&a.counts.lines).then_with(|| a.name.cmp(&b.name)));
    print!("{}", table(&reports));
    Ok(())
}

fn folder() -> rustwren::Result<PathBuf> {
    if let Some(folder) = std::env::args_os().nth(1) {
        return Ok(folder.into());
    }
    #[expect(clippy::disallowed_methods, reason = "cargo's variable, not one of RustWren's")]
    let cargo_home = std::env::var_os("CARGO_HOME").filter(|value| !value.is_empty()).map(PathBuf::from);
    cargo_home
        .or_else(|| Some(std::env::home_dir()?.join(".cargo")))
        .map(|home| home.join("registry/src"))
        .ok_or_else(|| {
            rustwren::Error::new(
                rustwren::ErrorKind::Config,
                "there is no home folder to look for cargo's registry in",
            )
            .with_hint("name a folder with crates as the argument")
        })
}

fn no_crates(folder: &Path, why: &str) -> rustwren::Error {
    let message = format!("no crates in {}: {why}", folder.display());
    rustwren::Error::new(rustwren::ErrorKind::Config, message)
        .with_hint("name a folder with crates as the argument, or fill the registry with `cargo fetch`")
}

fn table(reports: &[Report]) -> String {
    let mut total = Counts::default();
    for report in reports {
        total.add(&report.counts);
    }
    let mut rows: Vec<_> =
        reports.iter().take(SHOWN).map(|report| row(&report.name, &report.counts)).collect();
    if reports.len() > SHOWN {
        rows.push(row("...", &Counts::default()).map(|cell| if cell == "0" { String::new() } else { cell }));
    }
    rows.push(row(&format!("all {}", reports.len()), &total));
    let width = terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0));
    layout(["crate", "files", "lines", "tests", "unsafe", "unparsed"], &rows, width)
}

fn row(name: &str, counts: &Counts) -> [String; 6] {
    let Counts { files, unparsed, lines, tests, unsafes } = counts;
    let [files, lines, tests, unsafes, unparsed] =
        [files, lines, tests, unsafes, unparsed].map(|n| thousands(*n));
    [name.to_owned(), files, lines, tests, unsafes, unparsed]
}
