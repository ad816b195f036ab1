//! A user's program for the tests in `tests/tests/programs`: its first argument says what it does.

#![expect(clippy::panic, reason = "what goes wrong in a task is to fail it")]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use rustwren::prelude::*;

/// Tells the test at this socket which processes are there.
fn tell(socket: &str, pids: &[u32]) -> UnixStream {
    let mut stream = UnixStream::connect(socket).unwrap_or_else(|error| panic!("{socket}: {error}"));
    let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
    writeln!(stream, "{}", pids.join(" ")).unwrap_or_else(|error| panic!("{socket}: {error}"));
    stream
}

/// Says where it is, with a child of its own, and never ends.
#[expect(clippy::zombie_processes, reason = "whoever ends this process ends its child")]
fn endless((_, socket): (u64, String)) {
    let child = std::process::Command::new("sleep").arg("100000").spawn();
    let child = child.unwrap_or_else(|error| panic!("sleep: {error}"));
    let _open = tell(&socket, &[std::process::id(), child.id()]);
    loop {
        std::hint::spin_loop();
    }
}

/// Says where it is, and goes on when the test says so.
fn held((index, socket): (u64, String)) -> u64 {
    let stream = tell(&socket, &[std::process::id()]);
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap_or_else(|error| panic!("{socket}: {error}"));
    index
}

fn talkative(x: u64) -> u64 {
    println!("task {x} speaks");
    eprintln!("task {x} complains");
    print!("no line end");
    x
}

fn hungry(x: u64) -> usize {
    if x == 2 { std::hint::black_box(vec![1_u8; 1 << 30]).len() } else { x as usize }
}

/// How large the program is that runs it.
#[remote]
fn size(_: u64) -> u64 {
    std::fs::metadata("/proc/self/exe")
        .map_or_else(|error| panic!("/proc/self/exe: {error}"), |own| own.len())
}

/// An iterator of the user's own that breaks.
struct Broken(u64);

impl Iterator for Broken {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        assert!(self.0 < 7, "the well is dry");
        self.0 += 1;
        Some(self.0)
    }
}

#[rustwren::main]
async fn main() -> rustwren::Result<()> {
    let mut args = std::env::args().skip(1);
    let what = args.next().unwrap_or_default();
    let socket = args.next().unwrap_or_default();
    let executor = Executor::connect().await?;
    let inputs = move |count: u64| (0..count).map(move |i| (i, socket.clone()));
    match what.as_str() {
        "sum" => {
            let sum: u64 = executor.map(|x: u64| x * x, 0..100).await?.iter().sum();
            println!("{sum} by {} workers", executor.limits().concurrency);
        }
        "sizes" => {
            let sizes = executor.map(size, 0..3).await?;
            let passed = Pipeline::new(0..3_u64).map(size).run(&executor).await?;
            println!("{} {sizes:?} {:?}", size(0), passed.items);
        }
        "endless" => {
            executor.map(endless, inputs(2)).label("endless").await?;
        }
        "some and endless" => {
            let work = |input: (u64, String)| {
                if input.0 < 2 {
                    endless(input);
                }
            };
            let mut job = executor.map(work, inputs(5)).chunk_size(1).label("mixed").spawn().await?;
            while let Some(result) = job.next().await {
                println!("{}", result?.0);
            }
        }
        "abandon" => {
            let job = executor.map(endless, inputs(2)).spawn().await?;
            // The test answers once it has seen both tasks.
            held((0, args.next().unwrap_or_default()));
            drop(job);
            drop(executor);
            println!("done");
        }
        "leave" => {
            let _job = executor.map(endless, inputs(2)).spawn().await?;
            held((0, args.next().unwrap_or_default()));
            println!("done");
        }
        "held" => {
            let outputs = executor.map(held, inputs(3)).chunk_size(1).label("held").await?;
            println!("{outputs:?}");
        }
        "hungry" => {
            for outcome in executor.map(hungry, 0..5).retries(0).outcomes().await? {
                match outcome {
                    Ok(value) => println!("{value}"),
                    Err(error) => println!("{:?}", error.kind()),
                }
            }
        }
        "talk" => {
            println!("{:?}", executor.map(talkative, 0..3).label("talk").await?);
        }
        "broken" => {
            println!("{:?}", executor.map(|x: u64| x, Broken(0)).await?);
        }
        "fails" => {
            executor.map(|x: u64| assert!(x < 3, "three is too many"), 0..4).label("fails").await?;
        }
        other => {
            let message = format!("no such thing to do: {other:?}");
            return Err(
                rustwren::Error::new(rustwren::ErrorKind::Config, message).with_hint("read the source")
            );
        }
    }
    Ok(())
}
