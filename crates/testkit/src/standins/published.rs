//! What Google has published of its APIs: the definitions by which stand-ins check requests, and what they answer themselves.
//!
//! The files in `published/` are extracts of Google's discovery documents, made by `scripts/google-apis`; each names its
//! source and licence. A request has to call a method that is there, with parameters and fields that it has, of their
//! types; an answer has to be a message of the kind that the method answers with.
//!
//! It is stricter than Google in that fields which are for answers alone are refused in requests, where Google ignores
//! them: whoever sends one has misread something. So has who sends a number that an enum has not, which Google keeps.
//!
//! Google's own clients send values of enums as numbers, and ask for numbers in answers
//! (`$alt=json;enum-encoding=int`, see <https://docs.cloud.google.com/apis/docs/system-parameters>); so do these definitions
//! take and give them. They also repeat in a body what the path says, which discovery documents leave out of messages
//! but protocol buffers have in them: such a field is taken where it agrees with the path.

#![expect(clippy::expect_used, reason = "the definitions are a part of this crate, and tests read them")]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

mod enums;
mod fields;
mod values;

use fields::Mask;
use values::Sent;

static APIS: LazyLock<Vec<Api>> = LazyLock::new(|| {
    [
        include_str!("published/cloudfunctions.v2.json"),
        include_str!("published/iam.v1.json"),
        include_str!("published/logging.v2.json"),
        include_str!("published/run.v2.json"),
        include_str!("published/storage.v1.json"),
    ]
    .map(|text| serde_json::from_str(text).expect("a definition as scripts/google-apis writes it"))
    .into()
});

/// One API, as far as it is called.
#[derive(Debug, Deserialize)]
struct Api {
    host: String,
    /// Of all methods' queries.
    parameters: BTreeMap<String, Schema>,
    methods: Vec<Method>,
    schemas: BTreeMap<String, Schema>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Method {
    id: String,
    #[serde(rename = "httpMethod")]
    verb: String,
    path: String,
    parameters: BTreeMap<String, Schema>,
    request: Option<String>,
    response: Option<String>,
    /// Whether content is answered where `alt=media` asks for it.
    media: bool,
    /// Where content goes.
    #[serde(default)]
    uploads: Vec<String>,
}

/// What a parameter, a field or a message is.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Schema {
    #[serde(rename = "$ref")]
    reference: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    format: Option<String>,
    #[serde(rename = "enum")]
    one_of: Vec<String>,
    /// Of the enum's values, in their order, where they are known.
    numbers: Vec<Option<i64>>,
    read_only: bool,
    repeated: bool,
    location: Option<String>,
    /// Of parameters of a path: `^projects/[^/]+$`
    pattern: Option<String>,
    required: bool,
    /// The methods whose requests must have it.
    required_by: Vec<String>,
    properties: BTreeMap<String, Schema>,
    items: Option<Box<Schema>>,
    additional_properties: Option<Box<Schema>>,
}

/// What is wrong with a request, in Google's words where they are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong(pub(super) String);

/// A method that a request calls.
pub(super) struct Called {
    api: &'static Api,
    method: &'static Method,
    /// As it came, without a `/` before it.
    path: String,
    /// The part of the answer that is asked for.
    mask: Option<Mask>,
    /// Whether enums are answered as numbers.
    by_number: bool,
}

