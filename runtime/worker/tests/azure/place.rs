//! A deployed function app: the runtime's own binary under a host of functions, with a directory as its storage and the
//! queues of Azurite.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use rustwren_azure::FunctionsInvoker;
use rustwren_azure::client::{Access, Credentials};
use rustwren_azure::config::{COMPUTE, ComputeConfig};
use rustwren_azure::queue::Queue;
use rustwren_core::config::Settings;
use rustwren_core::image::{ImageId, ProgramImage, image_key};
use rustwren_core::protocol::queued::FUNCTION;
use rustwren_core::storage::Storage;
use rustwren_directory::DirectoryStorage;
use rustwren_testkit::standins::Azurite;
use rustwren_testkit::standins::functions_host::{FunctionApp, FunctionsHost, QueueTrigger};
use tempfile::TempDir;

const KEY: &str = "the-function-key";
/// The queue's name.
const QUEUE: &str = "rustwren";

/// How an app is made.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) instances: usize,
    pub(crate) per_instance: usize,
    /// Whether there is a queue.
    pub(crate) queue: bool,
    pub(crate) encoded_twice: bool,
    /// Further app settings.
    pub(crate) settings: Vec<(&'static str, &'static str)>,
}

impl Default for Plan {
    fn default() -> Self {
        Self { instances: 1, per_instance: 1, queue: false, encoded_twice: true, settings: Vec::new() }
    }
}

pub(crate) struct Place {
    pub(crate) host: Arc<FunctionsHost>,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) image: ImageId,
    azurite: Option<Azurite>,
    /// Outlives the host, whose handlers work in it.
    dir: TempDir,
}

impl Place {
    pub(crate) async fn new(plan: Plan) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Function processes, which are others, pass through.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("key"), KEY).unwrap();
        let azurite = plan.queue.then(Azurite::start);
        let trigger = match &azurite {
            None => None,
            Some(azurite) => {
                let url = format!("{}/{QUEUE}", azurite.queue_endpoint());
                Some(QueueTrigger {
                    function: FUNCTION.to_owned(),
                    poison_url: format!("{url}-poison"),
                    url,
                    sas: azurite.sas("2125-01-01T00:00:00Z"),
                    max_dequeue: 3,
                    encoded_twice: plan.encoded_twice,
                })
            }
        };
        let workers = plan.per_instance.to_string();
        let (root, cache) = (path("storage"), path("cache"));
        let own = [
            ("RUSTWREN__STORAGE__BACKEND", "local"),
            ("RUSTWREN__STORAGE__ROOT", &root),
            ("RUSTWREN__COMPUTE__WORKERS", &workers),
            ("RUSTWREN_CACHE_DIR", &cache),
        ];
        let settings = own.into_iter().chain(plan.settings.iter().copied());
        let host = FunctionsHost::start(FunctionApp {
            handler: env!("CARGO_BIN_EXE_rustwren-runtime").into(),
            settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            http_path: "/api/v1/invoke".to_owned(),
            key: KEY.to_owned(),
            instances: plan.instances,
            per_instance: plan.per_instance,
            http_limit: Duration::from_secs(230),
            queue: trigger,
            console: None,
        });
        let storage: Arc<dyn Storage> = Arc::new(DirectoryStorage::open(root).unwrap());
        let program = ProgramImage::of_this_program(None).unwrap();
        storage.put(&image_key(program.id()).unwrap(), program.packed().unwrap()).await.unwrap();
        Self { host: Arc::new(host), storage, image: program.id(), azurite, dir }
    }

    /// Calls the app, up to so many times at once.
    pub(crate) fn invoker(&self, trigger: &str, workers: usize) -> FunctionsInvoker {
        let key = self.dir.path().join("key");
        let (url, workers) = (self.host.url(), workers.to_string());
        let pairs = [
            ("url", url.as_str()),
            ("key_file", key.to_str().unwrap()),
            ("queue", QUEUE),
            ("trigger", trigger),
            ("workers", &workers),
        ];
        let settings = Settings::of_program(&COMPUTE, "/cache", pairs).unwrap();
        let mut config = ComputeConfig::from_settings(&settings).unwrap();
        if let Some(azurite) = &self.azurite {
            config.access = access(azurite);
        }
        FunctionsInvoker::new(&config, Arc::clone(&self.storage)).unwrap()
    }

    /// A queue of the app: its own, or that of what is poison.
    pub(crate) fn queue(&self, suffix: &str) -> Queue {
        let azurite = self.azurite.as_ref().unwrap();
        Queue::open(&access(azurite), &format!("{QUEUE}{suffix}")).unwrap()
    }
}

fn access(azurite: &Azurite) -> Access {
    Access {
        account: Some(Azurite::ACCOUNT.to_owned()),
        endpoint: Some(azurite.queue_endpoint()),
        credentials: Some(Credentials::Key(Azurite::KEY.to_owned())),
        ..Access::default()
    }
}
