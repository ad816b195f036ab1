//! A deployed function: the runtime's own binary under the emulator, with a directory as its storage.

use std::sync::Arc;
use std::time::Duration;

use rustwren_aws::LambdaInvoker;
use rustwren_aws::client::{Access, Keys};
use rustwren_aws::config::{COMPUTE, ComputeConfig};
use rustwren_core::config::Settings;
use rustwren_core::image::{ImageId, ProgramImage, image_key};
use rustwren_core::storage::Storage;
use rustwren_directory::DirectoryStorage;
use rustwren_testkit::standins::lambda::{Function, LambdaFront};
use tempfile::TempDir;

pub(crate) struct Place {
    pub(crate) front: Arc<LambdaFront>,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) image: ImageId,
    /// Outlives the front, whose environments work in it.
    dir: TempDir,
}

impl Place {
    /// With room for so many invocations at once.
    pub(crate) async fn new(concurrency: usize, timeout: Duration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let function = Function {
            name: "rustwren".to_owned(),
            bootstrap: env!("CARGO_BIN_EXE_rustwren-runtime").into(),
            timeout,
            memory_mb: 1769,
            environment: vec![
                variable("RUSTWREN__STORAGE__BACKEND", "local"),
                variable("RUSTWREN__STORAGE__ROOT", &path("storage")),
                variable("RUSTWREN_CACHE_DIR", &path("cache")),
                variable("AWS_SECRET_ACCESS_KEY", "of the function"),
            ],
            concurrency,
            event_retries: 0,
        };
        let front = Arc::new(LambdaFront::start(function));
        let storage: Arc<dyn Storage> = Arc::new(DirectoryStorage::open(path("storage")).unwrap());
        let program = ProgramImage::of_this_program(None).unwrap();
        storage.put(&image_key(program.id()).unwrap(), program.packed().unwrap()).await.unwrap();
        Self { front, storage, image: program.id(), dir }
    }

    /// Calls the function, up to so many times at once.
    pub(crate) fn invoker(&self, workers: &str) -> LambdaInvoker {
        let cache = self.dir.path().to_str().unwrap();
        let settings = Settings::of_program(&COMPUTE, cache, [("workers", workers)]).unwrap();
        let keys = Keys { id: "id".to_owned(), secret: "secret".to_owned() };
        let access =
            Access { endpoint: Some(self.front.endpoint()), credentials: Some(keys), ..Access::default() };
        let config = ComputeConfig { access, ..ComputeConfig::from_settings(&settings).unwrap() };
        LambdaInvoker::new(config, Arc::clone(&self.storage))
    }
}
