//! How many elements and invocations a pool of two processes manages per second. Run with `--release`.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rustwren_core::entry::{Call, Entry, Target};
use rustwren_core::failure::TaskFailure;
use rustwren_core::image::ImageId;
use rustwren_core::invoker::{Events, Invocation, JobSpec, LogLine, Payload, ResultBatch};
use rustwren_core::protocol::records::append_input;
use rustwren_core::worker::{Chunk, Function, Shared, serve};
use rustwren_runtime::{Pool, PoolOptions};

#[expect(clippy::unnecessary_wraps, reason = "the signature of `Resolve`")]
fn resolve(entry: &Entry, _: ImageId) -> Result<&'static Function, String> {
    #[expect(clippy::unnecessary_wraps, reason = "the signature of `Function::open`")]
    fn open(_: &[u8]) -> Result<Shared, TaskFailure> {
        Ok(Box::new(()))
    }
    fn echo(chunk: &Chunk<'_>, _: &(dyn Any + Send + Sync)) {
        chunk.run(|input, out| {
            out.extend_from_slice(input);
            Ok(())
        });
    }
    fn spin(chunk: &Chunk<'_>, _: &(dyn Any + Send + Sync)) {
        chunk.run(|_, _| {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(1) {}
            Ok(())
        });
    }
    match &entry.target {
        Target::Named { name, .. } if name == "spin" => Ok(&Function { open, run: spin }),
        _ => Ok(&Function { open, run: echo }),
    }
}

struct Ignore;

impl Events for Ignore {
    fn results(&self, _: u64, _: ResultBatch) {}
    fn started(&self, _: u64) {}
    fn log(&self, _: u64, _: LogLine) {}
}

async fn measure(pool: &Pool, name: &str, total: u64, chunk: u32, at_once: usize) {
    let job = Arc::new(JobSpec::named("job", ImageId([1; 32]), name, Call::Map));
    let mut inputs = Vec::new();
    for i in 0..chunk {
        let body = |out: &mut Vec<u8>| {
            out.extend_from_slice(&i.to_le_bytes());
            Ok::<(), ()>(())
        };
        if append_input(&mut inputs, body).is_err() {
            return;
        }
    }
    let inputs = Bytes::from(inputs);
    let events: Arc<dyn Events> = Arc::new(Ignore);
    let calls = total / u64::from(chunk);
    let begun = Instant::now();
    let mut running = FuturesUnordered::new();
    let mut next = 0;
    let mut compute = Duration::ZERO;
    while next < calls || !running.is_empty() {
        while next < calls && running.len() < at_once {
            running.push(pool.invoke(
                Invocation {
                    first: next * u64::from(chunk),
                    ..Invocation::first(Arc::clone(&job), next, chunk, Payload::Inline(vec![inputs.clone()]))
                },
                &events,
            ));
            next += 1;
        }
        match running.next().await {
            Some(Ok(reply)) => compute += reply.usage.compute,
            Some(Err(error)) => return println!("{name}: {error}"),
            None => {}
        }
    }
    let took = begun.elapsed().as_secs_f64();
    println!(
        "{name}, {chunk} elements per call: {:.0} elements/s, {:.0} calls/s, processes busy {:.1} %",
        (calls * u64::from(chunk)) as f64 / took,
        calls as f64 / took,
        compute.as_secs_f64() / took / 2.0 * 100.0
    );
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if rustwren_core::env::is_worker() {
        serve(resolve);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut options = PoolOptions::new(ImageId([1; 32]));
        options.workers = 2;
        let pool = Pool::new(options, None);
        measure(&pool, "echo", 20_000, 1, 258).await;
        for _ in 0..2 {
            measure(&pool, "echo", 1_000_000, 1, 258).await;
            measure(&pool, "echo", 50_000_000, 100_000, 6).await;
            measure(&pool, "spin", 4000, 1, 258).await;
            measure(&pool, "spin", 4000, 20, 6).await;
        }
    });
    Ok(())
}