/// The method of the API at this host that is called so. The path is as it came, without a `/` before it; the query is decoded.
pub(super) fn called(
    host: &str,
    verb: &str,
    path: &str,
    query: &[(String, String)],
) -> Result<Called, Wrong> {
    let api = APIS.iter().find(|api| api.host == host);
    let api = api.ok_or_else(|| Wrong(format!("there are no definitions of {host}")))?;
    let at = |method: &&Method| {
        let uploads = method.uploads.iter().map(|path| path.trim_start_matches('/'));
        let verb_fits = method.verb == verb;
        verb_fits && std::iter::once(method.path.as_str()).chain(uploads).any(|template| fits(template, path))
    };
    let method = api.methods.iter().find(at);
    let method = method.ok_or_else(|| {
        Wrong(format!("Method not found: the published {host} has no {verb} {path} that is called here"))
    })?;
    let (mut mask, mut by_number) = (None, false);
    for (name, value) in query {
        if name == "$alt" && api.has_system_parameters() {
            by_number = enums::are_asked_by_number(value)?;
            continue;
        }
        let own = method.parameters.get(name).filter(|one| one.location.as_deref() == Some("query"));
        let Some(parameter) = own.or_else(|| api.parameters.get(name)) else {
            return Err(Wrong(format!(
                "Invalid JSON payload received. Unknown name \"{name}\": Cannot bind query parameter. Field '{name}' could \
                 not be found in request message."
            )));
        };
        match name.as_str() {
            "alt" if value == "media" && !method.media => {
                return Err(Wrong(format!("Invalid value at 'alt': {} answers with no content", method.id)));
            }
            "fields" => mask = Some(Mask::read(value).map_err(|_| invalid_mask(value))?),
            _ => values::parameter(parameter, name, value)?,
        }
    }
    let called = Called { api, method, path: path.to_owned(), mask, by_number };
    if let (Some(mask), Some(response)) = (&called.mask, &method.response) {
        mask.check(api, &api.schemas[response]).map_err(|name| invalid_mask(&name))?;
    }
    for (name, parameter) in &method.parameters {
        let is_missing = !query.iter().any(|(given, _)| given == name);
        if parameter.required && parameter.location.as_deref() == Some("query") && is_missing {
            return Err(Wrong(format!("Required parameter: {name}")));
        }
        if parameter.format.as_deref() == Some("google-fieldmask")
            && let Some((_, value)) = query.iter().find(|(given, _)| given == name)
        {
            called.check_update(name, value)?;
        }
    }
    Ok(called)
}

fn invalid_mask(text: &str) -> Wrong {
    Wrong(format!("Invalid field selection {text}"))
}

/// Whether a path is of this form: `v2/projects/{projectsId}/locations/{locationsId}/services/{servicesId}:getIamPolicy`.
fn fits(template: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if part_fits(wanted, given) => {}
            _ => return false,
        }
    }
}

fn part_fits(wanted: &str, given: &str) -> bool {
    let Some((_, verb)) = wanted.strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
        return wanted == given;
    };
    let name = given.strip_suffix(verb).unwrap_or_default();
    !name.is_empty() && !name.contains(':')
}

impl Api {
    /// Whether it is served by Google's platform for APIs, and takes the parameters that this takes of all of them.
    /// Cloud Storage has a server of its own.
    fn has_system_parameters(&self) -> bool {
        self.parameters.contains_key("$.xgafv")
    }

    /// The message that a value of any kind says it is: `"@type": "type.googleapis.com/google.cloud.run.v2.Service"`.
    fn message_of(&self, value: &Value) -> Option<&Schema> {
        let name = value["@type"].as_str()?.rsplit(['/', '.']).next()?;
        self.schemas.iter().find(|(message, _)| short(message) == name).map(|(_, schema)| schema)
    }
}

impl std::fmt::Debug for Called {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Called")
            .field("id", &self.method.id)
            .field("mask", &self.mask)
            .finish_non_exhaustive()
    }
}

impl Called {
    /// `run.projects.locations.services.create`
    pub(super) fn id(&self) -> &str {
        &self.method.id
    }

