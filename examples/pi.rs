//! Pi by Monte Carlo: every task draws points from a seed of its own, and the reducer, on a worker as well, adds up.
//! The same arguments give the same digits, however many workers there are.
//!
//! ```text
//! $ cargo run --release -p rustwren-examples --example pi [POINTS] [SEED]
//! pi is 3.141511 give or take 0.000116, from 200000000 points
//! ```

use rustwren::prelude::*;
use rustwren_examples::{args, pi};

const POINTS_PER_TASK: u64 = 10_000_000;

#[rustwren::main]
async fn main() -> rustwren::Result<()> {
    let (points, seed) =
        options().map_err(|message| rustwren::Error::new(rustwren::ErrorKind::Config, message))?;
    let executor = Executor::connect().await?;
    let batches = pi::batches(points, POINTS_PER_TASK, seed);
    let count = executor.map_reduce(pi::sample, pi::add, batches).label("pi").await?;
    println!(
        "pi is {:.6} give or take {:.6}, from {} points",
        count.pi(),
        count.standard_error(),
        count.points
    );
    Ok(())
}

fn options() -> Result<(u64, u64), String> {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let points = args::parse(&args, 0, "POINTS", 200_000_000)?;
    let seed = args::parse(&args, 1, "SEED", 1)?;
    if points == 0 {
        return Err("POINTS: an estimate needs at least one point".to_owned());
    }
    Ok((points, seed))
}
