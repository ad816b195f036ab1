//! What Google has published of its APIs: the definitions by which stand-ins check requests, and what they answer themselves.
//!
//! The files in `published/` are extracts of Google's discovery documents, made by `scripts/google-apis`; each names its
//! source and licence. A request has to call a method that is there, with parameters and fields that it has, of their
//! types; an answer has to be a message of the kind that the method answers with.
//!
//! It is stricter than Google in that fields which are for answers alone are refused in requests, where Google ignores
//! them: whoever sends one has misread something.

#![expect(clippy::expect_used, reason = "the definitions are a part of this crate, and tests read them")]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

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
    read_only: bool,
    repeated: bool,
    location: Option<String>,
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
    /// The part of the answer that is asked for.
    mask: Option<Mask>,
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
    let mut mask = None;
    for (name, value) in query {
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
    let called = Called { api, method, mask };
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
                values::check(self.api, schema, body, &place, request).map_err(Wrong)
            }
        }
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
                Ok(self.mask.as_ref().map_or_else(|| answer.clone(), |mask| mask.select(answer)))
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
mod tests {
    use serde_json::json;

    use super::*;

    const LOCATION: &str = "v2/projects/p/locations/r";

    fn call(host: &str, verb: &str, path: &str, query: &[(&str, &str)]) -> Result<Called, Wrong> {
        let query: Vec<_> = query.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        called(&format!("{host}.googleapis.com"), verb, path, &query)
    }

    fn service() -> Called {
        call("run", "POST", &format!("{LOCATION}/services"), &[("serviceId", "s")]).unwrap()
    }

    #[test]
    fn methods_are_found_by_their_paths() {
        for (host, verb, path, id) in [
            ("run", "GET", "v2/projects/p/locations/r/services/s", "run.projects.locations.services.get"),
            (
                "run",
                "GET",
                "v2/projects/p/locations/r/services/s:getIamPolicy",
                "run.projects.locations.services.getIamPolicy",
            ),
            ("run", "GET", "v2/projects/p/locations/r/operations/7", "run.projects.locations.operations.get"),
            ("storage", "GET", "storage/v1/b/b/o/a%2Fb", "storage.objects.get"),
            ("storage", "POST", "upload/storage/v1/b/b/o", "storage.objects.insert"),
            ("logging", "POST", "v2/entries:list", "logging.entries.list"),
        ] {
            assert_eq!(call(host, verb, path, &[]).unwrap().id(), id);
        }
        for (host, verb, path) in [
            ("run", "PUT", "v2/projects/p/locations/r/services/s"),
            ("run", "GET", "v1/projects/p/locations/r/services/s"),
            ("run", "GET", "v2/projects/p/locations/r/services/s:fly"),
            ("run", "GET", "v2/projects//locations/r/services/s"),
            ("storage", "GET", "storage/v1/b/b/o/a/b"),
            ("sql", "GET", "v1"),
        ] {
            call(host, verb, path, &[]).unwrap_err();
        }
    }

    #[test]
    fn parameters_are_those_that_the_method_has() {
        let list = |query: &[(&str, &str)]| call("storage", "GET", "storage/v1/b/b/o", query);
        for query in [
            &[("prefix", "x"), ("maxResults", "7"), ("projection", "noAcl")][..],
            &[("fields", "items(name,size),nextPageToken"), ("prettyPrint", "false")],
            &[("fields", "items/metadata/anything"), ("alt", "json")],
            &[("fields", "*")],
        ] {
            list(query).unwrap();
        }
        for (query, words) in [
            (("bucket", "b"), "Unknown name \"bucket\": Cannot bind query parameter"),
            (("max-results", "7"), "max-results"),
            (("maxResults", "many"), "Invalid value at 'maxResults' (TYPE_UINT32), \"many\""),
            (("maxResults", "-1"), "maxResults"),
            (("projection", "some"), "projection"),
            (("versions", "1"), "versions"),
            (("alt", "media"), "alt"),
            (("fields", "items(nome)"), "Invalid field selection nome"),
            (("fields", "items(name"), "Invalid field selection"),
            (("fields", "kind/x"), "Invalid field selection x"),
        ] {
            let Wrong(said) = list(&[query]).unwrap_err();
            assert!(said.contains(words), "{query:?}: {said}");
        }
        call("storage", "GET", "storage/v1/b/b/o/o", &[("alt", "media")]).unwrap();
        let Wrong(said) = call("storage", "POST", "storage/v1/b", &[]).unwrap_err();
        assert_eq!(said, "Required parameter: project");
        let patch = |mask| {
            call("cloudfunctions", "PATCH", &format!("{LOCATION}/functions/f"), &[("updateMask", mask)])
        };
        patch("labels,buildConfig,serviceConfig.availableMemory").unwrap();
        let Wrong(said) = patch("labels,memory").unwrap_err();
        assert_eq!(said, "Invalid value at 'updateMask': memory is no field of the message");
    }

