//! Requests as Microsoft publishes them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

use super::Refusal;

#[derive(Debug, Deserialize)]
struct Published {
    operations: Vec<Operation>,
    models: BTreeMap<String, BTreeMap<String, Field>>,
}

/// A published call.
#[derive(Debug, Deserialize)]
pub(super) struct Operation {
    method: String,
    path: String,
    #[serde(rename = "api-version")]
    version: String,
    query: Vec<String>,
    body: Option<String>,
}

/// A field of a model, or what a list or map is of.
#[derive(Debug, Deserialize)]
struct Field {
    #[serde(flatten)]
    kind: Kind,
    #[serde(default, rename = "readOnly")]
    read_only: bool,
    #[serde(default)]
    required: bool,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", content = "of", rename_all = "lowercase")]
enum Kind {
    String,
    Boolean,
    Number,
    Any,
    Enum(Vec<Value>),
    Model(String),
    List(Box<Kind>),
    Map(Box<Kind>),
}

static PUBLISHED: LazyLock<Published> = LazyLock::new(|| {
    let text = include_str!("published.json");
    serde_json::from_str(text).unwrap_or_else(|error| panic!("published.json: {error}"))
});

/// The refusal of a request that is not as published.
fn invalid(message: &str) -> Refusal {
    let message = format!("The request content was invalid and could not be deserialized: '{message}'");
    Refusal::new(400, "InvalidRequestContent", &message)
}

/// Whether a path is one of a template's. A scope is any path, everything else in braces one part of it.
fn fits(template: &str, path: &str) -> bool {
    let (mut template, mut path): (Vec<&str>, Vec<&str>) =
        (template.split('/').collect(), path.split('/').collect());
    if let Some(at) = template.iter().position(|part| *part == "{scope}") {
        template.drain(..=at);
        path.drain(..path.len().saturating_sub(template.len()));
    }
    let fits = |(template, part): (&&str, &&str)| {
        if template.starts_with('{') { !part.is_empty() } else { template.eq_ignore_ascii_case(part) }
    };
    template.len() == path.len() && template.iter().zip(&path).all(fits)
}

/// The published call that this is.
pub(super) fn find(
    method: &str,
    path: &str,
    query: &[(String, String)],
) -> Result<&'static Operation, Refusal> {
    let of_path = || PUBLISHED.operations.iter().filter(|operation| fits(&operation.path, path));
    if of_path().next().is_none() {
        return Err(Refusal::new(
            404,
            "InvalidResourceType",
            &format!("The resource type of '{path}' could not be found."),
        ));
    }
    let Some(operation) = of_path().find(|operation| operation.method == method) else {
        return Err(Refusal::new(
            405,
            "MethodNotAllowed",
            &format!("{method} is not supported for '{path}'."),
        ));
    };
    let version = query.iter().find(|(name, _)| name == "api-version").map(|(_, value)| value.as_str());
    match version {
        Some(version) if version == operation.version => {}
        Some(version) => {
            let message = format!(
                "The api-version '{version}' is invalid. The supported versions are '{}'.",
                operation.version
            );
            return Err(Refusal::new(400, "InvalidApiVersionParameter", &message));
        }
        None => {
            let message = "The api-version query parameter (?api-version=) is required for all requests.";
            return Err(Refusal::new(400, "MissingApiVersionParameter", message));
        }
    }
    match query.iter().find(|(name, _)| !operation.query.contains(name)) {
        Some((name, _)) => Err(Refusal::new(
            400,
            "InvalidRequestUri",
            &format!("The query parameter '{name}' is not supported."),
        )),
        None => Ok(operation),
    }
}

