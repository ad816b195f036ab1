//! The provisioner as a configuration chooses it.

use std::sync::Arc;

use async_trait::async_trait;
use rustwren_core::clock::{Clock, TokioClock};
use rustwren_core::config::{ProvisionerFactory, Setup};
use rustwren_core::error::Result;
use rustwren_core::provision::course::Resource;
use rustwren_core::provision::{Provisioner, SetupOption};

use super::account::Account;
use super::app::App;
use super::arm::Arm;
use super::child::Child;
use super::component::Component;
use super::elsewhere::Elsewhere;
use super::grant::{BLOB_OWNER, BLOBS, Grant, QUEUES, Who};
use super::group::Group;
use super::key::Key;
use super::package;
use super::place::Place;
use super::plan::Hosting;
use super::provisioner::AzureProvisioner;
use super::published::Published;
use super::spec::Spec;
use super::workspace::Workspace;
use crate::client::Credentials;

const AZURE: &str = "azure";

/// Makes the provisioner of Azure.
#[derive(Clone)]
pub struct AzureProvisionerFactory {
    clock: Arc<dyn Clock>,
    credentials: Option<Credentials>,
}

impl std::fmt::Debug for AzureProvisionerFactory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AzureProvisionerFactory")
    }
}

impl Default for AzureProvisionerFactory {
    fn default() -> Self {
        Self::with_clock(Arc::new(TokioClock::new()))
    }
}

impl AzureProvisionerFactory {
    /// One that waits by this clock.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self { clock, credentials: None }
    }

    /// Calls with these credentials, and not with those of the environment. Keys and signatures are none here.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }
}

#[async_trait]
impl ProvisionerFactory for AzureProvisionerFactory {
    fn backend(&self) -> &'static str {
        AZURE
    }

    fn takes(&self) -> &'static [SetupOption] {
        &[SetupOption::Runtime]
    }

    async fn build(&self, setup: &Setup) -> Result<Option<Arc<dyn Provisioner>>> {
        // An account without workers is made with two commands of Azure's own; there is nothing to set up for it.
        let Some(settings) = setup.compute_of(AZURE) else { return Ok(None) };
        if settings.get_str("subscription")?.is_none() {
            // The app was made by other means: jobs need nothing of what setup does.
            let error = settings.error("subscription", "must be set for `rustwren setup`");
            return Ok(Some(Arc::new(Elsewhere(error))));
        }
        let mut spec = Spec::from_setup(setup, settings)?;
        spec.access.credentials.clone_from(&self.credentials);
        let arm = Arm::new(spec.management.clone(), spec.access.clone());
        let source = package::source(setup.options.runtime.clone());
        let parts = parts(&spec);
        let place = Place { arm, spec, source };
        Ok(Some(Arc::new(AzureProvisioner { place, clock: Arc::clone(&self.clock), parts })))
    }
}

fn parts(spec: &Spec) -> Vec<Box<dyn Resource<Place>>> {
    let mut parts: Vec<Box<dyn Resource<Place>>> = vec![
        Box::new(Group),
        Box::new(Account),
        Box::new(Child::container(spec.container.clone(), "for jobs")),
        Box::new(Child::container(spec.packages(), "for the runtime")),
        Box::new(Child::queue(spec.queue.clone(), "for invocations")),
        Box::new(Child::queue(format!("{}-poison", spec.queue), "for those that nobody can run")),
        Box::new(Hosting),
    ];
    // The app says where lines go; where none are kept any more, it is told so before what keeps them is removed.
    if spec.logs.is_some() {
        parts.extend::<[Box<dyn Resource<Place>>; 3]>([
            Box::new(Workspace),
            Box::new(Component),
            Box::new(App),
        ]);
    } else {
        parts.extend::<[Box<dyn Resource<Place>>; 3]>([
            Box::new(App),
            Box::new(Component),
            Box::new(Workspace),
        ]);
    }
    let mut grant = |who: &Who, role| parts.push(Box::new(Grant { who: who.clone(), role }));
    grant(&Who::App, BLOB_OWNER);
    grant(&Who::App, QUEUES);
    for runner in &spec.runners {
        let who = Who::Object(runner.clone());
        grant(&who, BLOBS);
        grant(&who, QUEUES);
    }
    parts.push(Box::new(Published));
    if let Some(file) = &spec.key_file {
        parts.push(Box::new(Key { file: file.clone() }));
    }
    parts
}