    #[test]
    fn bodies_have_the_fields_of_their_messages() {
        let whole = json!({
            "labels": { "a": "b" },
            "ingress": "INGRESS_TRAFFIC_ALL",
            "template": {
                "timeout": "300s",
                "scaling": { "maxInstanceCount": 7 },
                "containers": [{ "image": "scratch", "env": [{ "name": "X", "value": "y" }] }],
            },
        });
        service().check_body(Some(&whole)).unwrap();
        for (pointer, value, words) in [
            (
                "/template/containers/0/baseImage",
                json!("x"),
                "Invalid JSON payload received. Unknown name \"baseImage\" at 'service.template.containers[0]': Cannot find field.",
            ),
            ("/labels/a", json!(7), "Invalid value at 'service.labels[a]' (TYPE_STRING), 7"),
            ("/ingress", json!("ALL"), "Invalid value at 'service.ingress'"),
            ("/template/timeout", json!("5m"), "duration must end with 's'"),
            ("/template/timeout", json!(300), "service.template.timeout"),
            ("/template/scaling/maxInstanceCount", json!("7"), "(TYPE_INT32), \"7\""),
            ("/template/scaling/maxInstanceCount", json!(1_u64 << 40), "TYPE_INT32"),
            ("/template/containers", json!({}), "service.template.containers"),
            (
                "/template/containers/0/image",
                json!(null),
                "Required field service.template.containers[0].image",
            ),
            ("/uri", json!("https://x"), "service.uri is output only"),
            ("/template", json!(null), "Required field service.template"),
        ] {
            let mut changed = whole.clone();
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            changed.pointer_mut(parent).unwrap()[name] = value;
            let Wrong(said) = service().check_body(Some(&changed)).unwrap_err();
            assert!(said.contains(words), "{pointer}: {said}");
        }
        service().check_body(None).unwrap_err();
        let get = call("run", "GET", &format!("{LOCATION}/services/s"), &[]).unwrap();
        get.check_body(None).unwrap();
        get.check_body(Some(&json!({}))).unwrap_err();
    }

    #[test]
    fn answers_are_messages_and_only_what_was_asked_for() {
        let get = |fields| call("storage", "GET", "storage/v1/b/b/o/o", &[("fields", fields)]).unwrap();
        let object = json!({ "name": "o", "size": "7", "metadata": { "a": "b", "c": "d" }, "updated": "2026-01-31T23:59:59.999Z" });
        assert_eq!(get("*").answered(&object).unwrap(), object);
        assert_eq!(
            get("name,metadata/a").answered(&object).unwrap(),
            json!({ "name": "o", "metadata": { "a": "b" } })
        );
        for (wrong, words) in [
            (json!({ "size": 7 }), "object.size"),
            (json!({ "updated": "yesterday" }), "object.updated"),
            (json!({ "crc32c": 1 }), "object.crc32c"),
            (json!({ "length": "7" }), "length"),
            (json!({ "name": null }), "object.name"),
            (json!([]), "no Object"),
        ] {
            let said = get("*").answered(&wrong).unwrap_err();
            assert!(said.contains(words), "{wrong}: {said}");
        }
        let list = call("storage", "GET", "storage/v1/b/b/o", &[("fields", "items(name)")]).unwrap();
        let page =
            json!({ "kind": "storage#objects", "items": [{ "name": "a", "size": "1" }, { "size": "2" }] });
        assert_eq!(list.answered(&page).unwrap(), json!({ "items": [{ "name": "a" }, {}] }));
        let delete = call("storage", "DELETE", "storage/v1/b/b/o/o", &[]).unwrap();
        assert_eq!(delete.answered(&Value::Null), Ok(Value::Null));
        delete.answered(&json!({})).unwrap_err();
    }
}
