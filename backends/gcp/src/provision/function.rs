//! The route `functions`: a function whose source is the runtime with a shim in front of it.

use std::sync::Arc;

use async_trait::async_trait;
use http::Method;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::{Change, Step};
use serde_json::{Map, Value, json};

use super::fields::{self, Field};
use super::operation;
use super::package::Source;
use super::resource::{LABEL, OURS, Patience, Removal, Resource};
use super::service::{foreign, new_account};
use super::spec::Spec;
use crate::rest::{Api, Google, Request};

const KIND: &str = "function";
/// Where the hash of the source stands: Google tells nothing of what it has built.
pub(super) const SOURCE_LABEL: &str = "rustwren-source";
/// What setup is in charge of.
pub(super) const FIELDS: &[Field] = &[
    ("runtime", "/labels/rustwren-source"),
    ("Node", "/buildConfig/runtime"),
    ("entry point", "/buildConfig/entryPoint"),
    ("variables", "/serviceConfig/environmentVariables"),
    ("memory", "/serviceConfig/availableMemory"),
    ("cpu", "/serviceConfig/availableCpu"),
    ("timeout", "/serviceConfig/timeoutSeconds"),
    ("service account", "/serviceConfig/serviceAccountEmail"),
    ("requests at once", "/serviceConfig/maxInstanceRequestConcurrency"),
    ("instances", "/serviceConfig/maxInstanceCount"),
];

#[derive(Debug)]
pub(super) struct Function {
    pub(super) google: Arc<Google>,
    pub(super) spec: Arc<Spec>,
    pub(super) source: Arc<Source>,
}

/// The full name of the function.
pub(super) fn name(spec: &Spec) -> String {
    format!("{}/functions/{}", spec.location(), spec.service)
}

/// A function as the configuration has it, of a source with this hash at this place.
pub(super) fn wanted(spec: &Spec, hash: &str, source: &Value) -> Value {
    let variables: Map<String, Value> =
        spec.variables.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    json!({
        "name": name(spec),
        "labels": { LABEL: OURS, SOURCE_LABEL: hash },
        "buildConfig": {
            "runtime": "nodejs22",
            "entryPoint": "rustwren",
            "source": { "storageSource": source },
        },
        "serviceConfig": {
            "availableMemory": format!("{}Mi", spec.memory),
            "availableCpu": spec.cpu.to_string(),
            "timeoutSeconds": spec.compute.timeout.as_secs(),
            "maxInstanceRequestConcurrency": 1,
            "maxInstanceCount": spec.compute.workers,
            "environmentVariables": variables,
            "ingressSettings": "ALLOW_ALL",
            "serviceAccountEmail": spec.account(),
        },
    })
}

impl Function {
    fn name(&self) -> String {
        name(&self.spec)
    }

    fn wanted(&self, source: &Value) -> Result<Value> {
        Ok(wanted(&self.spec, &self.source.hash()?, source))
    }

    async fn find(&self) -> Result<Option<Value>> {
        let attempt = format!("looking for the function {}", self.spec.service);
        Ok(self.google.find(Request::get(Api::Functions, format!("/v2/{}", self.name()), attempt)).await?)
    }

    /// Brings the source to where Google builds from: what stands for it in the function.
    async fn upload(&self, patience: Patience<'_>) -> Result<Value> {
        let attempt = format!("uploading the source of the function {}", self.spec.service);
        let (path, body) = (format!("/v2/{}/functions:generateUploadUrl", self.spec.location()), json!({}));
        let ask = || {
            self.google.call(Request::with(
                Method::POST,
                Api::Functions,
                path.clone(),
                &body,
                attempt.clone(),
            ))
        };
        let place = patience.until_done(|_| None, ask).await?;
        let (Some(url), source) = (place["uploadUrl"].as_str(), &place["storageSource"]) else {
            return Err(Error::new(ErrorKind::Internal, format!("{attempt}: Google names no place for it")));
        };
        let bytes = self.source.bytes()?;
        let put = || {
            let request = Request {
                method: Method::PUT,
                ..Request::get(Api::Functions, String::new(), attempt.clone())
            };
            // The address itself is the permission; a token beside it is refused.
            self.google.upload(url, request, "application/zip", bytes.to_vec(), false)
        };
        patience.until_done(|_| None, put).await?;
        Ok(source.clone())
    }
}

#[async_trait]
impl Resource for Function {
    async fn plan(&self) -> Result<Step> {
        let spec = &self.spec;
        let about =
            format!("up to {} instances of {} CPU and {} MiB", spec.compute.workers, spec.cpu, spec.memory);
        let step = |change| Step::new(KIND, spec.service.clone(), change).about(about);
        match self.find().await? {
            None => Ok(step(Change::Create)),
            Some(found) if found["labels"][LABEL] == OURS => {
                let state = found["state"].as_str().unwrap_or_default();
                let step = fields::compare(step(Change::None), FIELDS, &found, &self.wanted(&Value::Null)?);
                // One whose build has failed is there all the same, and runs nothing.
                let step =
                    if state == "FAILED" { step.differs("state", Some(state), Some("ACTIVE")) } else { step };
                Ok(step.update_if_different())
            }
            Some(_) => Err(foreign(KIND, &spec.service)),
        }
    }

    async fn apply(&self, step: &Step, patience: Patience<'_>) -> Result<()> {
        let source = self.upload(patience).await?;
        let (spec, body) = (&self.spec, self.wanted(&source)?);
        let (method, path) = match step.change {
            Change::Create => {
                (Method::POST, format!("/v2/{}/functions?functionId={}", spec.location(), spec.service))
            }
            _ => (Method::PATCH, format!("/v2/{}?updateMask=labels,buildConfig,serviceConfig", self.name())),
        };
        let attempt = format!("deploying the function {}", spec.service);
        let deploy = || {
            self.google.call(Request::with(
                method.clone(),
                Api::Functions,
                path.clone(),
                &body,
                attempt.clone(),
            ))
        };
        let begun = patience.until_done(new_account, deploy).await?;
        operation::wait(&self.google, Api::Functions, begun, &attempt, patience).await
    }

    async fn removal(&self) -> Result<Removal> {
        Ok(match self.find().await? {
            None => Removal::Nothing,
            Some(found) if found["labels"][LABEL] == OURS => {
                Removal::Ours(Step::new(KIND, self.spec.service.clone(), Change::Delete))
            }
            Some(_) => {
                Removal::Stays(format!("the function {} was not made by setup, and stays", self.spec.service))
            }
        })
    }

    async fn remove(&self, patience: Patience<'_>) -> Result<()> {
        let attempt = format!("removing the function {}", self.spec.service);
        let path = format!("/v2/{}", self.name());
        let remove = || self.google.find(Request::delete(Api::Functions, path.clone(), attempt.clone()));
        match patience.until_done(|_| None, remove).await? {
            Some(begun) => operation::wait(&self.google, Api::Functions, begun, &attempt, patience).await,
            None => Ok(()),
        }
    }
}
