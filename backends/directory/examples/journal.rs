//! How fast a job's journal and inputs are over the directory storage: `cargo run --release -p rustwren-directory --example
//! journal [DIRECTORY]`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::poll_fn;
use rustwren_core::clock::TokioClock;
use rustwren_core::durable::jobs::{Selection, clean};
use rustwren_core::durable::{CommittedByIndex, Entry, InputStore, JobId, Journal, Owner, Results, Store};
use rustwren_core::error::Result;
use rustwren_core::protocol::records::{ResultTag, append_input, append_result};
use rustwren_core::scheduler::input::{Block, InputSource, Ready};
use rustwren_directory::DirectoryStorage;

const MIB: f64 = (1 << 20) as f64;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        rustwren_core::error::Error::new(rustwren_core::error::ErrorKind::Unavailable, "no runtime")
            .with_source(error)
    })?;
    let folder = std::env::args_os().nth(1).unwrap_or_else(|| "target/journal-example".into());
    runtime.block_on(async {
        let storage = DirectoryStorage::open(&folder)?;
        let store = Store::new(Arc::new(storage), Arc::new(TokioClock::new()));
        for (name, entries, bytes) in
            [("small", 1000, 100), ("medium", 300, 256 << 10), ("large", 40, 4 << 20)]
        {
            journal(&store, name, entries, bytes).await?;
        }
        inputs(&store, 64, 4 << 20).await?;
        let begun = Instant::now();
        let cleaned = clean(&store, &Selection::All, false, &Owner::of_process("journal")).await?;
        let objects: u64 = cleaned.removed.iter().map(|removed| removed.objects).sum();
        let took = begun.elapsed().as_secs_f64();
        println!(
            "clean      {objects} objects in {:.0} ms: {:.0} objects/s",
            took * 1e3,
            objects as f64 / took
        );
        Ok(())
    })
}

fn results(first: u64, bytes: usize) -> Entry {
    let mut records = Vec::new();
    let appended = append_result(&mut records, ResultTag::Output, |out| {
        out.resize(out.len() + bytes, 7);
        Ok::<(), std::convert::Infallible>(())
    });
    match appended {
        Ok(()) => {}
        Err(never) => match never {},
    }
    let mut results = Results::default();
    results.push_run(first, 1, records.into());
    Entry::Results(results)
}

fn say(what: &str, count: u64, bytes: f64, took: Duration) {
    let (seconds, mib) = (took.as_secs_f64(), bytes / MIB);
    println!("{what:<26}{:>9.0} entries/s {:>9.1} MiB/s", count as f64 / seconds, mib / seconds);
}

async fn journal(store: &Store, name: &str, entries: u64, bytes: usize) -> Result<()> {
    let id = JobId::new(format!("{name}-{:08x}", fastrand::u32(..)))?;
    let mut journal = Journal::open(store, id.clone());
    let all = (entries as usize * bytes) as f64;
    let begun = Instant::now();
    for number in 0..entries {
        journal.append(&results(number, bytes)).await?;
    }
    say(&format!("{name}: append"), entries, all, begun.elapsed());
    let mut committed = CommittedByIndex::new(&id);
    let begun = Instant::now();
    Journal::open(store, id.clone()).read_all(|logged| committed.add(logged).map(drop)).await?;
    say(&format!("{name}: read all"), entries, all, begun.elapsed());
    let begun = Instant::now();
    let mut one_by_one = Journal::open(store, id.clone());
    while one_by_one.read_next().await?.is_some() {}
    say(&format!("{name}: read one by one"), entries, all, begun.elapsed());
    let begun = Instant::now();
    committed.read(store, 0..entries).await?;
    say(&format!("{name}: read results again"), entries, all, begun.elapsed());
    Ok(())
}

async fn inputs(store: &Store, blocks: u64, bytes: usize) -> Result<()> {
    let id = JobId::new(format!("inputs-{:08x}", fastrand::u32(..)))?;
    let mut record = Vec::new();
    let appended = append_input(&mut record, |out| {
        out.resize(out.len() + bytes, 7);
        Ok::<(), std::convert::Infallible>(())
    });
    match appended {
        Ok(()) => {}
        Err(never) => match never {},
    }
    let block = Block { count: 1, bytes: Bytes::from(record) };
    let source = Ready::new((0..blocks).map(|_| block.clone()));
    let all = (blocks as usize * bytes) as f64;
    let inputs = InputStore::new(store, &id);
    let begun = Instant::now();
    let stored = inputs.write(Box::new(source), |_| {}).await?;
    say("inputs: store", blocks, all, begun.elapsed());
    let begun = Instant::now();
    let mut source = inputs.read(&stored);
    while let Some(block) = poll_fn(|cx| source.poll_next(cx)).await {
        block?;
    }
    say("inputs: read", blocks, all, begun.elapsed());
    Ok(())
}
