//! The suite's functions in a program that is its own function process: a test target without libtest's `main`.

use std::any::Any;

use rustwren_core::codec;
use rustwren_core::entry::Call;
use rustwren_core::failure::{FailureKind, TaskFailure};
use rustwren_core::image::ImageId;
use rustwren_core::invoker::JobSpec;
use rustwren_core::worker::{Chunk, Function, Shared};

use super::{BAD, Functions};

/// Gives its input back, unless told to misbehave.
macro_rules! function {
    ($bad:expr) => {{
        fn run(chunk: &Chunk<'_>, _: &(dyn Any + Send + Sync)) {
            chunk.run(|bytes, out| {
                let failure =
                    |error: codec::CodecError| TaskFailure::new(FailureKind::Input, error.to_string());
                let input: Vec<u8> = codec::decode(bytes).map_err(failure)?;
                if input == BAD {
                    let bad: fn() -> Result<(), TaskFailure> = $bad;
                    bad()?;
                }
                codec::encode(&input, out).map_err(failure)
            });
        }
        &Function { open, run }
    }};
}

/// Of functions without a shared value.
pub fn open(_: &[u8]) -> Result<Shared, TaskFailure> {
    Ok(Box::new(()))
}

/// The function of this name, for the process that is to run it.
pub fn function(name: &str) -> Option<&'static Function> {
    Some(match name {
        "echo" => function!(|| Ok(())),
        "fail" => function!(|| Err(TaskFailure::new(FailureKind::Returned, "failed as told"))),
        "panic" => function!(|| panic!("panicked as told")),
        "crash" => function!(|| std::process::abort()),
        "looping" => function!(|| loop {
            std::thread::yield_now();
        }),
        _ => return None,
    })
}

/// A job of one of the functions, which the program with this image has.
pub fn job(image: ImageId, name: &str, call: Call) -> JobSpec {
    JobSpec::named(format!("suite-{name}"), image, name, call)
}

/// All of them, for [`Subject`](super::Subject).
pub fn functions(image: ImageId) -> Functions {
    Functions {
        echo: job(image, "echo", Call::Map),
        fail: job(image, "fail", Call::TryMap),
        panic: job(image, "panic", Call::Map),
        crash: job(image, "crash", Call::Map),
        looping: job(image, "looping", Call::Map),
    }
}