    /// Checks a request's body; none where it has none.
    pub(super) fn check_body(&self, body: Option<&Value>) -> Result<(), Wrong> {
        match (&self.method.request, body) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(Wrong(format!("{} takes no body", self.id()))),
            (Some(message), None) => Err(Wrong(format!("{message} was expected"))),
            (Some(message), Some(body)) => {
                let schema = &self.api.schemas[message];
                // What a message of its own carries is at its root; else the field of the message that it is.
                let place =
                    if message.ends_with("Request") { String::new() } else { first_small(short(message)) };
                let request = Sent::Request { method: &self.method.id, whole: self.method.verb != "PATCH" };
                let body = self.without_bound(message, body)?;
                values::check(self.api, schema, &body, &place, request).map_err(Wrong)
            }
        }
    }

    /// A body that was found to be right, as the definitions have it: enums by their names, and nothing of the path.
    pub(super) fn read(&self, body: &Value) -> Value {
        let Some(message) = &self.method.request else { return body.clone() };
        let body = self.without_bound(message, body).unwrap_or_else(|_| body.clone());
        enums::named(self.api, &self.api.schemas[message], &body)
    }

    /// A body without what the path says as well. An error where it says something else.
    fn without_bound(&self, message: &str, body: &Value) -> Result<Value, Wrong> {
        let (Value::Object(map), true) = (body, message.ends_with("Request")) else {
            return Ok(body.clone());
        };
        let mut rest = map.clone();
        for (name, parameter) in &self.method.parameters {
            let is_bound = parameter.location.as_deref() == Some("path")
                && !self.api.schemas[message].properties.contains_key(name);
            if let Some(value) = rest.get(name).filter(|_| is_bound) {
                // `v2/projects/p/locations/r/services/s:setIamPolicy`
                let (_, path) = self.path.split_once('/').unwrap_or_default();
                let value = value.as_str().filter(|text| is_of(parameter, text)).unwrap_or_default();
                let after = path.strip_prefix(value).filter(|_| !value.is_empty());
                if !after.is_some_and(|after| after.is_empty() || after.starts_with(['/', ':'])) {
                    return Err(Wrong(format!("Invalid value at '{name}', {value:?}: the path says {path}")));
                }
                rest.remove(name);
            }
        }
        Ok(Value::Object(rest))
    }

    /// What of an answer is sent: all of it, or what the request asked for. An error where it is not what the method
    /// answers with.
    pub(super) fn answered(&self, answer: &Value) -> Result<Value, String> {
        match &self.method.response {
            // Nothing at all, or nothing that is read.
            None if answer.is_null() => Ok(Value::Null),
            None => Err(format!("{} answers with nothing, and not with {answer}", self.id())),
            Some(message) => {
                let schema = &self.api.schemas[message];
                let place = first_small(short(message));
                values::check(self.api, schema, answer, &place, Sent::Answer)
                    .map_err(|wrong| format!("the answer to {} is no {message}: {wrong}", self.id()))?;
                let answer =
                    if self.by_number { enums::numbered(self.api, schema, answer) } else { answer.clone() };
                Ok(self.mask.as_ref().map_or_else(|| answer.clone(), |mask| mask.select(&answer)))
            }
        }
    }

    /// Fields that are to be updated are some that the message has.
    fn check_update(&self, name: &str, paths: &str) -> Result<(), Wrong> {
        let wrong =
            |path: &str| Wrong(format!("Invalid value at '{name}': {path} is no field of the message"));
        let message = self.method.request.as_ref().ok_or_else(|| wrong(paths))?;
        for path in paths.split(',') {
            let mask = Mask::read(&path.replace('.', "/")).map_err(|_| wrong(path))?;
            mask.check(self.api, &self.api.schemas[message]).map_err(|field| wrong(&field))?;
        }
        Ok(())
    }
}

/// Whether a text is of a parameter's pattern, which are all like `^projects/[^/]+/serviceAccounts/[^/]+$`.
fn is_of(parameter: &Schema, text: &str) -> bool {
    const ANY: &str = "[^/]+";
    let pattern = parameter.pattern.as_deref().unwrap_or_default().replace(ANY, "*");
    let wanted: Vec<&str> = pattern.trim_matches(['^', '$']).split('/').collect();
    let given: Vec<&str> = text.split('/').collect();
    let fits = |(wanted, given): (&&str, &&str)| wanted == given || (*wanted == "*" && !given.is_empty());
    wanted.len() == given.len() && wanted.iter().zip(&given).all(fits)
}

/// `Service` of `GoogleCloudRunV2Service`.
fn short(message: &str) -> &str {
    ["GoogleCloudRunV2", "GoogleIamV1"]
        .iter()
        .find_map(|prefix| message.strip_prefix(prefix))
        .unwrap_or(message)
}

fn first_small(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
