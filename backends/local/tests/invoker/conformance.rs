//! The invoker suite's functions, and the suite over the local invoker.

use std::any::Any;
use std::sync::Arc;

use rustwren_core::codec;
use rustwren_core::entry::{Call, Entry, Target};
use rustwren_core::failure::{FailureKind, TaskFailure};
use rustwren_core::image::{ImageId, ProgramImage};
use rustwren_core::invoker::JobSpec;
use rustwren_core::storage::{MemoryStorage, Storage};
use rustwren_core::worker::{Chunk, Function, Shared};
use rustwren_local::{LocalInvoker, LocalOptions};
use rustwren_testkit::invoker_suite::{BAD, Functions, Subject, run_all};

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

#[expect(clippy::unnecessary_wraps, reason = "the signature of `Function::open`")]
pub(crate) fn open(_: &[u8]) -> Result<Shared, TaskFailure> {
    Ok(Box::new(()))
}

/// The function of this name.
pub(crate) fn function(name: &str) -> Option<&'static Function> {
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

fn job(image: ImageId, name: &str, call: Call) -> JobSpec {
    JobSpec {
        id: format!("suite-{name}"),
        label: name.to_owned(),
        entry: Entry { image, target: Target::Named { name: name.to_owned(), call } },
        shared: None,
        task_timeout: None,
        concurrency: 1,
    }
}

/// Runs the suite.
pub(crate) async fn suite() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let compute = super::compute("2", "direct");
    let image = ProgramImage::of_this_program(None).unwrap().id();
    let options = LocalOptions {
        config: compute,
        cache_dir: None,
        storage_variables: Vec::new(),
        storage: Arc::clone(&storage),
    };
    let functions = Functions {
        echo: job(image, "echo", Call::Map),
        fail: job(image, "fail", Call::TryMap),
        panic: job(image, "panic", Call::Map),
        crash: job(image, "crash", Call::Map),
        looping: job(image, "looping", Call::Map),
    };
    run_all(&Subject { invoker: Arc::new(LocalInvoker::new(options)), storage, functions }, &[]).await;
}
