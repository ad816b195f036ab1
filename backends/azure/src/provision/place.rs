//! What all things know of the place that they are in.

use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::{Package, RuntimeSource, Step};
use serde_json::Value;

use super::arm::{Api, Arm, Request};
use super::package;
use super::refusal::Refusal;
use super::spec::Spec;

/// The tag of what setup has made, its value; and the name of the tag with what is published.
pub(super) const MARK: &str = "rustwren";
pub(super) const OURS: &str = "setup";
pub(super) const PUBLISHED: &str = "rustwren-runtime";

/// A subscription and what is to be in it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) arm: Arm,
    pub(super) spec: Spec,
    pub(super) source: RuntimeSource,
}

impl Place {
    /// What is to be published.
    pub(super) fn package(&self) -> Result<&Package> {
        package::package(&self.source, &self.spec)
    }

    /// The resource group.
    pub(super) async fn group(&self) -> Result<Option<Value>, Refusal> {
        let attempt = format!("looking for the resource group {}", self.spec.group);
        self.arm.find(&Request::get(Api::Resources, self.spec.group_path(), attempt)).await
    }

    /// The storage account.
    pub(super) async fn account(&self) -> Result<Option<Value>, Refusal> {
        let attempt = format!("looking for the storage account {}", self.spec.account);
        self.arm.find(&Request::get(Api::Storage, self.spec.account_id(), attempt)).await
    }

    /// The function app.
    pub(super) async fn app(&self) -> Result<Option<Value>, Refusal> {
        let attempt = format!("looking for the function app {}", self.spec.app);
        self.arm.find(&Request::get(Api::Web, self.spec.app_id(), attempt)).await
    }

    /// The Log Analytics workspace.
    pub(super) async fn workspace(&self) -> Result<Option<Value>, Refusal> {
        let attempt = format!("looking for the log workspace {}", self.spec.workspace_name());
        self.arm.find(&Request::get(Api::OperationalInsights, self.spec.workspace_id(), attempt)).await
    }

    /// The component of Application Insights.
    pub(super) async fn component(&self) -> Result<Option<Value>, Refusal> {
        let attempt =
            format!("looking for the Application Insights component {}", self.spec.component_name());
        self.arm.find(&Request::get(Api::Insights, self.spec.component_id(), attempt)).await
    }

    /// The function app, where it must be by now.
    pub(super) async fn the_app(&self) -> Result<Value> {
        self.app().await?.ok_or_else(|| missing("function app", &self.spec.app))
    }
}

/// Whether a thing carries our tag.
pub(super) fn is_ours(thing: &Value) -> bool {
    thing["tags"][MARK] == OURS
}

/// An error for a thing of the right name that setup has not made.
pub(super) fn foreign(kind: &str, name: &str, key: &str) -> Error {
    Error::new(ErrorKind::Config, format!("the {kind} {name} is there and was not made by setup"))
        .with_hint(format!("choose another name as `{key}` in [compute], or remove it"))
}

pub(super) fn missing(kind: &str, name: &str) -> Error {
    Error::new(ErrorKind::Config, format!("there is no {kind} {name}")).with_hint("run `rustwren setup`")
}

/// An error for a thing that differs from its configuration as the step says.
pub(super) fn not_as_configured(step: &Step) -> Error {
    let what: Vec<&str> = step.differences.iter().map(|difference| &*difference.what).collect();
    let message = format!("the {} {} is not as it is configured: {}", step.kind, step.name, what.join(", "));
    Error::new(ErrorKind::Config, message).with_hint("run `rustwren setup`")
}

/// Why something stays.
pub(super) fn stays(kind: &str, name: &str) -> String {
    format!("the {kind} {name} was not made by setup, and stays")
}

/// A field that setup is in charge of: what people call it, and where it is, as a JSON pointer.
pub(super) type Field = (&'static str, &'static str);

/// Numbers are the same however they are written, and so are the ids of things.
fn is_same(is: Option<&Value>, wanted: Option<&Value>) -> bool {
    let (Some(is), Some(wanted)) = (is, wanted) else { return is == wanted };
    match (is, wanted) {
        (Value::Number(is), Value::Number(wanted)) => is.as_f64() == wanted.as_f64(),
        (Value::String(is), Value::String(wanted)) if wanted.starts_with("/subscriptions/") => {
            is.eq_ignore_ascii_case(wanted)
        }
        _ => is == wanted,
    }
}

/// Adds every field that differs between two things to a step.
pub(super) fn compare(step: Step, fields: &[Field], is: &Value, wanted: &Value) -> Step {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    fields.iter().fold(step, |step, (name, pointer)| {
        let (is, wanted) = (is.pointer(pointer), wanted.pointer(pointer));
        if is_same(is, wanted) { step } else { step.differs(*name, is.map(text), wanted.map(text)) }
    })
}
