//! The route `functions`: a function whose source is the runtime with a shim in front of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use google_cloud_functions_v2::model::function::State;
use google_cloud_functions_v2::model::service_config::IngressSettings;
use google_cloud_functions_v2::model::{
    BuildConfig, Function as Found, ServiceConfig, Source as Place, StorageSource,
};
use google_cloud_gax::options::RequestOptionsBuilder as _;
use google_cloud_wkt::FieldMask;
use http::Method;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::course::{Patience, Planned, Removal, Resource};
use rustwren_core::provision::{Change, Step};

use super::clients::{Clients, found};
use super::fields::{self, Field};
use super::marks::{LABEL, OURS, is_ours, new_account};
use super::operation;
use super::package::Source;
use super::service::foreign;
use super::spec::Spec;
use crate::refusal::Refusal;
use crate::rest::{Api, Request};

const KIND: &str = "function";
/// Where the hash of the source stands: Google tells nothing of what it has built.
const SOURCE_LABEL: &str = "rustwren-source";
/// What setup is in charge of.
pub(super) const FIELDS: &[Field<Found>] = &[
    Field::told("runtime", |function| hash(function).to_owned()),
    Field::told("Node", |function| of_build(function, |it| it.runtime.clone())),
    Field::told("entry point", |function| of_build(function, |it| it.entry_point.clone())),
    Field::untold("variables", |function| {
        of_service(function, |it| {
            format!("{:?}", it.environment_variables.iter().collect::<BTreeMap<_, _>>())
        })
    }),
    Field::told("memory", |function| of_service(function, |it| it.available_memory.clone())),
    Field::told("cpu", |function| of_service(function, |it| it.available_cpu.clone())),
    Field::told("timeout", |function| of_service(function, |it| it.timeout_seconds.to_string())),
    Field::told("service account", |function| of_service(function, |it| it.service_account_email.clone())),
    Field::told("requests at once", |function| {
        of_service(function, |it| it.max_instance_request_concurrency.to_string())
    }),
    Field::told("instances", |function| of_service(function, |it| it.max_instance_count.to_string())),
];

fn of_build(function: &Found, of: impl FnOnce(&BuildConfig) -> String) -> String {
    function.build_config.as_ref().map(of).unwrap_or_default()
}

fn of_service(function: &Found, of: impl FnOnce(&ServiceConfig) -> String) -> String {
    function.service_config.as_ref().map(of).unwrap_or_default()
}

/// The hash of a function's source.
pub(super) fn hash(function: &Found) -> &str {
    function.labels.get(SOURCE_LABEL).map_or("", String::as_str)
}

#[derive(Debug)]
pub(super) struct Function {
    pub(super) spec: Arc<Spec>,
    pub(super) source: Arc<Source>,
}

/// The function as it is, if it is there.
pub(super) async fn find(google: &Clients, spec: &Spec) -> Result<Option<Found>, Refusal> {
    let attempt = format!("looking for the function {}", spec.service);
    let functions = google.functions(&attempt).await?;
    let get = || functions.get_function().set_name(name(spec)).send();
    found(google.ask(Api::Functions, &attempt, get).await)
}

/// The full name of the function.
fn name(spec: &Spec) -> String {
    format!("{}/functions/{}", spec.location(), spec.service)
}

/// A function as the configuration has it, of a source with this hash at this place.
pub(super) fn wanted(spec: &Spec, hash: &str, source: Option<StorageSource>) -> Found {
    let build = BuildConfig::new().set_runtime("nodejs22").set_entry_point("rustwren");
    let build = match source {
        Some(source) => build.set_source(Place::new().set_storage_source(source)),
        None => build,
    };
    let service = ServiceConfig::new()
        .set_available_memory(format!("{}Mi", spec.memory))
        .set_available_cpu(spec.cpu.to_string())
        .set_timeout_seconds(spec.seconds())
        .set_max_instance_request_concurrency(1)
        .set_max_instance_count(spec.instances())
        .set_environment_variables(spec.variables.iter().map(|(name, value)| (name, value)))
        .set_ingress_settings(IngressSettings::AllowAll)
        .set_service_account_email(spec.account());
    Found::new()
        .set_name(name(spec))
        .set_labels([(LABEL, OURS), (SOURCE_LABEL, hash)])
        .set_build_config(build)
        .set_service_config(service)
}

