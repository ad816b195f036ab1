//! What there is in the subscription, and what calls do to it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value, json};

use super::super::Request;
use super::lines::Trace;
use super::operations::Operation;
use super::{Answer, Answered, AzureControl, Course, Refusal, shapes};

#[derive(Debug, Default)]
pub(super) struct State {
    /// Where this server is.
    pub(super) address: String,
    /// Everything but roles, by its id in lower case: ids are the same however they are written.
    pub(super) things: BTreeMap<String, Value>,
    pub(super) roles: BTreeMap<String, Value>,
    /// Of apps, by name in lower case.
    pub(super) settings: BTreeMap<String, BTreeMap<String, String>>,
    pub(super) courses: VecDeque<Course>,
    pub(super) publications: VecDeque<Course>,
    pub(super) operations: BTreeMap<u64, Operation>,
    pub(super) refusals: Vec<(usize, &'static str, &'static str, Refusal)>,
    pub(super) identities_after: usize,
    pub(super) roles_after: usize,
    pub(super) astray: Option<String>,
    pub(super) taken: BTreeSet<String>,
    pub(super) calls: Vec<String>,
    pub(super) malformed: BTreeSet<String>,
    pub(super) published: Option<Vec<u8>>,
    /// Publications by their ids: what becomes of them, and how often they were asked for.
    pub(super) published_so_far: BTreeMap<u64, (Course, usize, Vec<u8>)>,
    pub(super) traces: Vec<Trace>,
    /// Why the next answer about them is not whole.
    pub(super) partly: Option<String>,
    /// The last number of anything.
    pub(super) last: u64,
}

/// A call to Resource Manager.
pub(super) struct Call<'a> {
    pub(super) method: &'a str,
    /// Without the query.
    pub(super) path: &'a str,
    pub(super) query: Vec<(String, String)>,
    /// As published.
    pub(super) body: Value,
}

impl Call<'_> {
    /// The id that it is about.
    pub(super) fn id(&self) -> String {
        self.path.to_lowercase()
    }

    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

pub(super) fn not_found(id: &str) -> Refusal {
    Refusal::new(404, "ResourceNotFound", &format!("The Resource '{id}' was not found."))
}

fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