impl Operation {
    /// Checks a body: that it is there where one is published, and has the published shape.
    pub(super) fn check(&self, body: &[u8]) -> Result<Value, Refusal> {
        let Some(model) = &self.body else {
            return if body.is_empty() { Ok(Value::Null) } else { Err(invalid("No content was expected.")) };
        };
        let value: Value = serde_json::from_slice(body).map_err(|error| invalid(&error.to_string()))?;
        check_model(model, &value, "")?;
        Ok(value)
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Fields are published by their way from the model: `properties.httpsOnly`.
fn check_model(model: &str, value: &Value, path: &str) -> Result<(), Refusal> {
    let fields = PUBLISHED.models.get(model).unwrap_or_else(|| panic!("published.json has no {model}"));
    let name = model.rsplit('.').next().unwrap_or(model);
    check_object(fields, value, name, path, "")?;
    for (way, _) in fields.iter().filter(|(_, field)| field.required && !field.read_only) {
        let pointer = format!("/{}", way.replace('.', "/"));
        // What is required within something that may be left out is required where that is there.
        let within = pointer.rsplit_once('/').map_or("", |(within, _)| within);
        let is_asked = within.is_empty() || value.pointer(within).is_some();
        if is_asked && value.pointer(&pointer).is_none_or(Value::is_null) {
            return Err(invalid(&format!("Required property '{way}' not found in JSON. Path '{path}'.")));
        }
    }
    Ok(())
}

fn check_object(
    fields: &BTreeMap<String, Field>,
    value: &Value,
    model: &str,
    path: &str,
    way: &str,
) -> Result<(), Refusal> {
    let Value::Object(members) = value else {
        return Err(invalid(&format!("Error converting value {value} to type '{model}'. Path '{path}'.")));
    };
    for (name, value) in members {
        let (path, way) = (joined(path, name), joined(way, name));
        match fields.get(&way) {
            Some(field) if field.read_only => {
                return Err(invalid(&format!("The property '{path}' of '{model}' is read-only.")));
            }
            Some(field) => check_kind(&field.kind, value, &path)?,
            None if fields.keys().any(|field| field.starts_with(&format!("{way}."))) => {
                check_object(fields, value, model, &path, &way)?;
            }
            None => {
                return Err(invalid(&format!(
                    "Could not find member '{name}' on object of type '{model}'. Path '{path}'."
                )));
            }
        }
    }
    Ok(())
}

fn check_kind(kind: &Kind, value: &Value, path: &str) -> Result<(), Refusal> {
    let is = |fits: bool, kind: &str| {
        if fits {
            return Ok(());
        }
        Err(invalid(&format!("Error converting value {value} to type '{kind}'. Path '{path}'.")))
    };
    match kind {
        Kind::Any => Ok(()),
        Kind::String => is(value.is_string(), "System.String"),
        Kind::Boolean => is(value.is_boolean(), "System.Boolean"),
        Kind::Number => is(value.is_number(), "System.Int32"),
        Kind::Enum(of) => {
            let names: Vec<String> =
                of.iter().map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned)).collect();
            is(of.contains(value), &names.join("|"))
        }
        Kind::Model(of) => check_model(of, value, path),
        Kind::List(of) => match value.as_array() {
            Some(items) => items.iter().try_for_each(|item| check_kind(of, item, &format!("{path}[]"))),
            None => is(false, "a list"),
        },
        Kind::Map(of) => match value.as_object() {
            Some(members) => {
                members.iter().try_for_each(|(name, item)| check_kind(of, item, &joined(path, name)))
            }
            None => is(false, "a map"),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const GROUP: &str = "/subscriptions/s/resourceGroups/g";

    fn site() -> &'static Operation {
        let version = ("api-version".to_owned(), "2024-04-01".to_owned());
        find("PUT", &format!("{GROUP}/providers/Microsoft.Web/sites/x"), &[version]).unwrap()
    }

    fn refused(body: &Value) -> String {
        site().check(body.to_string().as_bytes()).unwrap_err().body
    }

    #[test]
    fn what_is_not_published_is_refused() {
        let good = json!({ "location": "eastus", "properties": { "httpsOnly": true, "functionAppConfig": {
            "scaleAndConcurrency": { "instanceMemoryMB": 512, "triggers": { "http": { "perInstanceConcurrency": 1 } } },
        } } });
        assert!(site().check(good.to_string().as_bytes()).is_ok());
        assert!(refused(&json!({ "location": "x", "colour": 1 })).contains("Could not find member 'colour'"));
        let inner = json!({ "location": "x", "properties": { "functionAppConfig": { "scale": {} } } });
        assert!(refused(&inner).contains("Path 'properties.functionAppConfig.scale'"));
        assert!(
            refused(&json!({ "location": "x", "properties": { "state": "Running" } })).contains("read-only")
        );
        assert!(
            refused(&json!({ "location": "x", "properties": { "httpsOnly": "yes" } }))
                .contains("System.Boolean")
        );
        assert!(
            refused(&json!({ "location": "x", "identity": { "type": "Own" } })).contains("SystemAssigned")
        );
        assert!(refused(&json!({ "kind": "functionapp" })).contains("Required property 'location'"));
        assert!(refused(&json!({ "location": "x", "tags": { "a": 1 } })).contains("Path 'tags.a'"));
    }

    #[test]
    fn calls_are_known_by_method_path_version_and_parameters() {
        let query = |version: &str, more: &[&str]| -> Vec<(String, String)> {
            let own = [("api-version".to_owned(), version.to_owned())];
            own.into_iter().chain(more.iter().map(|name| ((*name).to_owned(), String::new()))).collect()
        };
        let role = format!("{GROUP}/x/y/providers/Microsoft.Authorization/roleAssignments/r");
        assert!(find("PUT", &role, &query("2022-04-01", &[])).is_ok());
        assert!(
            find("PATCH", &role, &query("2022-04-01", &[])).unwrap_err().body.contains("MethodNotAllowed")
        );
        assert!(
            find("PUT", &role, &query("2020-01-01", &[])).unwrap_err().body.contains("InvalidApiVersion")
        );
        assert!(find("PUT", &role, &query("2022-04-01", &["force"])).unwrap_err().body.contains("'force'"));
        assert!(
            find("GET", "/subscriptions/s/pets", &query("1", &[]))
                .unwrap_err()
                .body
                .contains("InvalidResourceType")
        );
    }
}
