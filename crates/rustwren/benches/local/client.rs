//! What the client itself costs: processor time per invocation, and memory.

use std::sync::Arc;

use rustwren::blocking::block_on;
use rustwren::invoker::Invoker;
use rustwren::storage::{MemoryStorage, Storage};
use rustwren::{Executor, ProgramSource, blocking};
use rustwren_testkit::InstantInvoker;

use crate::child::{Part, numbers};
use crate::report::{Table, count, cpu, median, peak_memory, seconds, time};
use crate::{Outcome, Setting};

const MEGABYTE: f64 = 1e6;

pub(crate) fn run(setting: &Setting) -> Outcome {
    let table = Table::new(
        "client",
        "one task to an invocation over an invoker that takes no time; a fresh process each, medians",
        &["invocations", "most in flight", "CPU each", "peak memory", "of 100 MB"],
    );
    let repeats = if setting.quick { 1 } else { 5 };
    let tasks = if setting.quick { 100_000 } else { 500_000 };
    for in_flight in [100, 10_000] {
        let (mut each, mut memory, mut most) = (Vec::new(), Vec::new(), 0.0);
        for _ in 0..repeats {
            let [cpu, peak, under_way] = numbers(&Part::Client { tasks, in_flight })?[..] else {
                return Err("a child has printed something else than its three numbers".into());
            };
            each.push(cpu);
            memory.push(peak);
            most = under_way;
        }
        let memory = median(memory);
        table.row(&[
            count(tasks as f64),
            count(most),
            seconds(median(each)),
            format!("{:.1} MB", memory / MEGABYTE),
            format!("{:.2}", memory / (100.0 * MEGABYTE)),
        ]);
    }

    let elements = if setting.quick { 5_000_000 } else { 100_000_000 };
    let table = Table::new(
        "client",
        "a lazy iterator of unknown length through function processes, read with `job.next()`",
        &["elements", "elements/s", "CPU each", "peak memory", "of 100 MB"],
    );
    let [took, cpu, memory] = numbers(&Part::Lazy { elements })?[..] else {
        return Err("a child has printed something else than its three numbers".into());
    };
    table.row(&[
        count(elements as f64),
        count(elements as f64 / took),
        seconds(cpu / elements as f64),
        format!("{:.1} MB", memory / MEGABYTE),
        format!("{:.2}", memory / (100.0 * MEGABYTE)),
    ]);
    Ok(())
}

/// In a child: prints processor seconds per invocation, peak memory, and the most invocations under way at once.
pub(crate) fn instant(tasks: u64, in_flight: usize) -> Outcome {
    let invoker = Arc::new(InstantInvoker::echo(in_flight));
    let shared = Arc::clone(&invoker);
    let connect = move || async move {
        Ok((shared as Arc<dyn Invoker>, Arc::new(MemoryStorage::new()) as Arc<dyn Storage>))
    };
    let executor = block_on(Executor::builder().program(ProgramSource::InProcess).build(connect))?;
    let before = cpu();
    let job = block_on(executor.map(|x: u64| x, 0..tasks).chunk_size(1).spawn())?;
    let sum: u64 = block_on(job.results())?.into_iter().sum();
    let used = cpu() - before;
    assert_eq!(sum, tasks * (tasks - 1) / 2, "outputs are the inputs");
    println!("{} {} {}", used / tasks as f64, peak_memory()?, invoker.most_held());
    Ok(())
}

/// In a child: prints seconds, processor seconds, and peak memory.
pub(crate) fn lazy(elements: u64) -> Outcome {
    let executor = blocking::connect()?;
    // A filter does not know how many it will let through.
    let inputs = (0..elements).filter(|x| *x != u64::MAX);
    let before = cpu();
    let (outcome, took) = time(|| -> rustwren::Result<u64> {
        block_on(async {
            let mut job = executor.map(|x: u64| x, inputs).spawn().await?;
            let mut sum = 0_u64;
            while let Some(result) = job.next().await {
                let (index, output) = result?;
                sum = sum.wrapping_add(index ^ output).wrapping_add(1);
            }
            Ok(sum)
        })
    });
    assert_eq!(outcome?, elements, "every output came once, with its index");
    println!("{took} {} {}", cpu() - before, peak_memory()?);
    Ok(())
}
