//! Tasks that do nothing: what the way there and back costs.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use rustwren::Executor;
use rustwren_core::codec;

use crate::report::{Table, count, median, time};
use crate::{Outcome, Setting, warm};

pub(crate) fn run(setting: &Setting) -> Outcome {
    let executor = warm(setting)?;
    let floor = one_thread();
    let what = format!(
        "no-op tasks over {} processes, default chunks; floor: one thread that encodes and decodes each input and \
         output, {} tasks/s",
        setting.cores,
        count(floor)
    );
    let table = Table::new("noop", &what, &["inputs", "tasks/s", "of the floor", "invocations"]);
    let sizes: &[u64] =
        if setting.quick { &[1, 10_000, 1_000_000] } else { &[1, 100, 10_000, 1_000_000, 10_000_000] };
    for &size in sizes {
        let (rate, invocations) = rate(&executor, setting, size, None)?;
        let ratio = format!("{:.3}", rate / floor);
        table.row(&[count(size as f64), count(rate), ratio, count(invocations as f64)]);
    }

    let trips = round_trips()?;
    let what = format!(
        "no-op tasks, one to an invocation; floor: a byte to another thread and back over a socket pair, {} trips/s",
        count(trips)
    );
    let table = Table::new("noop", &what, &["inputs", "tasks/s", "of the floor", "invocations"]);
    let sizes: &[u64] = if setting.quick { &[1, 10_000, 100_000] } else { &[1, 100, 10_000, 300_000] };
    for &size in sizes {
        let (rate, invocations) = rate(&executor, setting, size, Some(1))?;
        let ratio = format!("{:.3}", rate / trips);
        table.row(&[count(size as f64), count(rate), ratio, count(invocations as f64)]);
    }
    Ok(())
}

/// Tasks per second, the median of several jobs, and the invocations of the last.
fn rate(
    executor: &Executor,
    setting: &Setting,
    size: u64,
    chunk: Option<u32>,
) -> rustwren::Result<(f64, u64)> {
    let repeats = match (size, setting.quick) {
        (..=100, false) => 201,
        (..=10_000, false) => 31,
        (_, false) => 7,
        (..=10_000, true) => 21,
        (_, true) => 3,
    };
    let mut rates = Vec::new();
    let mut invocations = 0;
    for _ in 0..repeats {
        let mut job = executor.map(|x: u64| x, 0..size);
        if let Some(chunk) = chunk {
            job = job.chunk_size(chunk);
        }
        let (outcome, took) = time(|| {
            let job = job.spawn().wait_for()?;
            let handle = job.handle();
            rustwren::blocking::block_on(job.results()).map(|results| (results, handle))
        });
        let (results, handle) = outcome?;
        assert!(results.into_iter().eq(0..size), "outputs are the inputs");
        invocations = handle.stats().invocations;
        rates.push(size as f64 / took);
    }
    Ok((median(rates), invocations))
}

/// Waiting for a future that is no builder.
trait WaitFor: Future + Sized {
    fn wait_for(self) -> Self::Output {
        rustwren::blocking::block_on(self)
    }
}

impl<F: Future> WaitFor for F {}

/// What encoding and decoding alone cost, per second.
fn one_thread() -> f64 {
    const TASKS: u64 = 1_000_000;
    let pass = || {
        let mut bytes = Vec::new();
        let mut outputs = Vec::with_capacity(TASKS as usize);
        for x in 0..TASKS {
            bytes.clear();
            let y: u64 = codec::encode(&x, &mut bytes).and_then(|()| codec::decode(&bytes)).unwrap_or(0);
            bytes.clear();
            let z: u64 = codec::encode(&y, &mut bytes).and_then(|()| codec::decode(&bytes)).unwrap_or(0);
            outputs.push(std::hint::black_box(z));
        }
        outputs.len()
    };
    TASKS as f64 / median((0..7).map(|_| time(pass).1).collect())
}

/// Bytes that can be sent to another thread and back per second.
fn round_trips() -> std::io::Result<f64> {
    const TRIPS: u32 = 20_000;
    let (mut here, mut there) = UnixStream::pair()?;
    let echo = std::thread::spawn(move || {
        let mut byte = [0];
        while there.read_exact(&mut byte).is_ok() && there.write_all(&byte).is_ok() {}
    });
    let mut byte = [0];
    let (outcome, took) = time(|| {
        (0..TRIPS).try_for_each(|_| {
            here.write_all(&byte)?;
            here.read_exact(&mut byte)
        })
    });
    drop(here);
    if echo.join().is_err() {
        return Err(std::io::Error::other("the echoing thread panicked"));
    }
    outcome.map(|()| f64::from(TRIPS) / took)
}
