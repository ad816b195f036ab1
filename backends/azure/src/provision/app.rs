//! The function app, with its settings.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::course::{Patience, Planned, Removal, Resource};
use rustwren_core::provision::{Change, Step};
use serde_json::{Map, Value, json};

use super::arm::{Api, Request};
use super::component::{SETTING as INSIGHTS, connection_string};
use super::group::gone;
use super::operation::change;
use super::place::{Field, MARK, OURS, Place, compare, foreign, is_ours, not_as_configured, stays};
use super::refusal::Refusal;
use super::spec::Spec;

const KIND: &str = "function app";
/// What setup is in charge of.
const FIELDS: &[Field] = &[
    ("memory", "/properties/functionAppConfig/scaleAndConcurrency/instanceMemoryMB"),
    ("instances", "/properties/functionAppConfig/scaleAndConcurrency/maximumInstanceCount"),
    (
        "calls in one instance",
        "/properties/functionAppConfig/scaleAndConcurrency/triggers/http/perInstanceConcurrency",
    ),
    ("runtime", "/properties/functionAppConfig/runtime/name"),
    ("place of packages", "/properties/functionAppConfig/deployment/storage/value"),
    ("login at it", "/properties/functionAppConfig/deployment/storage/authentication/type"),
    ("https only", "/properties/httpsOnly"),
];
/// Settings with these names change what the app does, and are removed: the first is refused by the plan, the second goes
/// before the identity.
const UNWANTED: &[&str] = &["FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage"];
/// Settings that begin so are setup's own, and go when the configuration no longer has them.
const OWN: &str = "RUSTWREN__STORAGE__";

type Settings = BTreeMap<String, String>;

#[derive(Debug)]
pub(super) struct App;

fn wanted(spec: &Spec) -> Value {
    json!({
        "location": spec.region,
        "kind": "functionapp,linux",
        "identity": { "type": "SystemAssigned" },
        "tags": { MARK: OURS },
        "properties": {
            "serverFarmId": spec.plan_id(),
            "httpsOnly": true,
            "functionAppConfig": {
                "deployment": { "storage": {
                    "type": "blobContainer",
                    "value": format!("{}/{}", spec.blobs, spec.packages()),
                    "authentication": { "type": "SystemAssignedIdentity" },
                } },
                "scaleAndConcurrency": {
                    "maximumInstanceCount": spec.instances,
                    "instanceMemoryMB": spec.memory,
                    "triggers": { "http": { "perInstanceConcurrency": spec.per_instance } },
                },
                "runtime": { "name": "custom", "version": "1.0" },
            },
        },
    })
}

/// The app's settings.
async fn settings(place: &Place) -> Result<Settings> {
    let attempt = format!("reading the settings of the function app {}", place.spec.app);
    let path = format!("{}/config/appsettings/list", place.spec.app_id());
    let found = place.arm.call(&Request::post(Api::Web, path, attempt)).await?.body;
    let pairs = found["properties"].as_object().cloned().unwrap_or_default();
    Ok(pairs.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect())
}

/// Where the app's lines go.
enum Lines {
    /// To this connection string; none is known before the component is made.
    To(Option<String>),
    /// Nowhere that setup knows of; no longer to this connection string.
    NotTo(Option<String>),
}

impl Lines {
    async fn of(place: &Place) -> Result<Self> {
        let ours = place.component().await?.filter(is_ours);
        let known = ours.as_ref().and_then(connection_string).map(ToOwned::to_owned);
        Ok(if place.spec.logs.is_some() { Self::To(known) } else { Self::NotTo(known) })
    }

    /// Settles the setting among others. One that is not known yet differs from any.
    fn settle(&self, settings: &mut Settings) {
        match self {
            Self::To(known) => {
                settings.insert(INSIGHTS.to_owned(), known.clone().unwrap_or_default());
            }
            Self::NotTo(known) if settings.get(INSIGHTS) == known.as_ref() => {
                settings.remove(INSIGHTS);
            }
            Self::NotTo(_) => {}
        }
    }
}

/// The settings as they should be; those that setup is not in charge of stay.
fn settled(spec: &Spec, lines: &Lines, found: &Settings) -> Settings {
    let mut settings = found.clone();
    settings.retain(|name, _| !UNWANTED.contains(&name.as_str()) && !name.starts_with(OWN));
    settings.extend(spec.settings.clone());
    lines.settle(&mut settings);
    settings
}

/// Tells which settings differ, without their values: not all of them are setup's to show.
fn compare_settings(step: Step, spec: &Spec, lines: &Lines, found: &Settings) -> Step {
    let settled = settled(spec, lines, found);
    let names = found.keys().chain(settled.keys().filter(|name| !found.contains_key(*name)));
    names
        .filter(|name| found.get(*name) != settled.get(*name))
        .fold(step, |step, name| step.differs_untold(format!("setting {name}")))
}

/// Fails where the name is somebody else's, which only Azure as a whole knows.
async fn check_name(place: &Place) -> Result<()> {
    let spec = &place.spec;
    let path = format!("/subscriptions/{}/providers/Microsoft.Web/checknameavailability", spec.subscription);
    let body = json!({ "name": spec.app, "type": "Microsoft.Web/sites" });
    let attempt = format!("asking whether a function app may be called {}", spec.app);
    let answer = place.arm.call(&Request::post(Api::Web, path, attempt.clone()).with(&body)).await?.body;
    if answer["nameAvailable"] != false {
        return Ok(());
    }
    let why = answer["message"].as_str().unwrap_or("it may not");
    Err(Error::new(ErrorKind::Config, format!("{attempt}: {why}")).with_hint(TAKEN))
}

