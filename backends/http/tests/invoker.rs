//! The HTTP invoker and a runtime with real function processes. This program is its own function process, so it brings
//! its own `main` instead of libtest's.
#![expect(clippy::unwrap_used, reason = "a test, which clippy cannot see without libtest")]

mod common;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use common::Runtime;
use libtest_mimic::{Arguments, Trial};
use rustwren_core::entry::{Entry, Target};
use rustwren_core::image::{ImageId, ProgramImage, image_key};
use rustwren_core::storage::{MemoryStorage, Storage};
use rustwren_core::worker::{Function, serve};
use rustwren_http::{ClientOptions, HttpInvoker, HttpOptions, Protocol};
use rustwren_testkit::invoker_suite::{Subject, program, run_all};

fn resolve(entry: &Entry, _: ImageId) -> Result<&'static Function, String> {
    let Target::Named { name, .. } = &entry.target else {
        return Err("these functions have names".to_owned());
    };
    program::function(name).ok_or_else(|| format!("there is no function {name}"))
}

fn options(client: ClientOptions, workers: usize) -> HttpOptions {
    HttpOptions { client, workers, timeout: Duration::from_secs(30), max_inline: 4 << 20, max_duration: None }
}

async fn suite(protocol: Protocol) {
    let dir = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let image = ProgramImage::of_this_program(Some(dir.path())).unwrap();
    storage.put(&image_key(image.id()).unwrap(), image.packed().unwrap()).await.unwrap();
    let runtime = Runtime::start(Arc::clone(&storage), dir.path(), &[("workers", "2")]).await;
    let invoker = HttpInvoker::new(&options(runtime.client(protocol), 2)).unwrap();
    let functions = program::functions(image.id());
    run_all(&Subject { invoker: Arc::new(invoker), storage, functions }, &[]).await;
    runtime.end().await;
}

fn trial<F: Future<Output = ()> + 'static>(name: &str, test: fn() -> F) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(test());
        Ok(())
    })
}

fn main() -> ExitCode {
    if rustwren_core::env::is_worker() {
        serve(resolve);
    }
    let trials = vec![
        trial("conformance_http1", || suite(Protocol::Http1)),
        trial("conformance_http2", || suite(Protocol::Http2)),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
