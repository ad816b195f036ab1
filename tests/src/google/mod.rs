//! A service of Google's in small: instances of either route behind one address. Where calls are to be let in by ID
//! tokens, a test puts a front of its own before it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rustwren::blocking::block_on;
use rustwren::config::LoadOptions;
use rustwren::{Executor, Result};
use tempfile::TempDir;

use crate::fleet::{self, Balancer, Kind};
use crate::grouped::Place;
use crate::listening::Listening;

mod instance;

/// How workers are deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// The runtime alone.
    Run,
    /// Google's functions framework with the shim.
    Functions,
}

/// How a service is made.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// What its instances are.
    pub route: Route,
    /// How many. Each takes one invocation at a time.
    pub instances: usize,
    /// Their variables besides those that every one has. Unless these name a storage it is a folder.
    pub variables: &'a [(&'a str, &'a str)],
    /// How long an invocation may last.
    pub timeout: &'a str,
}

impl Plan<'_> {
    /// Two instances in which invocations may last as long as at Google.
    pub fn of(route: Route) -> Self {
        Self { route, instances: 2, variables: &[], timeout: "1h" }
    }
}

/// Instances, and what stands in front of them. All of it ends with this value.
#[derive(Debug)]
pub struct Service {
    route: Route,
    timeout: String,
    balancer: Balancer,
    instances: Vec<Listening>,
    variables: Vec<(String, String)>,
    folder: TempDir,
}

impl Service {
    /// Starts instances behind nginx.
    pub fn start(plan: Plan<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        // For nginx's part of what setup writes, which is said to do for Google's way of spreading calls.
        fleet::configure(&at("fleet.toml"), "http://127.0.0.1:1", 1);
        fleet::set_up(&at("fleet.toml"), &at("fleet"), false);
        fs::create_dir(at("balancer")).unwrap();
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let folder_storage = [
            ("RUSTWREN__STORAGE__BACKEND", "local".to_owned()),
            ("RUSTWREN__STORAGE__ROOT", text(at("objects"))),
        ];
        let own_storage = plan.variables.iter().any(|(name, _)| *name == folder_storage[0].0);
        let own = [
            ("RUSTWREN__COMPUTE__WORKERS", "1".to_owned()),
            ("RUSTWREN__COMPUTE__DRAIN", "6s".to_owned()),
            ("RUSTWREN_CACHE_DIR", text(fleet::unpacked())),
        ];
        let given = plan.variables.iter().map(|&(name, value)| (name, value.to_owned()));
        let all = own.into_iter().chain(given).chain(folder_storage.into_iter().filter(|_| !own_storage));
        let variables: Vec<_> = all.map(|(name, value)| (name.to_owned(), value)).collect();
        let instances: Vec<_> =
            (0..plan.instances).map(|_| instance::start(plan.route, folder.path(), &variables)).collect();
        let addresses: Vec<_> = instances.iter().map(Listening::address).collect();
        let balancer = Balancer::start(Kind::Nginx, &at("fleet"), &at("balancer"), &addresses);
        let (route, timeout) = (plan.route, plan.timeout.to_owned());
        Self { route, timeout, balancer, instances, variables, folder }
    }

    /// Where clients call.
    pub fn address(&self) -> SocketAddr {
        self.balancer.address()
    }

    /// Where client and workers keep their objects.
    pub fn objects(&self) -> PathBuf {
        self.folder.path().join("objects")
    }

    /// The instances.
    pub fn instances(&self) -> &[Listening] {
        &self.instances
    }

    /// Takes one out, without a word to whatever stands in front.
    pub fn remove(&mut self, index: usize) -> Listening {
        self.instances.remove(index)
    }

    /// Starts one more.
    pub fn add(&mut self) {
        self.instances.push(instance::start(self.route, self.folder.path(), &self.variables));
        self.balancer.reload(&self.instances.iter().map(Listening::address).collect::<Vec<_>>());
    }

    /// What clients load, to call this address.
    pub fn options(&self, url: &str) -> LoadOptions {
        LoadOptions::of_process()
            .search(false)
            .set("storage.backend", "local")
            .set("storage.root", self.objects().to_string_lossy().into_owned())
            .set("compute.backend", "gcp")
            .set("compute.url", url)
            .set("compute.auth", "none")
            .set("compute.route", if self.route == Route::Run { "run" } else { "functions" })
            .set("compute.timeout", self.timeout.as_str())
            .set("compute.workers", self.instances.len() as u64)
            .set("client.progress", "never")
            .set("client.logs", "none")
    }

    /// What all of it has said, for a test that fails.
    pub fn log(&self) -> String {
        let mut log = self.balancer.log();
        for instance in &self.instances {
            log = format!("{log}--- instance {}\n{}\n", instance.address(), instance.log());
        }
        log
    }

    /// A folder for a test's own files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Place for Service {
    fn connect(&self) -> Result<Executor> {
        block_on(Executor::connect_with(&self.options(&format!("http://{}", self.address()))))
    }
}
