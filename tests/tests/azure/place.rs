//! A deployment: a function app whose custom handler is this program, a folder as its storage, and perhaps a queue of
//! Azurite.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustwren::Executor;
use rustwren::blocking::block_on;
use rustwren::config::LoadOptions;
use rustwren_core::protocol::queued::FUNCTION;
use rustwren_testkit::standins::Azurite;
use rustwren_testkit::standins::functions_host::{Console, FunctionApp, FunctionsHost, QueueTrigger};
use tempfile::TempDir;

const KEY: &str = "the-function-key";
const QUEUE: &str = "rustwren";
/// What queues are called with. Configurations have no place for secrets.
pub(crate) const CREDENTIALS: [(&str, &str); 2] =
    [("AZURE_STORAGE_ACCOUNT", Azurite::ACCOUNT), ("AZURE_STORAGE_KEY", Azurite::KEY)];
/// The suites expect two workers.
const WORKERS: u64 = 2;

/// How an app is made.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) instances: usize,
    /// What the platform lets into an instance at once.
    pub(crate) per_instance: usize,
    /// What the runtime in it does at once.
    pub(crate) workers: usize,
    /// How long a call may take.
    pub(crate) limit: Duration,
    pub(crate) queue: bool,
    /// Further app settings.
    pub(crate) settings: Vec<(&'static str, &'static str)>,
    /// Where lines go that handlers print.
    pub(crate) console: Option<Console>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            instances: 1,
            per_instance: 1,
            workers: 1,
            limit: Duration::from_secs(230),
            queue: false,
            settings: Vec::new(),
            console: None,
        }
    }
}

pub(crate) struct Place {
    pub(crate) host: FunctionsHost,
    azurite: Option<Azurite>,
    /// Outlives the host, whose handlers work in it.
    dir: TempDir,
}

impl Place {
    pub(crate) fn new(plan: &Plan) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Function processes, which are other users, pass through.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        fs::write(dir.path().join("key"), KEY).unwrap();
        // Made here, so that it is this user's alone, whoever comes first.
        fs::create_dir(dir.path().join("storage")).unwrap();
        fs::set_permissions(dir.path().join("storage"), Permissions::from_mode(0o700)).unwrap();
        let azurite = plan.queue.then(Azurite::start);
        let queue = azurite.as_ref().map(|azurite| {
            let url = format!("{}/{QUEUE}", azurite.queue_endpoint());
            QueueTrigger {
                function: FUNCTION.to_owned(),
                poison_url: format!("{url}-poison"),
                url,
                sas: azurite.sas("2125-01-01T00:00:00Z"),
                max_dequeue: 3,
                encoded_twice: true,
            }
        });
        let text = |path: &Path| path.to_str().expect("a folder with a readable name").to_owned();
        let workers = plan.workers.to_string();
        let (root, unpacked) = (text(&dir.path().join("storage")), text(&unpacked()));
        let own = [
            ("RUSTWREN__STORAGE__BACKEND", "local"),
            ("RUSTWREN__STORAGE__ROOT", root.as_str()),
            ("RUSTWREN__COMPUTE__WORKERS", &workers),
            // One for all instances: an image is unpacked once for all of them.
            ("RUSTWREN_CACHE_DIR", &unpacked),
            ("AzureWebJobsStorage__accountName", "the function's own"),
        ];
        let settings = own.into_iter().chain(plan.settings.iter().copied());
        let host = FunctionsHost::start(FunctionApp {
            handler: std::env::current_exe().expect("this program is somewhere"),
            settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            http_path: "/api/v1/invoke".to_owned(),
            key: KEY.to_owned(),
            instances: plan.instances,
            per_instance: plan.per_instance,
            http_limit: plan.limit,
            queue,
            console: plan.console.clone(),
        });
        let place = Self { host, azurite, dir };
        fs::write(place.config(), place.text()).unwrap();
        place
    }

    /// A configuration file for this place.
    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("rustwren.toml")
    }

    fn text(&self) -> String {
        let mut text = format!(
            "[storage]\nbackend = \"local\"\nroot = \"storage\"\n\n[compute]\nbackend = \"azure\"\nurl = \"{}\"\n\
             key_file = \"key\"\nworkers = {WORKERS}\n",
            self.host.url()
        );
        if let Some(azurite) = &self.azurite {
            text = format!("{text}queue = \"{QUEUE}\"\nendpoint = \"{}\"\n", azurite.queue_endpoint());
        }
        text
    }

    pub(crate) fn options(&self) -> LoadOptions {
        LoadOptions::of_process()
            .file(self.config())
            .set("client.progress", "never")
            .set("client.logs", "none")
    }

    pub(crate) fn connect(&self, workers: u64) -> Executor {
        block_on(Executor::connect_with(&self.options().set("compute.workers", workers))).unwrap()
    }

    /// A folder that everybody may write to.
    pub(crate) fn shared(&self) -> PathBuf {
        let shared = self.dir.path().join("shared");
        fs::create_dir_all(&shared).unwrap();
        fs::set_permissions(&shared, Permissions::from_mode(0o777)).unwrap();
        shared
    }
}

/// Where handlers keep unpacked programs: one place for every run, since unpacking this program, with all that is in it
/// for debuggers, takes longer than most tests.
fn unpacked() -> PathBuf {
    std::env::current_exe().unwrap().with_file_name("azure-cache")
}
