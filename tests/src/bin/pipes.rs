//! Pipelines whose process is looked at from outside: its first argument says what it does.

#![expect(clippy::panic, reason = "what goes wrong is to be seen")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustwren::prelude::*;
use rustwren_directory::DirectoryStorage;
use rustwren_tests::hosted::Place;

/// Items of the measurement of memory, and the length of each between two steps.
const MANY: u64 = 1_000_000;
const LONG: usize = 1000;
/// Bytes of items that one measurement takes, unless they are too many for that.
const MEASURED: usize = 200 << 20;
const MOST: usize = 10_000;

#[rustwren::main]
async fn main() -> rustwren::Result<()> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    match given.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["million"] => million(&Executor::connect().await?).await,
        ["halt", storage, cache] => halt(Path::new(storage), Path::new(cache)).await,
        ["measure", storage, cache] => measure(Path::new(storage), Path::new(cache)).await,
        _ => panic!("{given:?}"),
    }
}

/// A gigabyte goes from one job to the next; prints how many items came and the most memory that this took.
async fn million(executor: &Executor) -> rustwren::Result<()> {
    let mut stream = Pipeline::new(0..MANY)
        .map(|x: u64| format!("{x:0LONG$}"))
        .chunk_size(500)
        .flat_map(|text: String| text.parse::<u64>().ok().filter(|x| x % 3 != 0))
        .chunk_size(700)
        .map(|x: u64| x + 1)
        .stream(executor)
        .await?;
    let mut expected = (0..MANY).filter(|x| x % 3 != 0).map(|x| x + 1);
    let mut count = 0;
    while let Some(item) = stream.next().await {
        assert_eq!(Some(item?), expected.next(), "in order");
        count += 1;
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default().trim();
    println!("{count} items, {most}");
    Ok(())
}

async fn place(storage: &Path, cache: &Path) -> rustwren::Result<(Place, Executor)> {
    let storage = Arc::new(DirectoryStorage::open(storage)?);
    let place = Place { storage, lease: Some(Duration::from_millis(200)), ..Place::default() };
    let executor = place.connect(cache).await?;
    Ok((place, executor))
}

/// Says when a pipeline is in the middle, and stays there.
async fn halt(storage: &Path, cache: &Path) -> rustwren::Result<()> {
    let (_place, executor) = place(storage, cache).await?;
    let mut stream = Pipeline::new(0..)
        .map(|x: u64| x.to_string().repeat(100_000))
        .chunk_size(2)
        .map(|text: String| text.len())
        .stream(&executor)
        .await?;
    stream.next().await.transpose()?;
    println!("half way");
    std::future::pending().await
}

fn made((number, len): (u64, usize)) -> String {
    number.to_string().repeat(len)[..len].to_owned()
}

/// Two jobs with items of several lengths between them, which pass through this process or stay in storage: what passes
/// through, and how long it takes.
async fn measure(storage: &Path, cache: &Path) -> rustwren::Result<()> {
    let (place, executor) = place(storage, cache).await?;
    // So that nothing is started while it is measured.
    executor.map(|x: u64| x, 0..100).await?;
    println!("item bytes    items    way        bytes through the client    makespan");
    for len in [1 << 10, 10 << 10, 100 << 10, 1 << 20, 10 << 20] {
        let count = (MEASURED / len).min(MOST) as u64;
        for (way, above) in [("client", u64::MAX), ("storage", 0), ("client", u64::MAX), ("storage", 0)] {
            let (before, begun) = (place.counts.bytes(), Instant::now());
            let done = Pipeline::new((0..count).map(move |number| (number, len)))
                .map(made)
                .workers(2)
                .map(|text: String| text.len())
                .store_above(above)
                .run(&executor)
                .await?;
            let took = begun.elapsed();
            assert_eq!(done.items, vec![len; count as usize]);
            let passed = place.counts.bytes() - before;
            println!("{len:>10} {count:>8}    {way:<8} {passed:>26} {:>9.3} s", took.as_secs_f64());
        }
    }
    Ok(())
}
