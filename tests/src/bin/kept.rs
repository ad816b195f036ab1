//! A user's program whose jobs outlive it, for the tests in `tests/tests/kept`: its first argument says what it does.

#![expect(clippy::panic, reason = "what goes wrong in a task is to fail it")]

use std::fs::File;
use std::io::Write;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustwren::prelude::*;
use rustwren::{Error, ErrorKind, MapBuilder, Result};

/// What a task gets: its number, and how long it works.
type Input = (u64, Duration);

fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "a program of the tests' own, told by the tests")]
    std::env::var(name).ok()
}

/// The pipe to the test and the file of marks, of this process.
fn ends() -> &'static (Option<File>, Option<File>, String) {
    static ENDS: OnceLock<(Option<File>, Option<File>, String)> = OnceLock::new();
    ENDS.get_or_init(|| {
        let open = |name: &str| {
            let path = variable(name)?;
            let file = File::options().append(true).create(true).open(&path);
            Some(file.unwrap_or_else(|error| panic!("{path}: {error}")))
        };
        (open("KEPT_PIPE"), open("KEPT_MARKS"), variable("KEPT_RUN").unwrap_or_default())
    })
}

/// Leaves a mark that it has begun, in one write, tells the test, and works.
fn work((index, time): Input) -> u64 {
    let begun = Instant::now();
    let (pipe, marks, run) = ends();
    let written = marks.as_ref().map(|mut marks| marks.write_all(format!("{run} {index}\n").as_bytes()));
    if let Some(Err(error)) = written {
        panic!("the marks: {error}");
    }
    // A test that has seen enough has closed its end.
    let told = pipe.as_ref().map(|mut pipe| pipe.write_all(b"."));
    drop(told);
    while begun.elapsed() < time {
        std::hint::spin_loop();
    }
    output(index)
}

/// Gives another value each time it is run.
fn unlike(input: Input) -> u64 {
    work(input) ^ rand()
}

/// Those whose time is odd go on only when the test says so.
fn gated(input: Input) -> u64 {
    let gate = variable("KEPT_GATE").unwrap_or_default();
    while input.1.subsec_nanos() % 2 == 1 && !std::path::Path::new(&gate).exists() {
        #[expect(
            clippy::disallowed_methods,
            reason = "a task that works a while without keeping a core busy"
        )]
        std::thread::sleep(Duration::from_millis(1));
    }
    work(input)
}

fn rand() -> u64 {
    fastrand::u64(..)
}

fn output(index: u64) -> u64 {
    index.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ index
}

fn poisoned((index, time): Input) -> u64 {
    assert!(index % 10 != 3, "three again");
    work((index, time))
}

/// Says something that the test waits for.
fn say(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(|error| Error::new(ErrorKind::Internal, "stdout").with_source(error))
}

/// Takes all results, one by one, and says whether they are right.
async fn check(mut job: Job<u64>, count: u64) -> Result<()> {
    say(&format!("job {}", job.id()))?;
    let mut seen = vec![false; usize::try_from(count).unwrap_or(0)];
    while let Some(result) = job.next().await {
        let (index, value) = result?;
        let place = usize::try_from(index).unwrap_or(usize::MAX);
        if value != output(index) || std::mem::replace(&mut seen[place], true) {
            return say(&format!("wrong at {index}"));
        }
    }
    let missing = seen.iter().filter(|seen| !**seen).count();
    let progress = job.progress();
    say(&format!("ended {missing} missing, done {}, {} invocations", progress.done, job.stats().invocations))
}

#[rustwren::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let what = args.next().unwrap_or_default();
    let count: u64 = args.next().and_then(|count| count.parse().ok()).unwrap_or(0);
    let micros = args.next().and_then(|micros| micros.parse().ok()).unwrap_or(0);
    let executor = Executor::connect().await?;
    let time = Duration::from_micros(micros);
    let inputs = (0..count).map(move |index| (index, time));
    let map = |executor: &Executor| -> MapBuilder<u64> { executor.map(work, inputs.clone()).label("kept") };
    say("connected")?;
    match what.as_str() {
        "plain" => check(map(&executor).spawn().await?, count).await,
        "durable" => check(map(&executor).durable().spawn().await?, count).await,
        "resume" => check(map(&executor).resume().spawn().await?, count).await,
        "attach" => check(executor.attach(args.next().unwrap_or_default()).await?, count).await,
        "detach unlike" => say(&format!("job {}", executor.map(unlike, inputs).detach().await?)),
        "digest" => {
            let job: Job<u64> = executor.attach(args.next().unwrap_or_default()).await?;
            let values = job.results().await?;
            let digest = values.iter().fold(7_u64, |digest, value| digest.rotate_left(9) ^ value);
            say(&format!("digest of {}: {digest:x}", values.len()))
        }
        "detach" => say(&format!("job {}", map(&executor).detach().await?)),
        "cancel" => {
            let mut job: Job<u64> = executor.attach(args.next().unwrap_or_default()).await?;
            say(&format!("job {}", job.id()))?;
            job.cancel();
            job.wait(Wait::All).await;
            say(&format!("{:?}", job.handle().end()))
        }
        "wrong type" => executor.attach::<String>(args.next().unwrap_or_default()).await.map(drop),
        "gated" => {
            let odd = time + Duration::from_nanos(1);
            let inputs = (0..count).map(move |index| (index, if index < count / 2 { time } else { odd }));
            check(executor.map(gated, inputs).chunk_size(1).label("kept").durable().spawn().await?, count)
                .await
        }
        "leave" => {
            let odd = time + Duration::from_nanos(1);
            let inputs = (0..count).map(move |index| (index, if index < count / 2 { time } else { odd }));
            let mut job = executor.map(gated, inputs).chunk_size(1).label("kept").durable().spawn().await?;
            say(&format!("job {}", job.id()))?;
            job.wait(Wait::Count(count / 2)).await;
            drop(job);
            drop(executor);
            say("left")
        }
        "both" => map(&executor).durable().resume().spawn().await.map(drop),
        "poisoned" => {
            let builder = executor.map(poisoned, inputs).label("poisoned").durable();
            for outcome in builder.outcomes().await? {
                if let Err(error) = outcome {
                    say(&error.to_string())?;
                }
            }
            Ok(())
        }
        "poisoned plain" => executor.map(poisoned, inputs).label("poisoned").await.map(drop),
        other => Err(Error::new(ErrorKind::Config, format!("no such thing to do: {other:?}"))),
    }
}
