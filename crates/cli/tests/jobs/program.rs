//! A user's program: its first argument says what it does.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use rustwren::prelude::*;
use rustwren::{Result, remote};
use serde::{Deserialize, Serialize, Serializer};

use crate::tasks::{ends, returns};

const LIMIT: Duration = Duration::from_millis(500);

/// As `#[rustwren::main]` makes it.
pub(crate) fn main() -> ExitCode {
    let what = std::env::args().nth(2).unwrap_or_default();
    match rustwren::__private::block_on(rustwren::__private::Flavor::Default, run(what)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:?}");
            ExitCode::FAILURE
        }
    }
}

/// A number that cannot be encoded if it is 13.
#[derive(Deserialize)]
struct Unwritable(u64);

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        if self.0 == 13 {
            return Err(serde::ser::Error::custom("13 is not a number that we write down"));
        }
        self.0.serialize(serializer)
    }
}

#[remote]
fn tile(x: u64) -> Unwritable {
    Unwritable(x)
}

/// A number that is written as a text and read as a number.
struct Odd(u64);

impl Serialize for Odd {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str("text")
    }
}

impl<'de> Deserialize<'de> for Odd {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        u64::deserialize(deserializer).map(Odd)
    }
}

#[remote]
#[expect(clippy::needless_pass_by_value, reason = "mapped functions take values")]
fn takes_odd(x: Odd) -> u64 {
    x.0
}

/// Half of the elements of a job of [`held`].
pub(crate) const HELD: u64 = 10;

/// Notes that it was run. The elements of the second half wait until there is a file `go` in the working directory.
#[remote]
fn held(index: u64) -> u64 {
    let file = std::fs::OpenOptions::new().append(true).create(true).open("ran");
    file.and_then(|mut file| file.write_all(format!("{index}\n").as_bytes())).unwrap();
    while index >= HELD && !std::path::Path::new("go").exists() {
        std::thread::yield_now();
    }
    index
}

/// Twenty inputs, all of which end well but number 13.
fn inputs(thirteenth: &str) -> Vec<String> {
    (0..20).map(|i| if i == 13 { thirteenth.to_owned() } else { "fine".to_owned() }).collect()
}

async fn run(what: String) -> Result<()> {
    let executor = Executor::connect().await?;
    match what.as_str() {
        "returned" => {
            let inputs =
                inputs("bad tile").into_iter().map(|how| if how == "fine" { "well".to_owned() } else { how });
            executor.try_map(returns, inputs.collect::<Vec<_>>()).label("render").await?;
        }
        "input" => {
            executor.map(takes_odd, [Odd(0)]).label("render").await?;
        }
        "output" => {
            executor.map(tile, 0..20).label("render").await?;
        }
        "timeout" => {
            executor.map(ends, inputs("endless")).label("render").timeout(LIMIT).await?;
        }
        "cancel one" => {
            let mut job = executor.map(ends, inputs("endless")).label("render").spawn().await?;
            let thirteenth = job.futures().await?.remove(13);
            thirteenth.cancel();
            thirteenth.await?;
        }
        "cancel" => {
            let job = executor.map(ends, inputs("endless")).label("render").spawn().await?;
            job.cancel();
            job.results().await?;
        }
        "closure" => {
            let work = |how: String| assert!(how == "fine", "unlucky");
            executor.map(work, inputs("bad")).label("render").await?;
        }
        "durable" => {
            executor.map(tile, 20..40).label("render").durable().await?;
        }
        "durable budget" => {
            let job = executor.map(tile, 20..40).label("render").chunk_size(1);
            job.max_invocations(10).durable().await?;
        }
        "durable held" => {
            executor.map(held, 0..2 * HELD).label("render").durable().await?;
        }
        "resume held" => {
            executor.map(held, 0..2 * HELD).label("render").resume().await?;
        }
        "detach held" => {
            println!("{}", executor.map(held, 0..2 * HELD).label("render").detach().await?);
        }
        "detach bad" => {
            let inputs = (0..20).map(|i| if i % 10 == 3 { "panic" } else { "fine" }.to_owned());
            let job = executor.map(ends, inputs.collect::<Vec<_>>()).label("render");
            println!("{}", job.on_error(OnError::Collect).detach().await?);
        }
        "detach fatal" => {
            println!("{}", executor.map(ends, inputs("panic")).label("render").detach().await?);
        }
        "stats" => {
            let job = executor.map(tile, 20..40).label("render").chunk_size(1).spawn().await?;
            let handle = job.handle();
            let tiles = job.results().await?;
            let stats = handle.stats();
            println!(
                "{} tiles; {} invocations, {} throttled, {} in passing trouble",
                tiles.len(),
                stats.invocations,
                stats.throttled,
                stats.transient
            );
        }
        "lone" => {
            executor.map(tile, [20]).label("render").await?;
        }
        "one endless" => {
            executor.map(ends, ["endless".to_owned()]).label("render").await?;
        }
        "ctrl-c" => {
            executor.map(ends, vec!["endless".to_owned(); 20]).label("render").await?;
        }
        how => {
            executor.map(ends, inputs(how)).label("render").await?;
        }
    }
    Ok(())
}
