//! All ways of mapping, in a program that is not run as a job: `main` only builds the builders' types.

use rustwren::prelude::*;

/// Of the same `serde` as the library's.
#[derive(serde::Serialize, serde::Deserialize)]
struct Point(u64);

#[remote]
fn half(x: u64) -> u64 {
    x / 2
}

fn plain(x: u64) -> u64 {
    x + 1
}

async fn waits(x: u64) -> u64 {
    x
}

#[expect(dead_code, reason = "it is enough that it compiles")]
async fn maps(executor: &Executor) -> rustwren::Result<()> {
    let _: Vec<u64> = executor.map(|x: u64| x * x, 0..3).await?;
    let _: Vec<u64> = executor.map(plain, 0..3).label("plain").await?;
    let _: Vec<u64> = executor.map(half, 0..3).await?;
    let _: Vec<u64> = executor.map_async(waits, 0..3).await?;
    let _: Vec<u64> = executor.try_map(|x: String| x.parse::<u64>(), vec!["1".to_owned()]).await?;
    let offset = 5_u64;
    let _: Vec<u64> = executor.map_with(&offset, |offset, x: u64| x + offset, 0..3).await?;
    let _: u64 = executor.map_reduce(plain, |all: Vec<u64>| all.iter().sum::<u64>(), 0..3).await?;
    let _: u64 = executor.call(half, 4).await?;
    let _: Vec<Point> = executor.map(|Point(x)| Point(x + 1), [Point(1)]).await?;
    Ok(())
}

#[rustwren::main]
async fn main() -> rustwren::Result<()> {
    assert_eq!(half(4), 2);
    Ok(())
}
