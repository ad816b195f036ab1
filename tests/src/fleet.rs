//! HTTP workers as people run them: several runtimes behind a load balancer, from what `rustwren setup` writes.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rustwren::config::{Config, LoadOptions};
use rustwren::provision::{SetupOptions, Unwatched};
use rustwren::{Executor, Result};
use tempfile::TempDir;

use crate::listening::Listening;

pub mod balancer;
mod runtime;

pub use balancer::{Balancer, Kind};
pub(crate) use runtime::unpacked;

/// The argument that makes a program of tests a runtime, which is the runtime's own.
pub(crate) const SERVE: &str = "serve";

/// Whether this program was started as a runtime.
pub fn serves() -> bool {
    std::env::args().nth(1).is_some_and(|argument| argument == SERVE)
}

/// A program that `scripts/test` has put under `.cache/bin`, or that the machine has.
///
/// # Panics
///
/// Where there is none: a test that goes on without it proves nothing.
pub fn tool(name: &str) -> PathBuf {
    let cached = cache().join("bin").join(name);
    if cached.is_file() {
        return cached;
    }
    let environment = rustwren_core::env::Environment::of_process();
    let folders = environment.get("PATH").map(std::env::split_paths).into_iter().flatten();
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("there is no {name}: run scripts/test once, which brings it"))
}

/// Where `scripts/test` puts what tests need.
pub fn cache() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache")
}

/// How a fleet is made.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// What stands in front of it; without it clients call the first runtime.
    pub balancer: Option<Kind>,
    /// Runtimes.
    pub runtimes: usize,
    /// Function processes of each.
    pub workers: u64,
    /// Settings of the runtimes, each a key and its value.
    pub settings: &'a [(&'a str, &'a str)],
}

/// Runtimes, what stands in front of them, and what `rustwren setup` has made for them, in a folder of their own. All
/// of it ends with this value.
#[derive(Debug)]
pub struct Fleet {
    // Dropped first: who goes first is not missed by those behind.
    balancer: Option<Balancer>,
    runtimes: Vec<Listening>,
    settings: Vec<(String, String)>,
    config: PathBuf,
    folder: TempDir,
}

impl Fleet {
    /// Sets up, starts runtimes and what stands in front of them.
    pub fn start(plan: Plan<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let config = at("rustwren.toml");
        // The address is known when there is one; setup has no use for it.
        configure(&config, "http://127.0.0.1:1", 1);
        set_up(&config, &at("fleet"), false);
        let mut settings = vec![("compute.workers".to_owned(), plan.workers.to_string())];
        settings.extend(plan.settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let mut fleet = Self { balancer: None, runtimes: Vec::new(), settings, config, folder };
        for _ in 0..plan.runtimes {
            fleet.runtimes.push(fleet.start_runtime());
        }
        if let Some(kind) = plan.balancer {
            let folder = fleet.at("balancer");
            fs::create_dir(&folder).unwrap();
            fleet.balancer = Some(Balancer::start(kind, &fleet.at("fleet"), &folder, &fleet.addresses()));
        }
        configure(&fleet.config, &format!("http://{}", fleet.address()), plan.workers * plan.runtimes as u64);
        fleet
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.runtimes.iter().map(Listening::address).collect()
    }

    /// Where clients call.
    pub fn address(&self) -> SocketAddr {
        self.balancer.as_ref().map_or_else(|| self.runtimes[0].address(), Balancer::address)
    }

    /// The configuration of its clients.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The runtimes.
    pub fn runtimes(&self) -> &[Listening] {
        &self.runtimes
    }

    /// The file of secrets.
    pub fn secret_file(&self) -> PathBuf {
        self.at("rustwren.secret")
    }

    /// The secret that calls are signed with.
    pub fn secret(&self) -> String {
        self.secrets().remove(0)
    }

    /// The secrets, the one that calls are signed with first.
    pub fn secrets(&self) -> Vec<String> {
        let text = fs::read_to_string(self.secret_file()).unwrap();
        text.lines().filter(|line| !line.starts_with('#')).map(ToOwned::to_owned).collect()
    }

    /// Takes one step of a rotation, as `rustwren setup --rotate` does.
    pub fn rotate(&self) {
        set_up(&self.config, &self.at("fleet"), true);
    }

    /// Starts a runtime that nobody calls yet.
    pub fn start_runtime(&self) -> Listening {
        let home = self.folder.path();
        runtime::start(home, &self.at("fleet"), &self.secret_file(), &self.at("objects"), &self.settings)
    }

    /// Starts a runtime and has the balancer know of it.
    pub fn add(&mut self) {
        self.runtimes.push(self.start_runtime());
        self.reload();
    }

    /// Takes a runtime out, without a word to the balancer.
    pub fn remove(&mut self, index: usize) -> Listening {
        self.runtimes.remove(index)
    }

    /// Tells the balancer which runtimes there are.
    pub fn reload(&self) {
        if let Some(balancer) = &self.balancer {
            balancer.reload(&self.addresses());
        }
    }

    /// What clients load.
    pub fn options(&self) -> LoadOptions {
        LoadOptions::of_process()
            .file(&self.config)
            .set("client.progress", "never")
            .set("client.logs", "none")
    }

    /// A client.
    pub async fn connect(&self) -> Result<Executor> {
        Executor::connect_with(&self.options()).await
    }

    /// What balancer and runtimes have said, for a test that fails.
    pub fn log(&self) -> String {
        let mut log = self.balancer.as_ref().map(Balancer::log).unwrap_or_default();
        for runtime in &self.runtimes {
            log = format!("{log}--- runtime {}\n{}\n", runtime.address(), runtime.log());
        }
        log
    }
}

/// Writes the configuration of a fleet's clients.
pub fn configure(path: &Path, url: &str, workers: u64) {
    let text = format!(
        "[storage]\nbackend = \"http\"\nurl = \"{url}\"\nsecret_file = \"rustwren.secret\"\n\n\
         [compute]\nbackend = \"http\"\nurl = \"{url}\"\nsecret_file = \"rustwren.secret\"\nworkers = {workers}\n"
    );
    fs::write(path, text).unwrap();
}

/// `rustwren setup --yes --folder FOLDER`, with `--rotate` where that is wanted.
pub fn set_up(config: &Path, folder: &Path, rotate: bool) {
    let registry = rustwren::__cli::registry();
    let config = Config::load(&registry, &LoadOptions::empty().file(config)).unwrap();
    let mut options = SetupOptions::default();
    options.folder = Some(folder.to_owned());
    options.rotate = rotate;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for named in registry.build_provisioners(&config, &options).await.unwrap() {
            let plan = named.provisioner.plan().await.unwrap();
            named.provisioner.apply(&plan, &Unwatched).await.unwrap();
        }
    });
}
