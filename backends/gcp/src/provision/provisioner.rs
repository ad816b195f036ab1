//! Everything that setup makes, in its order, and back.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use google_cloud_run_v2::model::condition::State;
use rustwren_core::clock::Clock;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::course::{self, Course, Pauses, Resource};
use rustwren_core::provision::{Applied, Leg, LogQuery, LogStream, Plan, Provisioner, Watch};

use super::bucket::Bucket;
use super::clients::Clients;
use super::logs;
use super::marks::SPREADING;
use super::spec::Spec;

/// Sets up workers on Google Cloud, with their bucket.
pub(super) struct GcpProvisioner {
    pub(super) google: Arc<Clients>,
    pub(super) spec: Arc<Spec>,
    pub(super) clock: Arc<dyn Clock>,
    /// In the order in which they are made.
    pub(super) parts: Vec<Box<dyn Resource<Clients>>>,
}

impl fmt::Debug for GcpProvisioner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcpProvisioner").field("parts", &self.parts).finish_non_exhaustive()
    }
}

impl GcpProvisioner {
    fn course(&self) -> Course<'_, Clients> {
        let parts = self.parts.iter().map(|part| &**part).collect();
        Course { parts, place: &*self.google, clock: &*self.clock, pauses: Pauses::of(SPREADING) }
    }

    async fn bucket(&self) -> Result<String> {
        let spec = &self.spec;
        let bucket = Bucket { name: spec.bucket.clone(), region: spec.region.clone() };
        match bucket.find(&self.google).await? {
            Some(found) => {
                Ok(format!("{} in {}", spec.bucket, found["location"].as_str().unwrap_or("its place")))
            }
            None => Err(missing("bucket", &spec.bucket)),
        }
    }

    /// The service, which a function has as well.
    async fn service(&self) -> Result<String> {
        let name = self.spec.service_name();
        let found = self.google.service(&name).await?.ok_or_else(|| missing("service", &name))?;
        let ready = found.terminal_condition.as_ref();
        if let Some(condition) = ready.filter(|condition| condition.state == State::ConditionFailed) {
            let said = Some(condition.message.as_str()).filter(|message| !message.is_empty());
            let message = said.unwrap_or("Google does not say why");
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!("the service {name} is not ready: {message}"),
            )
            .with_hint("`gcloud run services logs read SERVICE` has the instance's own words"));
        }
        self.check_as_configured(&found).await?;
        let uri = found.uri;
        Ok(match &self.spec.compute.url {
            Some(url) if *url != uri => format!("{uri}, which jobs call as {url}"),
            _ => uri,
        })
    }
}

fn missing(kind: &str, name: &str) -> Error {
    Error::new(ErrorKind::Config, format!("there is no {kind} {name}")).with_hint("run `rustwren setup`")
}

#[async_trait]
impl Provisioner for GcpProvisioner {
    fn target(&self) -> String {
        format!("Google Cloud, project {}, {}", self.spec.project, self.spec.region)
    }

    async fn plan(&self) -> Result<Plan> {
        let mut plan = self.course().plan().await?;
        if self.spec.callers.is_empty() {
            plan = plan.note(
                "`callers` is not set: only those who may call every service of the project can run jobs there.",
            );
        }
        Ok(plan)
    }

    async fn apply(&self, plan: &Plan, watch: &dyn Watch) -> Result<Applied> {
        self.course().apply(plan, watch).await
    }

    async fn verify(&self) -> Vec<Leg> {
        let credentials = async {
            self.google.rest.credentials("looking for credentials").await?;
            Ok("there are some".to_owned())
        };
        let mut legs = vec![course::leg(&*self.clock, "credentials", credentials).await];
        if legs.iter().all(|leg| leg.outcome.is_ok()) {
            legs.push(course::leg(&*self.clock, "bucket", self.bucket()).await);
            legs.push(course::leg(&*self.clock, "service", self.service()).await);
        }
        legs
    }

    async fn destroy_plan(&self) -> Result<Plan> {
        self.course().destroy_plan().await
    }

    async fn destroy(&self, plan: &Plan, watch: &dyn Watch) -> Result<()> {
        self.course().destroy(plan, watch).await
    }

    async fn logs(&self, query: LogQuery) -> Result<LogStream> {
        Ok(logs::lines(&self.google, &self.spec, query, Arc::clone(&self.clock)))
    }
}
