//! The local invoker with real function processes. This program is its own function process, so it brings its own
//! `main` instead of libtest's.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test, which clippy cannot see without libtest")]

mod conformance;
mod detached;

use std::any::Any;
use std::process::ExitCode;
use std::sync::Arc;

use bytes::Bytes;
use libtest_mimic::{Arguments, Trial};
use rustwren_core::config::Settings;
use rustwren_core::entry::{Call, Entry, Target};
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::failure::TaskFailure;
use rustwren_core::image::{ImageId, ProgramImage, image_key};
use rustwren_core::invoker::{Events, Invocation, Invoker, JobSpec, LogLine, Payload, Reply, ResultBatch};
use rustwren_core::storage::{Key, Storage};
use rustwren_core::worker::{Chunk, Function, Shared, serve};
use rustwren_local::config::{COMPUTE, ComputeConfig};
use rustwren_local::{DirectoryStorage, LocalInvoker, LocalOptions};
use rustwren_testkit::invoker_suite::program;

/// Puts the shared value before each input.
fn resolve(entry: &Entry, _: ImageId) -> Result<&'static Function, String> {
    #[expect(clippy::unnecessary_wraps, reason = "the signature of `Function::open`")]
    fn open(shared: &[u8]) -> Result<Shared, TaskFailure> {
        Ok(Box::new(shared.to_vec()))
    }
    fn run(chunk: &Chunk<'_>, shared: &(dyn Any + Send + Sync)) {
        let shared: &Vec<u8> = shared.downcast_ref().unwrap();
        chunk.run(|input, out| {
            out.extend(shared);
            out.extend(input);
            Ok(())
        });
    }
    let Target::Named { name, .. } = &entry.target else {
        return Err("these functions have names".to_owned());
    };
    if name == "report" {
        return Ok(detached::report());
    }
    Ok(program::function(name).unwrap_or(&Function { open, run }))
}

fn settings(workers: &str, mode: &str) -> Settings {
    let cache = std::env::temp_dir();
    Settings::of_program(&COMPUTE, cache.to_str().unwrap(), [("workers", workers), ("image", mode)]).unwrap()
}

fn compute(workers: &str, mode: &str) -> ComputeConfig {
    ComputeConfig::from_settings(&settings(workers, mode)).unwrap()
}

struct Ignore;

impl Events for Ignore {
    fn results(&self, _: u64, _: ResultBatch) {
        panic!("all results of so short a call come in its reply");
    }
    fn started(&self, _: u64) {}
    fn log(&self, _: u64, _: LogLine) {}
}

fn invocation(image: ImageId, inputs: Payload, shared: Payload) -> Invocation {
    let job = JobSpec {
        id: "job".to_owned(),
        label: "job".to_owned(),
        entry: Entry { image, target: Target::Named { name: "concat".to_owned(), call: Call::MapWith } },
        shared: Some(shared),
        task_timeout: None,
        concurrency: 1,
    };
    Invocation::first(Arc::new(job), 1, 2, inputs)
}

async fn invoke(invoker: &LocalInvoker, invocation: Invocation) -> Result<Reply, BackendError> {
    let events: Arc<dyn Events> = Arc::new(Ignore);
    invoker.invoke(invocation, &events).await
}

/// Two records `x` and `y` as inputs and `s` as shared value, in storage behind a byte that is not theirs.
async fn stored(storage: &Arc<dyn Storage>) -> (Payload, Payload) {
    let key = Key::new("data").unwrap();
    storage.put(&key, Bytes::from_static(b"?\x01x\x01ys")).await.unwrap();
    let part = |offset, len| Payload::Stored { key: "data".to_owned(), offset, len };
    (part(1, 4), part(5, 1))
}

async fn run(mode: &str) {
    let dir = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(DirectoryStorage::open(dir.path().join("storage")).unwrap());
    let cache_dir = Some(dir.path().to_owned());
    let options = LocalOptions {
        config: compute("1", mode),
        cache_dir,
        storage_variables: Vec::new(),
        storage: Arc::clone(&storage),
    };
    let invoker = LocalInvoker::new(options);
    assert_eq!((invoker.limits().concurrency, invoker.limits().ships_image), (1, mode == "packed"));

    let image = ProgramImage::of_this_program(Some(dir.path())).unwrap();
    let (inputs, shared) = stored(&storage).await;
    if mode == "packed" {
        let missing = invoke(&invoker, invocation(image.id(), inputs.clone(), shared.clone())).await;
        assert_eq!(missing.err().map(|error| error.class()), Some(ErrorClass::NotFound));
        storage.put(&image_key(image.id()).unwrap(), image.packed().unwrap()).await.unwrap();
    }
    let reply = invoke(&invoker, invocation(image.id(), inputs.clone(), shared.clone())).await.unwrap();
    let [batch] = &reply.results[..] else { panic!("{reply:?}") };
    // Header: length 2, tag 0.
    assert_eq!(&batch.records[..], b"\x08sx\x08sy");
    invoker.shutdown().await;
}

fn trial<F: Future<Output = ()> + 'static>(name: &str, test: fn() -> F) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(test());
        Ok(())
    })
}

fn main() -> ExitCode {
    if rustwren_core::env::is_worker() {
        serve(resolve);
    }
    if let Some(word) = rustwren_core::init::agent() {
        rustwren_local::agent::run(&word);
    }
    if std::env::args().any(|argument| argument == detached::CLIENT) {
        detached::client_that_is_killed();
    }
    let mut trials = vec![
        trial("direct", || run("direct")),
        trial("packed", || run("packed")),
        trial("conformance", conformance::suite),
    ];
    trials.extend(detached::trials());
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
