//! The route `run`: a service of Cloud Run that is deployed from an archive, without a build and without a shim.

use std::sync::Arc;

use async_trait::async_trait;
use google_cloud_gax::options::RequestOptionsBuilder as _;
use google_cloud_run_v2::model::source_code::CloudStorageSource;
use google_cloud_run_v2::model::{
    Container, EnvVar, IngressTraffic, ResourceRequirements, RevisionScaling, RevisionTemplate,
    Service as Found, SourceCode,
};
use google_cloud_wkt::Duration;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::course::{Patience, Planned, Removal, Resource};
use rustwren_core::provision::{Change, RUNTIME, Step};

use super::archive::Archive;
use super::clients::{Clients, found};
use super::fields::{self, Field};
use super::marks::{LABEL, OURS, is_ours, new_account};
use super::operation;
use super::spec::Spec;
use crate::rest::Api;

const KIND: &str = "service";
/// What setup is in charge of.
pub(super) const FIELDS: &[Field<Found>] = &[
    Field::told("runtime", |service| source(service).map(|source| source.object.clone()).unwrap_or_default()),
    Field::told("bucket of the runtime", |service| {
        source(service).map(|source| source.bucket.clone()).unwrap_or_default()
    }),
    Field::told("base image", |service| of_container(service, |it| it.base_image_uri.clone())),
    Field::untold("command", |service| of_container(service, |it| format!("{:?}", it.command))),
    Field::untold("arguments", |service| of_container(service, |it| format!("{:?}", it.args))),
    Field::untold("variables", |service| of_container(service, |it| format!("{:?}", it.env))),
    Field::told("memory", |service| of_container(service, |it| limit(it, "memory"))),
    Field::told("cpu", |service| of_container(service, |it| limit(it, "cpu"))),
    Field::told("timeout", |service| {
        of_template(service, |it| it.timeout.map(String::from).unwrap_or_default())
    }),
    Field::told("service account", |service| of_template(service, |it| it.service_account.clone())),
    Field::told("requests at once", |service| {
        of_template(service, |it| it.max_instance_request_concurrency.to_string())
    }),
    Field::told("instances", |service| {
        of_template(service, |it| {
            it.scaling.as_ref().map(|it| it.max_instance_count.to_string()).unwrap_or_default()
        })
    }),
];

fn of_template(service: &Found, of: impl FnOnce(&RevisionTemplate) -> String) -> String {
    service.template.as_ref().map(of).unwrap_or_default()
}

fn of_container(service: &Found, of: impl FnOnce(&Container) -> String) -> String {
    of_template(service, |it| it.containers.first().map(of).unwrap_or_default())
}

fn limit(container: &Container, name: &str) -> String {
    let limits = container.resources.as_ref().map(|resources| &resources.limits);
    limits.and_then(|limits| limits.get(name)).cloned().unwrap_or_default()
}

/// Where the runtime of a service is.
pub(super) fn source(service: &Found) -> Option<&CloudStorageSource> {
    let container = service.template.as_ref()?.containers.first()?;
    container.source_code.as_ref()?.cloud_storage_source().map(|source| &**source)
}

#[derive(Debug)]
pub(super) struct Service {
    pub(super) spec: Arc<Spec>,
    pub(super) archive: Archive,
}

/// An error for a thing of the right name that setup has not made.
pub(super) fn foreign(kind: &str, name: &str) -> Error {
    Error::new(ErrorKind::Config, format!("the {kind} {name} is there and was not made by setup"))
        .with_hint("choose another name as `service` in [compute], or remove it")
}

/// A service as the configuration has it, of the runtime in this object.
pub(super) fn wanted(spec: &Spec, object: &str) -> Found {
    let variables = spec.variables.iter().map(|(name, value)| EnvVar::new().set_name(name).set_value(value));
    let source = CloudStorageSource::new().set_bucket(&spec.bucket).set_object(object);
    let container = Container::new()
        .set_image("scratch")
        .set_base_image_uri("osonly24")
        .set_source_code(SourceCode::new().set_cloud_storage_source(source))
        .set_command([format!("./{RUNTIME}")])
        .set_args(["serve", "--platform-auth", "--listen", "0.0.0.0:$PORT"])
        .set_env(variables)
        .set_resources(
            ResourceRequirements::new()
                .set_limits([("cpu", spec.cpu.to_string()), ("memory", format!("{}Mi", spec.memory))])
                .set_cpu_idle(true)
                .set_startup_cpu_boost(true),
        );
    let template = RevisionTemplate::new()
        .set_timeout(Duration::clamp(spec.seconds().into(), 0))
        .set_service_account(spec.account())
        .set_max_instance_request_concurrency(1)
        .set_scaling(RevisionScaling::new().set_max_instance_count(spec.instances()))
        .set_containers([container]);
    Found::new().set_labels([(LABEL, OURS)]).set_ingress(IngressTraffic::All).set_template(template)
}

impl Service {
    fn wanted(&self) -> Result<Found> {
        Ok(wanted(&self.spec, &self.archive.object()?))
    }

    async fn find(&self, google: &Clients) -> Result<Option<Found>> {
        Ok(google.service(&self.spec.service_name()).await?)
    }
}

#[async_trait]
impl Resource<Clients> for Service {
    async fn plan(&self, google: &Clients) -> Result<Planned> {
        let step = |change| Step::new(KIND, self.spec.service.clone(), change).about(self.spec.about());
        match self.find(google).await? {
            None => Ok(step(Change::Create).into()),
            Some(found) if is_ours(&found.labels) => {
                Ok(fields::compare(step(Change::None), FIELDS, &found, &self.wanted()?).into())
            }
            Some(_) => Err(foreign(KIND, &self.spec.service)),
        }
    }

    async fn apply(&self, google: &Clients, step: &Step, patience: Patience<'_>) -> Result<()> {
        let (spec, wanted) = (&self.spec, self.wanted()?);
        let attempt = format!("deploying the service {}", spec.service);
        let services = google.services(&attempt).await?;
        if step.change == Change::Create {
            let create = |name| {
                let call = services.create_service().set_parent(spec.location());
                let call = call.set_service_id(&spec.service).set_service(wanted.clone());
                call.with_polling_error_policy(name).poller()
            };
            let begun = operation::begin(google, Api::Run, &attempt, patience, new_account, create).await?;
            return begun.over(google, patience).await;
        }
        let wanted = wanted.set_name(spec.service_name());
        let update = |name| {
            let call = services.update_service().set_service(wanted.clone());
            call.with_polling_error_policy(name).poller()
        };
        let begun = operation::begin(google, Api::Run, &attempt, patience, new_account, update).await?;
        begun.over(google, patience).await
    }

    async fn removal(&self, google: &Clients) -> Result<Removal> {
        let name = &self.spec.service;
        Ok(match self.find(google).await? {
            None => Removal::Nothing,
            Some(found) if is_ours(&found.labels) => {
                Removal::Ours(Step::new(KIND, name.clone(), Change::Delete))
            }
            Some(_) => Removal::Stays(format!("the service {name} was not made by setup, and stays")),
        })
    }

    async fn remove(&self, google: &Clients, _: &Step, patience: Patience<'_>) -> Result<()> {
        let attempt = format!("removing the service {}", self.spec.service);
        let services = google.services(&attempt).await?;
        let remove = |name| {
            let call = services.delete_service().set_name(self.spec.service_name());
            call.with_polling_error_policy(name).poller()
        };
        match found(operation::begin(google, Api::Run, &attempt, patience, |_| None, remove).await)? {
            Some(begun) => begun.over(google, patience).await,
            None => Ok(()),
        }
    }
}
