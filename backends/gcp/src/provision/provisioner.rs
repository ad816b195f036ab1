//! Everything that setup makes, in its order, and back.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use rustwren_core::clock::Clock;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::{Applied, Change, Leg, LogQuery, LogStream, Plan, Provisioner, Step, Watch};

use super::bucket::Bucket;
use super::logs;
use super::resource::{Patience, Removal, Resource};
use super::spec::Spec;
use crate::rest::Google;

/// Sets up workers on Google Cloud, with their bucket.
pub(super) struct GcpProvisioner {
    pub(super) google: Arc<Google>,
    pub(super) spec: Arc<Spec>,
    pub(super) clock: Arc<dyn Clock>,
    /// In the order in which they are made.
    pub(super) parts: Vec<Box<dyn Resource>>,
}

impl fmt::Debug for GcpProvisioner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcpProvisioner").field("parts", &self.parts).finish_non_exhaustive()
    }
}

impl GcpProvisioner {
    fn patience<'a>(&'a self, watch: &'a dyn Watch, step: usize) -> Patience<'a> {
        Patience { clock: &*self.clock, watch, step }
    }

    /// What would be removed: first what was made last.
    async fn removals(&self) -> Result<Vec<(&dyn Resource, Removal)>> {
        let mut all = Vec::new();
        for part in self.parts.iter().rev() {
            all.push((&**part, part.removal().await?));
        }
        Ok(all)
    }

    async fn leg(&self, name: &str, outcome: impl Future<Output = Result<String>>) -> Leg {
        let begun = self.clock.now();
        let outcome = outcome.await;
        Leg::new(name, self.clock.now().saturating_sub(begun), outcome)
    }

    async fn bucket(&self) -> Result<String> {
        let spec = &self.spec;
        let bucket = Bucket {
            google: Arc::clone(&self.google),
            name: spec.bucket.clone(),
            region: spec.region.clone(),
        };
        match bucket.find().await? {
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
        let ready = &found["terminalCondition"];
        if ready["state"] == "CONDITION_FAILED" {
            let message = ready["message"].as_str().unwrap_or("Google does not say why");
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!("the service {name} is not ready: {message}"),
            )
            .with_hint("`gcloud run services logs read SERVICE` has the instance's own words"));
        }
        self.check_as_configured(&found).await?;
        let uri = found["uri"].as_str().unwrap_or_default();
        Ok(match &self.spec.compute.url {
            Some(url) if url != uri => format!("{uri}, which jobs call as {url}"),
            _ => uri.to_owned(),
        })
    }
}

fn missing(kind: &str, name: &str) -> Error {
    Error::new(ErrorKind::Config, format!("there is no {kind} {name}")).with_hint("run `rustwren setup`")
}

fn stale(step: &Step) -> Error {
    let message = format!("the {} {} is no longer as it was when the plan was made", step.kind, step.name);
    Error::new(ErrorKind::Unavailable, message)
        .with_hint("run `rustwren setup` again to see what there is to do now")
}

#[async_trait]
impl Provisioner for GcpProvisioner {
    fn target(&self) -> String {
        format!("Google Cloud, project {}, {}", self.spec.project, self.spec.region)
    }

    async fn plan(&self) -> Result<Plan> {
        let mut plan = Plan::default();
        for part in &self.parts {
            plan.steps.push(part.plan().await?);
        }
        if self.spec.callers.is_empty() {
            plan = plan.note(
                "`callers` is not set: only those who may call every service of the project can run jobs there.",
            );
        }
        Ok(plan)
    }

    async fn apply(&self, plan: &Plan, watch: &dyn Watch) -> Result<Applied> {
        for (index, planned) in plan.pending() {
            let part = self.parts.get(index).ok_or_else(|| stale(planned))?;
            watch.started(index);
            let now = part.plan().await?;
            if now.change != Change::None {
                if now != *planned {
                    return Err(stale(planned));
                }
                part.apply(&now, self.patience(watch, index)).await?;
            }
            watch.done(index);
        }
        Ok(Applied::default())
    }

    async fn verify(&self) -> Vec<Leg> {
        let credentials = async {
            self.google.check_credentials().await?;
            Ok("there are some".to_owned())
        };
        let mut legs = vec![self.leg("credentials", credentials).await];
        if legs.iter().all(|leg| leg.outcome.is_ok()) {
            legs.push(self.leg("bucket", self.bucket()).await);
            legs.push(self.leg("service", self.service()).await);
        }
        legs
    }

    async fn destroy_plan(&self) -> Result<Plan> {
        let mut plan = Plan::default();
        for (_, removal) in self.removals().await? {
            match removal {
                Removal::Nothing => {}
                Removal::Ours(step) => plan.steps.push(step),
                Removal::Stays(why) => plan.notes.push(why),
            }
        }
        Ok(plan)
    }

    async fn destroy(&self, plan: &Plan, watch: &dyn Watch) -> Result<()> {
        let mut found = self.removals().await?;
        for (index, planned) in plan.pending() {
            watch.started(index);
            let same = |step: &Step| (&step.kind, &step.name) == (&planned.kind, &planned.name);
            let at =
                found.iter().position(|(_, removal)| matches!(removal, Removal::Ours(step) if same(step)));
            // What is no longer found is gone, or has been given to somebody else.
            if let Some(at) = at {
                let (part, _) = found.swap_remove(at);
                part.remove(self.patience(watch, index)).await?;
            }
            watch.done(index);
        }
        Ok(())
    }

    async fn logs(&self, query: LogQuery) -> Result<LogStream> {
        Ok(logs::lines(&self.google, &self.spec, query, Arc::clone(&self.clock)))
    }
}