const TAKEN: &str = "names are unique among all users of Azure: set another `app` in [compute]; or, where it is your own, \
     `resource_group` to the group that it is in";

/// Makes or changes the app itself. Its settings are made with it, and changed by themselves.
async fn put(place: &Place, found: Option<&Value>, patience: Patience<'_>) -> Result<()> {
    let spec = &place.spec;
    let mut body = wanted(spec);
    match found {
        None => {
            let settings = settled(spec, &Lines::of(place).await?, &Settings::new());
            let pairs = settings.iter().map(|(name, value)| json!({ "name": name, "value": value }));
            body["properties"]["siteConfig"] = json!({ "appSettings": pairs.collect::<Vec<_>>() });
        }
        Some(found) => {
            // Its tags also say what is published.
            let mut tags = found["tags"].as_object().cloned().unwrap_or_default();
            tags.insert(MARK.to_owned(), json!(OURS));
            body["tags"] = Value::Object(tags);
        }
    }
    let attempt =
        format!("{} the function app {}", if found.is_some() { "changing" } else { "making" }, spec.app);
    let request = Request::put(Api::Web, spec.app_id(), &body, attempt);
    match change(&place.arm, &request, patience, |_| None).await {
        Err(refusal) if refusal.status == Some(409) && refusal.message.contains("already exists") => {
            Err(refusal.mended_by(TAKEN).into())
        }
        Err(refusal) => Err(refusal.into()),
        Ok(_) => Ok(()),
    }
}

/// What is wrong with an app that is there, besides what setup changes.
pub(super) fn state(place: &Place, found: &Value) -> Result<String> {
    let spec = &place.spec;
    let properties = &found["properties"];
    match properties["state"].as_str() {
        None | Some("Running") => {}
        Some(state) => {
            let message = format!("the {KIND} {} is {}", spec.app, state.to_lowercase());
            return Err(Error::new(ErrorKind::Unavailable, message).with_hint(format!(
                "`az functionapp start --name {} --resource-group {}`",
                spec.app, spec.group
            )));
        }
    }
    if !is_ours(found) {
        return Ok(format!("{}, not made by setup", spec.app));
    }
    let step = compare(Step::new(KIND, &spec.app, Change::None), FIELDS, found, &wanted(spec));
    if !step.differences.is_empty() {
        return Err(not_as_configured(&step));
    }
    Ok(format!("{}, up to {} instances of {} MiB", spec.app, spec.instances, spec.memory))
}

/// Fails where the app sends its lines elsewhere than to the component.
pub(super) async fn check_lines(place: &Place) -> Result<()> {
    let found = settings(place).await?;
    let mut wanted = found.clone();
    Lines::of(place).await?.settle(&mut wanted);
    if found == wanted {
        return Ok(());
    }
    let step = Step::new(KIND, &place.spec.app, Change::Update);
    Err(not_as_configured(&step.differs_untold(format!("setting {INSIGHTS}"))))
}

#[async_trait]
impl Resource<Place> for App {
    async fn plan(&self, place: &Place) -> Result<Planned> {
        let spec = &place.spec;
        let each = if spec.per_instance == 1 {
            String::new()
        } else {
            format!(", {} calls in each", spec.per_instance)
        };
        let about = format!("up to {} instances of {} MiB{each}", spec.instances, spec.memory);
        let step = Step::new(KIND, &spec.app, Change::None).about(about);
        let Some(found) = place.app().await? else {
            check_name(place).await?;
            return Ok(Step { change: Change::Create, ..step }.into());
        };
        if !is_ours(&found) {
            return Err(foreign(KIND, &spec.app, "app"));
        }
        let step = compare(step, FIELDS, &found, &wanted(spec));
        let step =
            if found["identity"]["principalId"].is_string() { step } else { step.differs_untold("identity") };
        Ok(compare_settings(step, spec, &Lines::of(place).await?, &settings(place).await?)
            .update_if_different()
            .into())
    }

    async fn apply(&self, place: &Place, step: &Step, patience: Patience<'_>) -> Result<()> {
        let spec = &place.spec;
        if step.change == Change::Create {
            return put(place, None, patience).await;
        }
        let before = settings(place).await?;
        // What differs, and nothing else.
        if step.differences.iter().any(|difference| !difference.what.starts_with("setting ")) {
            put(place, Some(&place.the_app().await?), patience).await?;
        }
        let settled = settled(spec, &Lines::of(place).await?, &before);
        // Looked at again: nothing of them is lost, whatever Azure does with those of an app that is put anew.
        if settled != settings(place).await? {
            let pairs: Map<String, Value> =
                settled.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
            let body = json!({ "properties": pairs });
            let path = format!("{}/config/appsettings", spec.app_id());
            let attempt = format!("setting the settings of the function app {}", spec.app);
            let request = Request::put(Api::Web, path, &body, attempt);
            change(&place.arm, &request, patience, |_| None).await?;
        }
        Ok(())
    }

    async fn removal(&self, place: &Place) -> Result<Removal> {
        let name = &place.spec.app;
        Ok(match place.app().await? {
            None => Removal::Nothing,
            Some(found) if is_ours(&found) => Removal::Ours(
                Step::new(KIND, name, Change::Delete).about("with its identity and what was published"),
            ),
            Some(_) => Removal::Stays(stays(KIND, name)),
        })
    }

    async fn remove(&self, place: &Place, _: &Step, patience: Patience<'_>) -> Result<()> {
        let attempt = format!("removing the function app {}", place.spec.app);
        // The plan is a step of its own.
        let path = format!("{}?deleteEmptyServerFarm=false", place.spec.app_id());
        let remove = Request::delete(Api::Web, path, attempt);
        gone(change(&place.arm, &remove, patience, |_: &Refusal| None).await)
    }
}
