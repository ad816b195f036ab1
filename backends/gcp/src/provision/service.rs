//! The route `run`: a service of Cloud Run that is deployed from an archive, without a build and without a shim.

use std::sync::Arc;

use async_trait::async_trait;
use http::Method;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::{Change, RUNTIME, Step};
use serde_json::{Value, json};

use super::archive::Archive;
use super::fields::{self, Field};
use super::operation;
use super::resource::{LABEL, OURS, Patience, Removal, Resource};
use super::spec::Spec;
use crate::rest::{Api, Google, Refusal, Request};

const KIND: &str = "service";
/// What setup is in charge of.
pub(super) const FIELDS: &[Field] = &[
    ("runtime", "/template/containers/0/sourceCode/cloudStorageSource/object"),
    ("bucket of the runtime", "/template/containers/0/sourceCode/cloudStorageSource/bucket"),
    ("base image", "/template/containers/0/baseImageUri"),
    ("command", "/template/containers/0/command"),
    ("arguments", "/template/containers/0/args"),
    ("variables", "/template/containers/0/env"),
    ("memory", "/template/containers/0/resources/limits/memory"),
    ("cpu", "/template/containers/0/resources/limits/cpu"),
    ("timeout", "/template/timeout"),
    ("service account", "/template/serviceAccount"),
    ("requests at once", "/template/maxInstanceRequestConcurrency"),
    ("instances", "/template/scaling/maxInstanceCount"),
];

#[derive(Debug)]
pub(super) struct Service {
    pub(super) google: Arc<Google>,
    pub(super) spec: Arc<Spec>,
    pub(super) archive: Archive,
}

/// An error for a thing of the right name that setup has not made.
pub(super) fn foreign(kind: &str, name: &str) -> Error {
    Error::new(ErrorKind::Config, format!("the {kind} {name} is there and was not made by setup"))
        .with_hint("choose another name as `service` in [compute], or remove it")
}

/// A service as the configuration has it, of the runtime in this object.
pub(super) fn wanted(spec: &Spec, object: &str) -> Value {
    let variables: Vec<Value> =
        spec.variables.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    json!({
        "labels": { LABEL: OURS },
        "ingress": "INGRESS_TRAFFIC_ALL",
        "template": {
            "timeout": format!("{}s", spec.compute.timeout.as_secs()),
            "serviceAccount": spec.account(),
            "maxInstanceRequestConcurrency": 1,
            "scaling": { "maxInstanceCount": spec.compute.workers },
            "containers": [{
                "image": "scratch",
                "baseImageUri": "osonly24",
                "sourceCode": { "cloudStorageSource": { "bucket": spec.bucket, "object": object } },
                "command": [format!("./{RUNTIME}")],
                "args": ["serve", "--platform-auth", "--listen", "0.0.0.0:$PORT"],
                "env": variables,
                "resources": {
                    "limits": { "cpu": spec.cpu.to_string(), "memory": format!("{}Mi", spec.memory) },
                    "cpuIdle": true,
                    "startupCpuBoost": true,
                },
            }],
        },
    })
}

impl Service {
    fn wanted(&self) -> Result<Value> {
        Ok(wanted(&self.spec, &self.archive.object()?))
    }

    async fn find(&self) -> Result<Option<Value>> {
        Ok(self.google.service(&self.spec.service_name()).await?)
    }
}

#[async_trait]
impl Resource for Service {
    async fn plan(&self) -> Result<Step> {
        let spec = &self.spec;
        let about =
            format!("up to {} instances of {} CPU and {} MiB", spec.compute.workers, spec.cpu, spec.memory);
        let step = |change| Step::new(KIND, spec.service.clone(), change).about(about);
        match self.find().await? {
            None => Ok(step(Change::Create)),
            Some(found) if found["labels"][LABEL] == OURS => {
                Ok(fields::compare(step(Change::None), FIELDS, &found, &self.wanted()?))
            }
            Some(_) => Err(foreign(KIND, &spec.service)),
        }
    }

    async fn apply(&self, step: &Step, patience: Patience<'_>) -> Result<()> {
        let (spec, body) = (&self.spec, self.wanted()?);
        let (method, path) = match step.change {
            Change::Create => {
                (Method::POST, format!("/v2/{}/services?serviceId={}", spec.location(), spec.service))
            }
            _ => (Method::PATCH, format!("/v2/{}", spec.service_name())),
        };
        let attempt = format!("deploying the service {}", spec.service);
        let deploy = || {
            self.google.call(Request::with(method.clone(), Api::Run, path.clone(), &body, attempt.clone()))
        };
        let begun = patience.until_done(new_account, deploy).await?;
        operation::wait(&self.google, Api::Run, begun, &attempt, patience).await
    }

    async fn removal(&self) -> Result<Removal> {
        Ok(match self.find().await? {
            None => Removal::Nothing,
            Some(found) if found["labels"][LABEL] == OURS => {
                Removal::Ours(Step::new(KIND, self.spec.service.clone(), Change::Delete))
            }
            Some(_) => {
                Removal::Stays(format!("the service {} was not made by setup, and stays", self.spec.service))
            }
        })
    }

    async fn remove(&self, patience: Patience<'_>) -> Result<()> {
        let attempt = format!("removing the service {}", self.spec.service);
        let path = format!("/v2/{}", self.spec.service_name());
        let remove = || self.google.find(Request::delete(Api::Run, path.clone(), attempt.clone()));
        match patience.until_done(|_| None, remove).await? {
            Some(begun) => operation::wait(&self.google, Api::Run, begun, &attempt, patience).await,
            None => Ok(()),
        }
    }
}

/// A service account that was made a moment ago is not known to everybody.
pub(super) fn new_account(refusal: &Refusal) -> Option<&'static str> {
    let says = |text: &str| refusal.message.contains(text);
    let is_new = matches!(refusal.status, Some(400 | 403 | 404)) && says("ervice account") && says("not");
    is_new.then_some("the new service account is not known everywhere yet")
}
