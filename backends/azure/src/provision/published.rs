//! What is published to the app: the runtime, with what the host of functions reads.

use std::time::Duration;

use async_trait::async_trait;
use azure_core::http::Method;
use rustwren_core::config::units::format_size;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::course::{Moment, Patience, Pauses, Planned, Refused, Removal, Resource};
use rustwren_core::provision::{Change, Step};
use serde_json::{Value, json};

use super::arm::{Api, Request};
use super::operation::change;
use super::place::{PUBLISHED, Place};
use super::refusal::Refusal;

const KIND: &str = "runtime";
/// How long one publication is waited for.
const LONGEST: Duration = Duration::from_mins(10);
/// How a publication ends well; and badly: failed, partly, by conflict.
const DONE: u64 = 4;
const FAILED: [u64; 3] = [3, 5, 6];
/// What it says when the app cannot get at its container, as long as its role has not spread.
const NO_ACCESS: &str = "InaccessibleStorageException";
/// More of its log is not told.
const LONGEST_LOG: usize = 600;

#[derive(Debug)]
pub(super) struct Published;

/// Why something is not published.
enum Unpublished {
    Refused(Refusal),
    /// It has failed, and this is what its log says.
    Failed(String),
}

impl From<Refusal> for Unpublished {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Refused for Unpublished {
    fn moment(&self) -> Option<Moment> {
        match self {
            Self::Refused(refusal) => refusal.moment(),
            Self::Failed(_) => None,
        }
    }
}

/// The app's role at its container may not hold yet.
fn spreading(unpublished: &Unpublished) -> Option<&'static str> {
    let said = match unpublished {
        Unpublished::Refused(refusal) => &refusal.message,
        Unpublished::Failed(log) => log,
    };
    said.contains(NO_ACCESS).then_some("the app's role at the storage account has not spread yet")
}

/// The beginning of a hash.
fn short(hash: &str) -> String {
    hash.chars().take(12).collect()
}

fn attempt(place: &Place) -> String {
    format!("publishing the runtime to the function app {}", place.spec.app)
}

/// Where the app's packages are published.
fn address(place: &Place, app: &Value) -> Result<String> {
    let names = app["properties"]["hostNameSslStates"].as_array();
    let of_packages = |name: &&Value| name["hostType"] == "Repository";
    let found = names.and_then(|names| names.iter().find(of_packages)).and_then(|name| name["name"].as_str());
    let host = found.ok_or_else(|| {
        let message = format!("{}: Azure names no place for packages", attempt(place));
        Error::new(ErrorKind::Unavailable, message).with_hint("run `rustwren setup` again")
    })?;
    Ok(format!("{}://{host}", place.arm.scheme()))
}

/// Publishes once, and waits for the end of it.
async fn publish(place: &Place, address: &str, patience: Patience<'_>) -> Result<(), Unpublished> {
    let attempt = attempt(place);
    let zip = place.package();
    let zip = zip.map_err(|error| Refusal::ours(&attempt, &error.to_string()))?.bytes.clone();
    let url = format!("{address}/api/publish?RemoteBuild=false&Deployer=rustwren");
    let begun = place.arm.upload(&url, zip, &attempt).await?;
    let asking = format!("{attempt}: asking how far it is");
    let ask_at = begun.location.unwrap_or_else(|| format!("{address}/api/deployments/latest"));
    let mut pauses = Pauses::of(LONGEST);
    let mut least = begun.retry_after;
    loop {
        let Some(pause) = pauses.next_after(least) else {
            let message = format!("it was not over after {LONGEST:?}");
            return Err(Refusal::ours(&attempt, &message).going_on().into());
        };
        patience.wait("Azure takes the package in", pause).await;
        let look = || place.arm.follow(&ask_at, address, &asking);
        // It is not known at once.
        let unknown =
            |refusal: &Refusal| (refusal.status == Some(404)).then_some("Azure takes the package in");
        let state = patience.until_done(unknown, look).await?;
        least = state.retry_after;
        match state.body["status"].as_u64() {
            Some(DONE) => return Ok(()),
            Some(status) if FAILED.contains(&status) => {
                return Err(Unpublished::Failed(log(place, address, &state.body, &asking).await));
            }
            _ => {}
        }
    }
}

/// What a publication says of itself.
async fn log(place: &Place, address: &str, state: &Value, asking: &str) -> String {
    let mut lines: Vec<String> = ["status_text", "message"]
        .iter()
        .filter_map(|name| state[*name].as_str().map(ToOwned::to_owned))
        .collect();
    if let Some(url) = state["log_url"].as_str() {
        match place.arm.follow(url, address, asking).await {
            Ok(answer) => {
                let messages = answer.body.as_array().into_iter().flatten();
                lines.extend(messages.filter_map(|line| line["message"].as_str()).map(ToOwned::to_owned));
            }
            Err(refusal) => lines.push(Error::from(refusal).to_string()),
        }
    }
    lines.retain(|line| !line.trim().is_empty());
    lines.join("; ")
}

#[async_trait]
impl Resource<Place> for Published {
    async fn plan(&self, place: &Place) -> Result<Planned> {
        let package = place.package()?;
        let about = format!("{} for {}", format_size(package.bytes.len() as u64), place.spec.app);
        let step = |change| Step::new(KIND, short(&package.hash(32)), change).about(about);
        let app = place.app().await?.unwrap_or_default();
        Ok(match app["tags"][PUBLISHED].as_str() {
            None => step(Change::Create),
            Some(is) if is == package.hash(32) => step(Change::None),
            Some(is) => {
                step(Change::Update).differs("package", Some(short(is)), Some(short(&package.hash(32))))
            }
        }
        .into())
    }

    async fn apply(&self, place: &Place, _: &Step, patience: Patience<'_>) -> Result<()> {
        let app = place.the_app().await?;
        let address = address(place, &app)?;
        let published = patience.until_done(spreading, || publish(place, &address, patience)).await;
        published.map_err(|unpublished| match unpublished {
            Unpublished::Refused(refusal) => refusal.into(),
            Unpublished::Failed(log) => failed(place, &log),
        })?;
        // Only now, so that what has failed is done again.
        let body = json!({
            "operation": "Merge",
            "properties": { "tags": { PUBLISHED: place.package()?.hash(32) } },
        });
        let path = format!("{}/providers/Microsoft.Resources/tags/default", place.spec.app_id());
        let attempt = format!("noting what is published at the function app {}", place.spec.app);
        let note = Request { method: Method::Patch, ..Request::put(Api::Resources, path, &body, attempt) };
        change(&place.arm, &note, patience, |_| None).await?;
        Ok(())
    }

    async fn removal(&self, _: &Place) -> Result<Removal> {
        // It goes with the app and its container.
        Ok(Removal::Nothing)
    }

    async fn remove(&self, _: &Place, _: &Step, _: Patience<'_>) -> Result<()> {
        Ok(())
    }
}

fn failed(place: &Place, log: &str) -> Error {
    let said: String = log.chars().take(LONGEST_LOG).collect();
    let said = if said.is_empty() { "Azure does not say why".to_owned() } else { said };
    let error = Error::new(ErrorKind::Unavailable, format!("{}: it failed: {said}", attempt(place)));
    error.with_hint(if log.contains(NO_ACCESS) {
        "its role at the storage account has not spread yet, which may take ten minutes: run `rustwren setup` again; or the \
         account's network rules keep the app out"
    } else {
        "run `rustwren setup` again"
    })
}
