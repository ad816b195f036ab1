//! Everything that setup makes, in its order, and back.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustwren_core::clock::Clock;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::course::{self, Course, Pauses, Resource};
use rustwren_core::provision::{Applied, Change, Leg, LogQuery, LogStream, Plan, Provisioner, Watch, tail};

use super::arm::Arm;
use super::child::Child;
use super::component::Component;
use super::logs::{self, Pages};
use super::place::{self, PUBLISHED, Place, missing};
use super::workspace::{self, Workspace};
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

    async fn logs_leg(&self) -> Result<String> {
        let spec = &self.place.spec;
        let Some(logs) = spec.logs else { return Ok("not kept: `logs = false`".to_owned()) };
        let workspace = Workspace.plan(&self.place).await?.step;
        let component = Component.plan(&self.place).await?.step;
        for step in [&workspace, &component] {
            match step.change {
                Change::None => {}
                Change::Create => return Err(missing(&step.kind, &step.name)),
                _ => return Err(place::not_as_configured(step)),
            }
        }
        app::check_lines(&self.place).await?;
        Ok(format!("{}, kept for {} days", workspace.name, logs.days))
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
        self.place.package()?;
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
            legs.push(course::leg(clock, "logs", self.logs_leg()).await);
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
        let spec = &self.place.spec;
        if spec.logs.is_none() {
            let message = "lines of workers are not kept: `logs` in [compute] is false";
            return Err(Error::new(ErrorKind::Config, message)
                .with_hint("set `logs = true` and run `rustwren setup`; what tasks print is shown by the program that runs the job"));
        }
        let workspace = self.place.workspace().await.map_err(|refusal| {
            let is_denied = refusal.status == Some(403);
            Error::from(refusal).with_optional_hint(is_denied.then(|| logs::permission(&spec.workspace_id())))
        })?;
        let workspace = workspace.ok_or_else(|| missing(workspace::KIND, &spec.workspace_name()))?;
        let pages = Pages {
            api: Arm::new(spec.log_endpoint.clone(), spec.access.clone()),
            app: spec.app.clone(),
            workspace: workspace["properties"]["customerId"].as_str().unwrap_or_default().to_owned(),
            workspace_id: spec.workspace_id(),
        };
        Ok(tail(pages, query, Arc::clone(&self.clock)))
    }
}
