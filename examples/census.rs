//! Parses every crate in your cargo registry: lines, tests and `unsafe`, largest first. One element per crate, unpacked
//! or packed; a crate that crashes the parser costs that one element.
//!
//! ```text
//! $ cargo run --release -p rustwren-examples --example census [FOLDER]
//! crate                  files      lines   tests  unsafe  unparsed
//! linux-raw-sys-0.12.1     462    479 901       0   6 837         0
//! windows-sys-0.52.0       235    384 514       0       0         0
//! windows-sys-0.61.2       249    334 283       0   8 925         0
//! tokio-1.54.1             573    148 030   1 617   1 034         0
//! libc-0.2.191             444    133 739      17     312         0
//! ...
//! all 288                8 682  4 118 757  17 088  28 383         1
//! ```

use std::path::PathBuf;

use rustwren::prelude::*;
use rustwren_examples::census::{Counts, RawPath, Report, crates_in, survey};
use rustwren_examples::table::{layout, thousands};

const SHOWN: usize = 20;

#[rustwren::main]
async fn main() -> rustwren::Result<()> {
    let crates = find_crates()?;
    let executor = Executor::connect().await?;
    let inputs: Vec<RawPath> = crates.iter().map(|path| RawPath::from(&**path)).collect();
    let mut reports = executor.map(survey, inputs).label("census").await?;
    reports.sort_by(|a, b| b.counts.lines.cmp(&a.counts.lines).then_with(|| a.name.cmp(&b.name)));
    print!("{}", table(&reports));
    Ok(())
}

/// The crates in the folder that was named; else those that cargo has unpacked, else those that it has downloaded.
fn find_crates() -> rustwren::Result<Vec<PathBuf>> {
    let folders = if let Some(folder) = std::env::args_os().nth(1) {
        vec![PathBuf::from(folder)]
    } else {
        let registry = cargo_home()?.join("registry");
        vec![registry.join("src"), registry.join("cache")]
    };
    let mut why = Vec::new();
    for folder in &folders {
        match crates_in(folder) {
            Ok(crates) if !crates.is_empty() => return Ok(crates),
            Ok(_) => why.push(format!("{}: nothing with a Cargo.toml and no .crate file", folder.display())),
            Err(error) => why.push(format!("{}: {error}", folder.display())),
        }
    }
    let message = format!("no crates were found:\n  {}", why.join("\n  "));
    Err(rustwren::Error::new(rustwren::ErrorKind::Config, message)
        .with_hint("name a folder with crates as the argument, or fill the registry with `cargo fetch`"))
}

fn cargo_home() -> rustwren::Result<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "cargo's variable, not one of RustWren's")]
    let cargo_home = std::env::var_os("CARGO_HOME").filter(|value| !value.is_empty()).map(PathBuf::from);
    cargo_home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).ok_or_else(|| {
        let message = "there is no home folder to look for cargo's registry in";
        rustwren::Error::new(rustwren::ErrorKind::Config, message)
            .with_hint("name a folder with crates as the argument")
    })
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