impl Function {
    fn wanted(&self, source: Option<StorageSource>) -> Result<Found> {
        Ok(wanted(&self.spec, &self.source.hash()?, source))
    }

    /// Brings the source to where Google builds from: what stands for it in the function.
    async fn upload(&self, google: &Clients, patience: Patience<'_>) -> Result<StorageSource> {
        let attempt = format!("uploading the source of the function {}", self.spec.service);
        let functions = google.functions(&attempt).await?;
        let ask = || functions.generate_upload_url().set_parent(self.spec.location()).send();
        let place = patience.until_done(|_| None, || google.ask(Api::Functions, &attempt, ask)).await?;
        let Some(source) = place.storage_source.filter(|_| !place.upload_url.is_empty()) else {
            return Err(Error::new(ErrorKind::Internal, format!("{attempt}: Google names no place for it")));
        };
        let bytes = self.source.bytes()?;
        let put = || {
            let request = Request {
                method: Method::PUT,
                ..Request::get(Api::Functions, String::new(), attempt.clone())
            };
            // The address itself is the permission; a token beside it is refused.
            google.rest.upload(&place.upload_url, request, "application/zip", bytes.to_vec(), false)
        };
        patience.until_done(|_| None, put).await?;
        Ok(source)
    }
}

#[async_trait]
impl Resource<Clients> for Function {
    async fn plan(&self, google: &Clients) -> Result<Planned> {
        let step = |change| Step::new(KIND, self.spec.service.clone(), change).about(self.spec.about());
        match find(google, &self.spec).await? {
            None => Ok(step(Change::Create).into()),
            Some(found) if is_ours(&found.labels) => {
                let step = fields::compare(step(Change::None), FIELDS, &found, &self.wanted(None)?);
                // One whose build has failed is there all the same, and runs nothing.
                let step = match found.state {
                    State::Failed => step.differs("state", Some("FAILED"), Some("ACTIVE")),
                    _ => step,
                };
                Ok(step.update_if_different().into())
            }
            Some(_) => Err(foreign(KIND, &self.spec.service)),
        }
    }

    async fn apply(&self, google: &Clients, step: &Step, patience: Patience<'_>) -> Result<()> {
        let source = self.upload(google, patience).await?;
        let (spec, wanted) = (&self.spec, self.wanted(Some(source))?);
        let attempt = format!("deploying the function {}", spec.service);
        let functions = google.functions(&attempt).await?;
        if step.change == Change::Create {
            let create = |name| {
                let call = functions.create_function().set_parent(spec.location());
                let call = call.set_function_id(&spec.service).set_function(wanted.clone());
                call.with_polling_error_policy(name).poller()
            };
            let begun =
                operation::begin(google, Api::Functions, &attempt, patience, new_account, create).await?;
            return begun.over(google, patience).await;
        }
        let fields = FieldMask::default().set_paths(["labels", "build_config", "service_config"]);
        let update = |name| {
            let call = functions.update_function().set_function(wanted.clone());
            call.set_update_mask(fields.clone()).with_polling_error_policy(name).poller()
        };
        let begun = operation::begin(google, Api::Functions, &attempt, patience, new_account, update).await?;
        begun.over(google, patience).await
    }

    async fn removal(&self, google: &Clients) -> Result<Removal> {
        let name = &self.spec.service;
        Ok(match find(google, &self.spec).await? {
            None => Removal::Nothing,
            Some(found) if is_ours(&found.labels) => {
                Removal::Ours(Step::new(KIND, name.clone(), Change::Delete))
            }
            Some(_) => Removal::Stays(format!("the function {name} was not made by setup, and stays")),
        })
    }

    async fn remove(&self, google: &Clients, _: &Step, patience: Patience<'_>) -> Result<()> {
        let attempt = format!("removing the function {}", self.spec.service);
        let functions = google.functions(&attempt).await?;
        let remove = |policy| {
            let call = functions.delete_function().set_name(name(&self.spec));
            call.with_polling_error_policy(policy).poller()
        };
        match found(operation::begin(google, Api::Functions, &attempt, patience, |_| None, remove).await)? {
            Some(begun) => begun.over(google, patience).await,
            None => Ok(()),
        }
    }
}
