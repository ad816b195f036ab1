//! Everything that setup makes, in its order, and back.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustwren_core::clock::Clock;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::course::{self, Course, Pauses, Resource};
use rustwren_core::provision::{Applied, Leg, LogQuery, LogStream, Plan, Provisioner, Watch};

use super::child::Child;
use super::place::{PUBLISHED, Place, missing};
use super::{account, app};

/// How long is waited for changes that are not yet known everywhere: a role may take ten minutes to spread.
const SPREADING: Duration = Duration::from_mins(12);

/// Sets up workers on Azure, with their storage.
pub(super) struct AzureProvisioner {
    pub(super) place: Place,
    pub(super) clock: Arc<dyn Clock>,
    /// In the order in which they are made.
    pub(super) parts: Vec<Box<dyn Resource<Place>>>,
}

impl fmt::Debug for AzureProvisioner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AzureProvisioner").field("parts", &self.parts).finish_non_exhaustive()
    }
}

impl AzureProvisioner {
    fn course(&self) -> Course<'_, Place> {
        let parts = self.parts.iter().map(|part| &**part).collect();
        Course { parts, place: &self.place, clock: &*self.clock, pauses: Pauses::of(SPREADING) }
    }

    async fn account(&self) -> Result<String> {
        let name = &self.place.spec.account;
        let found = self.place.account().await?.ok_or_else(|| missing(account::KIND, name))?;
        Ok(format!("{name} in {}", found["location"].as_str().unwrap_or("its place")))
    }

    async fn child(&self, child: Child) -> Result<String> {
        child.find(&self.place).await?.ok_or_else(|| missing(child.kind, &child.name))?;
        Ok(child.name)
    }

    async fn app(&self) -> Result<String> {
        let (place, spec) = (&self.place, &self.place.spec);
        let found = place.the_app().await?;
        let state = app::state(place, &found)?;
        Ok(match host(&found) {
            Some(host) if !spec.url.ends_with(&host) => {
                format!("{state}, {host}, which jobs call as {}", spec.url)
            }
            _ => state,
        })
    }

    async fn published(&self) -> Result<String> {
        let app = self.place.the_app().await?;
        match app["tags"][PUBLISHED].as_str() {
            Some(hash) => Ok(hash.chars().take(12).collect()),
            None => Err(missing("runtime in the function app", &self.place.spec.app)),
        }
    }
}

/// The app's name on the network.
fn host(app: &serde_json::Value) -> Option<String> {
    app["properties"]["defaultHostName"].as_str().map(ToOwned::to_owned)
}

#[async_trait]
impl Provisioner for AzureProvisioner {
    fn target(&self) -> String {
        let spec = &self.place.spec;
        format!("Azure, resource group {}, {}", spec.group, spec.region)
    }

    async fn plan(&self) -> Result<Plan> {
        // What cannot run there is refused before anything is asked.
        self.place.source.package(&self.place.spec)?;
        let mut plan = self.course().plan().await?;
        if self.place.spec.runners.is_empty() {
            plan = plan.note(
                "`runners` is not set: who runs jobs must have roles at the storage account already, or a key of it.",
            );
        }
        Ok(plan)
    }

    async fn apply(&self, plan: &Plan, watch: &dyn Watch) -> Result<Applied> {
        let mut applied = self.course().apply(plan, watch).await?;
        let spec = &self.place.spec;
        // Newer apps may be called by another name than their own.
        if let Some(host) = self.place.app().await?.as_ref().and_then(host)
            && spec.url == format!("https://{}.azurewebsites.net", spec.app)
            && !spec.url.ends_with(&host)
        {
            applied
                .next
                .push(format!("set `url = \"https://{host}\"` in [compute], by which the app is called"));
        }
        Ok(applied)
    }

    async fn verify(&self) -> Vec<Leg> {
        let clock = &*self.clock;
        let credentials = async {
            self.place.arm.check_credentials().await?;
            Ok("there are some".to_owned())
        };
        let mut legs = vec![course::leg(clock, "credentials", credentials).await];
        if legs.iter().any(|leg| leg.outcome.is_err()) {
            return legs;
        }
        let spec = &self.place.spec;
        legs.push(course::leg(clock, "account", self.account()).await);
        if legs.iter().all(|leg| leg.outcome.is_ok()) {
            let container = Child::container(spec.container.clone(), "");
            legs.push(course::leg(clock, "container", self.child(container)).await);
            let queue = Child::queue(spec.queue.clone(), "");
            legs.push(course::leg(clock, "queue", self.child(queue)).await);
        }
        legs.push(course::leg(clock, "app", self.app()).await);
        if legs.last().is_some_and(|leg| leg.outcome.is_ok()) {
            legs.push(course::leg(clock, "runtime", self.published()).await);
        }
        legs
    }

    async fn destroy_plan(&self) -> Result<Plan> {
        self.course().destroy_plan().await
    }

    async fn destroy(&self, plan: &Plan, watch: &dyn Watch) -> Result<()> {
        self.course().destroy(plan, watch).await
    }

    async fn logs(&self, _query: LogQuery) -> Result<LogStream> {
        let spec = &self.place.spec;
        let message = "logs of workers on Azure are not read from here";
        Err(Error::new(ErrorKind::Config, message).with_hint(format!(
            "Azure keeps them in Application Insights, where the app has it: `az monitor app-insights query --resource-group \
             {} --app {} --analytics-query \"traces | order by timestamp\"`",
            spec.group, spec.app
        )))
    }
}
