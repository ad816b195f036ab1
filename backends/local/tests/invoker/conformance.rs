//! The suite over the local invoker.

use std::sync::Arc;

use rustwren_core::image::ProgramImage;
use rustwren_core::storage::{MemoryStorage, Storage};
use rustwren_local::{LocalInvoker, LocalOptions};
use rustwren_testkit::invoker_suite::{Subject, program, run_all};

/// Runs the suite.
pub(crate) async fn suite() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let compute = super::compute("2", "direct");
    let functions = program::functions(ProgramImage::of_this_program(None).unwrap().id());
    let options = LocalOptions {
        config: compute,
        cache_dir: None,
        storage_variables: Vec::new(),
        storage: Arc::clone(&storage),
    };
    run_all(&Subject { invoker: Arc::new(LocalInvoker::new(options)), storage, functions }, &[]).await;
}