impl State {
    pub(super) fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn answer(&mut self, request: &Request) -> Answered {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let query: Vec<(String, String)> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (decode(name), decode(value)))
            .collect();
        let path = decode(path);
        if path == "/msi/token" {
            return token(request, &query);
        }
        self.calls.push(format!("{} {path}", request.method));
        if !request.header("authorization").is_some_and(|value| value.starts_with("Bearer ")) {
            let message = "Authentication failed. The 'Authorization' header is missing.";
            return Err(Refusal::new(401, "AuthenticationFailed", message));
        }
        let told = |(times, method, part, _): &&mut (usize, &str, &str, Refusal)| {
            *times > 0 && *method == request.method && path.contains(*part)
        };
        if let Some((times, _, _, refusal)) = self.refusals.iter_mut().find(told) {
            *times -= 1;
            return Err(refusal.clone());
        }
        if path.starts_with("/api/") {
            return self.package_site(request, &path, &query);
        }
        if path.starts_with("/v1/workspaces/") {
            return self.lines(request, &path);
        }
        if path.starts_with("/operations/") {
            return self.operation(&path);
        }
        let checked =
            shapes::find(&request.method, &path, &query).and_then(|operation| operation.check(&request.body));
        let body = checked.inspect_err(|_| {
            self.malformed.insert(format!("{} {path}", request.method));
        })?;
        self.resource_manager(&Call { method: &request.method, path: &path, query, body })
    }

    fn resource_manager(&mut self, call: &Call<'_>) -> Answered {
        let subscription = format!("/subscriptions/{}", AzureControl::SUBSCRIPTION);
        let id = call.id();
        if !id.starts_with(&format!("{subscription}/")) {
            let message = format!("The subscription of '{}' could not be found.", call.path);
            return Err(Refusal::new(404, "SubscriptionNotFound", &message));
        }
        if id.ends_with("/checknameavailability") {
            return Ok(self.availability(call));
        }
        if id.contains("/providers/microsoft.authorization/") {
            return self.assignments(call);
        }
        if let Some(id) = id.strip_suffix("/providers/microsoft.resources/tags/default") {
            return self.tags(id, &call.body);
        }
        let group = id.split('/').take(5).collect::<Vec<_>>().join("/");
        if id == group {
            return self.group(call);
        }
        if !self.things.contains_key(&group) {
            let name = group.rsplit('/').next().unwrap_or_default();
            let message = format!("Resource group '{name}' could not be found.");
            return Err(Refusal::new(404, "ResourceGroupNotFound", &message));
        }
        if id == format!("{group}/resources") {
            return Ok(self.listed(&group));
        }
        let provider = id.split('/').nth(6).unwrap_or_default();
        match provider {
            "microsoft.storage" => self.storage(call),
            "microsoft.operationalinsights" => self.workspaces(call),
            "microsoft.insights" => self.components(call),
            _ => self.apps(call),
        }
    }

    fn group(&mut self, call: &Call<'_>) -> Answered {
        let id = call.id();
        match call.method {
            "GET" => self.things.get(&id).cloned().map(Answer::from).ok_or_else(|| {
                let message = format!("Resource group '{}' could not be found.", call.name());
                Refusal::new(404, "ResourceGroupNotFound", &message)
            }),
            "PUT" => {
                let mut group = call.body.clone();
                group["id"] = json!(call.path);
                group["name"] = json!(call.name());
                group["type"] = json!("Microsoft.Resources/resourceGroups");
                group["properties"] = json!({ "provisioningState": "Succeeded" });
                let status = if self.things.insert(id, group.clone()).is_some() { 200 } else { 201 };
                Ok(Answer { status, ..group.into() })
            }
            _ => {
                self.things.get(&id).ok_or_else(|| not_found(call.path))?;
                Ok(self.begin_by_location((id, None)))
            }
        }
    }

    /// What is in a group, without what is in that again.
    fn listed(&self, group: &str) -> Answer {
        let inside = |id: &str| id.strip_prefix(group).is_some_and(|rest| rest.split('/').count() == 5);
        let things = self.things.iter().filter(|(id, _)| inside(id)).map(|(_, thing)| {
            json!({ "id": thing["id"], "name": thing["name"], "type": thing["type"], "tags": thing["tags"] })
        });
        json!({ "value": things.collect::<Vec<_>>() }).into()
    }

    /// Names are everybody's.
    fn availability(&self, call: &Call<'_>) -> Answer {
        let name = call.body["name"].as_str().unwrap_or_default();
        if self.is_taken(name) {
            let message = format!("The name {name} is already taken.");
            return json!({ "nameAvailable": false, "reason": "AlreadyExists", "message": message }).into();
        }
        json!({ "nameAvailable": true }).into()
    }

    pub(super) fn is_taken(&self, name: &str) -> bool {
        let there = |id: &String| {
            (id.contains("/storageaccounts/") || id.contains("/sites/"))
                && id.ends_with(&format!("/{}", name.to_lowercase()))
        };
        self.taken.contains(name) || self.things.keys().any(there)
    }

    fn tags(&mut self, id: &str, body: &Value) -> Answered {
        let thing = self.things.get_mut(id).ok_or_else(|| not_found(id))?;
        if body["operation"] != "Merge" {
            return Err(Refusal::new(400, "InvalidTagOperation", "only Merge is known here"));
        }
        let mut tags = thing["tags"].as_object().cloned().unwrap_or_default();
        tags.extend(body["properties"]["tags"].as_object().cloned().unwrap_or_default());
        thing["tags"] = Value::Object(tags.clone());
        Ok(json!({ "properties": { "tags": tags } }).into())
    }

    /// Makes something, or removes it with all that is in it.
    pub(super) fn take_effect(&mut self, (id, thing): (String, Option<Value>)) {
        if let Some(thing) = thing {
            self.things.insert(id, thing);
            return;
        }
        let inside = format!("{id}/");
        self.things.retain(|other, _| *other != id && !other.starts_with(&inside));
        self.roles.retain(|other, _| !other.starts_with(&inside));
        if let Some((_, app)) = id.split_once("/sites/") {
            self.settings.remove(app);
        }
    }
}

/// A token of the identity of wherever the program runs.
fn token(request: &Request, query: &[(String, String)]) -> Answered {
    let of = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    if request.header("x-identity-header").is_none() || of("api-version").as_deref() != Some("2019-08-01") {
        return Err(Refusal::new(400, "BadRequest", "no identity header, or another version"));
    }
    let token = json!({
        "access_token": "hunter2-token",
        "expires_on": "4102444800",
        "resource": of("resource").unwrap_or_default(),
        "token_type": "Bearer",
    });
    Ok(token.into())
}
