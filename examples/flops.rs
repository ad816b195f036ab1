//! PyWren's headline benchmark: how many floating point operations per second do the workers do together? Every task
//! multiplies matrices; one task on one worker is the yardstick.
//!
//! ```text
//! $ cargo run --release -p rustwren-examples --example flops [TASKS] [SIZE] [REPEATS]
//! one worker:       6.71 GFLOP/s
//!  16 tasks:        9.08 GFLOP/s, start to end, 1.4 times one worker
//! ```

use std::time::Instant;

use rustwren::prelude::*;
use rustwren_examples::args;
use rustwren_examples::flops::{Load, gflops, run};

#[rustwren::main]
async fn main() -> rustwren::Result<()> {
    let (tasks, load) =
        options().map_err(|message| rustwren::Error::new(rustwren::ErrorKind::Config, message))?;
    let executor = Executor::connect().await?;

    let alone = executor.call(run, load).await?;
    println!("one worker:   {:8.2} GFLOP/s", alone.gflops());

    let loads = (0..tasks).map(move |i| Load { seed: load.seed.wrapping_add(i), ..load });
    let started = Instant::now();
    let measured = executor.map(run, loads).label("flops").chunk_size(1).await?;
    let seconds = started.elapsed().as_secs_f64();
    let operations: f64 = measured.iter().map(|m| m.operations).sum();
    let together = gflops(operations, seconds);
    println!(
        "{tasks:3} tasks:    {together:8.2} GFLOP/s, start to end, {:.1} times one worker",
        together / alone.gflops()
    );
    Ok(())
}

fn options() -> Result<(u64, Load), String> {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let tasks = args::parse(&args, 0, "TASKS", 16)?;
    let size = args::parse(&args, 1, "SIZE", 1_024)?;
    let repeats = args::parse(&args, 2, "REPEATS", 1)?;
    if tasks == 0 || size == 0 || repeats == 0 {
        return Err("TASKS, SIZE and REPEATS are at least 1".to_owned());
    }
    if size > 16_384 {
        return Err(format!("SIZE: {size}: a task holds three matrices; at most 16384 (6 GiB) is possible"));
    }
    Ok((tasks, Load { size, repeats, seed: 1 }))
}
