//! What the function processes of these tests can do. Inputs and outputs are plain bytes.

use std::any::Any;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::process::{PidfdFlags, PidfdGetfdFlags, Signal, getpid, kill_process, pidfd_getfd, pidfd_open};
use rustwren_core::entry::{Entry, Target};
use rustwren_core::failure::{FailureKind, TaskFailure};
use rustwren_core::image::ImageId;
use rustwren_core::worker::{Chunk, Function, Shared, current};

type Bytes = Result<Vec<u8>, TaskFailure>;

#[expect(clippy::unnecessary_wraps, reason = "the signature of `Function::open`")]
fn open_nothing(_: &[u8]) -> Result<Shared, TaskFailure> {
    Ok(Box::new(()))
}

macro_rules! plain {
    ($function:expr) => {{
        fn run(chunk: &Chunk<'_>, _: &(dyn Any + Send + Sync)) {
            let function: fn(&[u8]) -> Bytes = $function;
            chunk.run(|input, out| {
                out.extend(function(input)?);
                Ok(())
            });
        }
        &Function { open: open_nothing, run }
    }};
}

macro_rules! asynchronous {
    ($function:expr) => {{
        fn run(chunk: &Chunk<'_>, _: &(dyn Any + Send + Sync)) {
            chunk.run_async(|input| Ok($function(input.to_vec())));
        }
        &Function { open: open_nothing, run }
    }};
}

fn text(input: &[u8]) -> &str {
    std::str::from_utf8(input).unwrap()
}

/// Waits for a file that another element or the test makes.
fn wait_for(path: &str) {
    while !std::path::Path::new(path).exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn forever() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(crate) fn resolve(entry: &Entry, own: ImageId) -> Result<&'static Function, String> {
    assert_eq!(own, entry.image);
    let Target::Named { name, .. } = &entry.target else {
        return Err("only names".to_owned());
    };
    Ok(match name.as_str() {
        "echo" => plain!(|input| Ok(input.to_vec())),
        "pid" => plain!(|_| Ok(std::process::id().to_string().into_bytes())),
        "tell_pid_and_loop" => plain!(|_| {
            println!("{}", std::process::id());
            forever()
        }),
        "grow" => plain!(|input| Ok(vec![7; text(input).parse().unwrap()])),
        "length" => plain!(|input| Ok(input.len().to_string().into_bytes())),
        "whoami" => plain!(|_| {
            let task = current().unwrap();
            Ok(format!("{} {} {} {}", task.job, task.label, task.index, task.attempt).into_bytes())
        }),
        "environment" => plain!(|input| Ok(std::env::var(text(input)).unwrap_or_default().into_bytes())),
        "touch_or_wait" => plain!(|input| {
            match text(input).split_once(' ').unwrap() {
                ("wait", path) => wait_for(path),
                ("touch", path) => std::fs::write(path, "").unwrap(),
                _ => {}
            }
            Ok(std::process::id().to_string().into_bytes())
        }),
        // So many milliseconds.
        "naps" => plain!(|input| {
            std::thread::sleep(Duration::from_millis(text(input).parse().unwrap()));
            Ok(input.to_vec())
        }),
        "time_left" => plain!(|_| {
            let deadline = current().unwrap().deadline;
            let left = deadline.map(|at| at.saturating_duration_since(std::time::Instant::now()));
            Ok(left.map_or_else(String::new, |left| left.as_nanos().to_string()).into_bytes())
        }),
        // Ends the way the input says, or gives it back.
        "fault" => plain!(|input| {
            match text(input) {
                "panic" => panic!("out of cheese"),
                "panic value" => std::panic::panic_any(5_u8),
                "error" => return Err(TaskFailure::new(FailureKind::Returned, "no")),
                "abort" => std::process::abort(),
                // Until it is dead: the standard library's handler takes the first for a stray one and steps
                // aside, on whichever thread gets it.
                "segfault" => loop {
                    kill_process(getpid(), Signal::SEGV).unwrap();
                },
                "kill" => kill_process(getpid(), Signal::KILL).unwrap(),
                "exit" => std::process::exit(3),
                "overflow" => drop(recurse(0)),
                "memory" => drop(std::hint::black_box(vec![1_u8; 1 << 30])),
                "loop" => forever(),
                "say and die" => {
                    println!("last words");
                    std::process::abort()
                }
                "close" => {
                    rustix::net::shutdown(socket(), rustix::net::Shutdown::Both).unwrap();
                    forever()
                }
                "garbage" => garbage(),
                _ => {}
            }
            Ok(input.to_vec())
        }),
        "say" => plain!(|input| {
            // Longer than the time below which elements share their output.
            std::thread::sleep(Duration::from_millis(2));
            print!("out {}", text(input));
            eprint!("err {}", text(input));
            Ok(Vec::new())
        }),
        "shout" => plain!(|input| {
            let line = format!("{}\n", "x".repeat(99));
            for _ in 0..text(input).parse::<usize>().unwrap() / 100 {
                print!("{line}");
            }
            Ok(Vec::new())
        }),
        "say_and_wait" => plain!(|input| {
            println!("before");
            wait_for(text(input));
            Ok(Vec::new())
        }),
        "barrier" => plain!(|input| {
            // Ends only when three threads are in it at once.
            static BARRIER: std::sync::Barrier = std::sync::Barrier::new(3);
            BARRIER.wait();
            Ok(input.to_vec())
        }),
        "shared" => {
            fn run(chunk: &Chunk<'_>, shared: &(dyn Any + Send + Sync)) {
                let shared: &Vec<u8> = shared.downcast_ref().unwrap();
                chunk.run(|input, out| {
                    out.extend(shared);
                    out.extend(input);
                    Ok(())
                });
            }
            #[expect(clippy::unnecessary_wraps, reason = "the signature of `Function::open`")]
            fn open(shared: &[u8]) -> Result<Shared, TaskFailure> {
                assert_ne!(shared, b"panic", "cannot open this");
                if shared == b"loop" {
                    forever();
                }
                Ok(Box::new(shared.to_vec()))
            }
            &Function { open, run }
        }
        "async_barrier" => asynchronous!(|input: Vec<u8>| async move {
            // Ends only when three elements are in it at once.
            static BARRIER: std::sync::LazyLock<tokio::sync::Barrier> =
                std::sync::LazyLock::new(|| tokio::sync::Barrier::new(3));
            BARRIER.wait().await;
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert_eq!(current().unwrap().index - 100, u64::from(input[0]));
            Ok(input)
        }),
        "async_fault" => asynchronous!(|input: Vec<u8>| async move {
            tokio::task::yield_now().await;
            match text(&input) {
                "panic" => panic!("async cheese"),
                "never" => std::future::pending().await,
                "block" => forever(),
                "abort" => std::process::abort(),
                _ => Ok(input),
            }
        }),
        _ => return Err(format!("there is no function {name}")),
    })
}

fn recurse(depth: u64) -> u64 {
    let room = std::hint::black_box([depth; 64]);
    if depth == u64::MAX { 0 } else { recurse(depth + 1) + room[(depth % 64) as usize] }
}

/// A copy of what this process talks to its supervisor by.
fn socket() -> OwnedFd {
    let own = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    pidfd_getfd(own, 3, PidfdGetfdFlags::empty()).unwrap()
}

/// Writes nonsense to the supervisor.
fn garbage() -> ! {
    rustix::io::write(socket(), &[0xff; 100]).unwrap();
    forever()
}
