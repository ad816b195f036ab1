//! The provisioner as a configuration chooses it.

use std::sync::Arc;

use async_trait::async_trait;
use rustwren_core::clock::{Clock, TokioClock};
use rustwren_core::config::{ProvisionerFactory, Setup};
use rustwren_core::error::Result;
use rustwren_core::provision::course::Resource;
use rustwren_core::provision::{Provisioner, SetupOption};

use super::access::{Grant, Target};
use super::account::Account;
use super::archive::Archive;
use super::bucket::Bucket;
use super::clients::Clients;
use super::function::Function;
use super::package::Source;
use super::provisioner::GcpProvisioner;
use super::service::Service;
use super::spec::Spec;
use crate::config::functions::Route;

const GCP: &str = "gcp";
/// Reading, writing, listing and removing objects, and nothing else.
const OBJECTS: &str = "roles/storage.objectUser";
const INVOKER: &str = "roles/run.invoker";

/// Makes the provisioner of Google Cloud.
#[derive(Clone)]
pub struct GcpProvisionerFactory(Arc<dyn Clock>);

impl std::fmt::Debug for GcpProvisionerFactory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GcpProvisionerFactory")
    }
}

impl Default for GcpProvisionerFactory {
    fn default() -> Self {
        Self::with_clock(Arc::new(TokioClock::new()))
    }
}

impl GcpProvisionerFactory {
    /// One that waits by this clock.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self(clock)
    }
}

#[async_trait]
impl ProvisionerFactory for GcpProvisionerFactory {
    fn backend(&self) -> &'static str {
        GCP
    }

    fn takes(&self) -> &'static [SetupOption] {
        &[SetupOption::Runtime]
    }

    async fn build(&self, setup: &Setup) -> Result<Option<Arc<dyn Provisioner>>> {
        // A bucket without workers is made with one command of Google's own; there is nothing to set up for it.
        let Some(settings) = setup.compute_of(GCP) else { return Ok(None) };
        let spec = Arc::new(Spec::from_setup(setup, settings)?);
        let google = Arc::new(Clients::new(spec.access.clone(), spec.project.clone()));
        let source =
            Arc::new(Source::new(setup.options.runtime.clone(), spec.compute.route, spec.compute.platform()));
        let parts = parts(&spec, &source);
        Ok(Some(Arc::new(GcpProvisioner { google, spec, clock: Arc::clone(&self.0), parts })))
    }
}

fn parts(spec: &Arc<Spec>, source: &Arc<Source>) -> Vec<Box<dyn Resource<Clients>>> {
    let mut parts: Vec<Box<dyn Resource<Clients>>> = Vec::new();
    if spec.account.is_none() {
        parts.push(Box::new(Account { project: spec.project.clone(), name: spec.own_account() }));
    }
    parts.push(Box::new(Bucket { name: spec.bucket.clone(), region: spec.region.clone() }));
    parts.push(Box::new(Grant {
        target: Target::Bucket(spec.bucket.clone()),
        role: OBJECTS,
        members: vec![format!("serviceAccount:{}", spec.account())],
        condition: spec.condition(),
    }));
    let archive =
        || Archive { bucket: spec.bucket.clone(), prefix: spec.prefix.clone(), source: Arc::clone(source) };
    match spec.compute.route {
        Route::Run => {
            parts.push(Box::new(archive()));
            parts.push(Box::new(Service { spec: Arc::clone(spec), archive: archive() }));
        }
        Route::Functions => {
            parts.push(Box::new(Function { spec: Arc::clone(spec), source: Arc::clone(source) }));
        }
    }
    if !spec.callers.is_empty() {
        parts.push(Box::new(Grant {
            target: Target::Service(spec.service_name()),
            role: INVOKER,
            members: spec.callers.clone(),
            condition: None,
        }));
    }
    parts
}
