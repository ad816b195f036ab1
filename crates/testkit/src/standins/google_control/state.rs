//! What there is in the project, and which API a call is for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::{Answer, Course, Request, bad, not_found, refusal};
use crate::standins::Tokens;
use crate::standins::published::{self, Wrong};

/// Messages, below `google.`.
const EMPTY: &str = "protobuf.Empty";
const FUNCTION: &str = "cloud.functions.v2.Function";
const SERVICE: &str = "cloud.run.v2.Service";

#[derive(Debug)]
pub(super) struct State {
    /// Where this server is.
    pub(super) endpoint: String,
    pub(super) project: String,
    pub(super) accounts: BTreeMap<String, Value>,
    pub(super) buckets: BTreeMap<String, Value>,
    /// By bucket and name, with a slash between.
    pub(super) objects: BTreeMap<String, Vec<u8>>,
    /// Services and functions, by their full names.
    pub(super) deployed: BTreeMap<String, Value>,
    /// Of buckets and services.
    pub(super) policies: BTreeMap<String, Value>,
    /// Entries of logs, in the order in which they came in.
    pub(super) entries: Vec<Value>,
    pub(super) courses: VecDeque<Course>,
    /// Of which calls need one.
    pub(super) tokens: Option<Arc<Tokens>>,
    operations: BTreeMap<String, Operation>,
    pub(super) refusals: VecDeque<(u16, Value)>,
    /// A part of the path of a call whose answer gets lost.
    pub(super) lost: Option<String>,
    pub(super) calls: Vec<String>,
    /// The first part of each call's path, and what made it says that it is.
    pub(super) callers: Vec<(String, String)>,
    pub(super) uploaded: Option<Vec<u8>>,
    /// The last number of anything.
    last: u64,
}

#[derive(Debug)]
struct Operation {
    course: Course,
    asked: usize,
    /// What it does when it is over: things by their names, or none for those that go.
    effects: Vec<(String, Option<Value>)>,
}

/// A call, as the APIs see it.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) method: &'a str,
    /// Without a slash before it, encoded as it came.
    pub(super) path: &'a str,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Value,
    pub(super) request: &'a Request,
}

impl Call<'_> {
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl State {
    pub(super) fn new(project: &str) -> Self {
        Self {
            endpoint: String::new(),
            project: project.to_owned(),
            accounts: BTreeMap::new(),
            buckets: BTreeMap::new(),
            objects: BTreeMap::new(),
            deployed: BTreeMap::new(),
            policies: BTreeMap::new(),
            entries: Vec::new(),
            courses: VecDeque::new(),
            tokens: None,
            operations: BTreeMap::new(),
            refusals: VecDeque::new(),
            lost: None,
            calls: Vec::new(),
            callers: Vec::new(),
            uploaded: None,
            last: 0,
        }
    }

    /// Checks a call by what is published of the API, carries it out, and checks the answer.
    pub(super) fn answer(&mut self, request: &Request) -> Answer {
        let path = request.path.trim_start_matches('/');
        let (host, rest) = path.split_once('/').unwrap_or((path, ""));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        if host == "upload" && request.method == "PUT" {
            return self.upload(request);
        }
        if self.tokens.as_ref().is_some_and(|tokens| tokens.of_access(request).is_none()) {
            let message = "Request had invalid authentication credentials.";
            return Err(refusal(401, "UNAUTHENTICATED", message, &json!([])));
        }
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let query: Vec<_> = pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (decode(name), decode(value)))
            .collect();
        let wrong = |Wrong(message)| bad(&message);
        let called = published::called(host, &request.method, path, &query).map_err(wrong)?;
        // What an upload has as its body is content.
        let is_content = path.starts_with("upload/");
        let body = match &request.body[..] {
            [] => None,
            _ if is_content => None,
            bytes => Some(serde_json::from_slice(bytes).map_err(|_| bad("Invalid JSON payload received."))?),
        };
        if !is_content {
            called.check_body(body.as_ref()).map_err(wrong)?;
        }
        let body = body.map(|body| called.read(&body)).unwrap_or_default();
        let call = Call { method: &request.method, path, query, body, request };
        let answer = match host {
            "iam.googleapis.com" => self.iam(&call),
            "logging.googleapis.com" => self.logging(&call),
            "storage.googleapis.com" => self.storage(&call),
            "run.googleapis.com" => self.run(&call),
            "cloudfunctions.googleapis.com" => self.functions(&call),
            _ => Err(not_found(host)),
        }?;
        called.answered(&answer).map_err(|why| refusal(500, "INTERNAL", &why, &json!([])))
    }

    /// The address that `generateUploadUrl` gives.
    fn upload(&mut self, request: &Request) -> Answer {
        if request.header("authorization").is_some() {
            return Err(bad("a signed URL takes no Authorization"));
        }
        if request.header("content-type") != Some("application/zip") {
            let message = "the type is not the one that was signed";
            return Err(refusal(403, "PERMISSION_DENIED", message, &json!([])));
        }
        self.uploaded = Some(request.body.clone());
        Ok(Value::Null)
    }

    /// A number that nothing else has.
    pub(super) fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn policy(&self, name: &str) -> Value {
        self.policies
            .get(name)
            .cloned()
            .unwrap_or_else(|| json!({ "bindings": [], "etag": etag(0), "version": 1 }))
    }

    pub(super) fn set_policy(&mut self, name: &str, mut policy: Value) -> Answer {
        if policy["etag"] != self.policy(name)["etag"] {
            return Err(refusal(409, "ABORTED", "There were concurrent policy changes.", &json!([])));
        }
        let bindings = policy["bindings"].as_array().cloned().unwrap_or_default();
        if bindings.iter().any(|binding| binding.get("condition").is_some()) && policy["version"] != 3 {
            return Err(bad("conditions need version 3"));
        }
        let members =
            bindings.iter().flat_map(|binding| binding["members"].as_array().cloned().unwrap_or_default());
        for member in members {
            let email = member
                .as_str()
                .and_then(|member| member.strip_prefix("serviceAccount:").map(ToOwned::to_owned));
            let ours = format!("@{}.iam.gserviceaccount.com", self.project);
            if let Some(email) =
                email.filter(|email| email.ends_with(&ours) && !self.accounts.contains_key(email))
            {
                let message = format!("Service account {email} does not exist.");
                return Err(bad(&message));
            }
        }
        policy["etag"] = json!(etag(self.number()));
        self.policies.insert(name.to_owned(), policy.clone());
        Ok(policy)
    }

    /// Begins an operation at whose end things are there, or gone.
    pub(super) fn begin(&mut self, effects: Vec<(String, Option<Value>)>) -> Value {
        let number = self.number();
        let name = format!("projects/{}/locations/somewhere/operations/{number}", self.project);
        let course = self.courses.pop_front().unwrap_or(Course::After(1));
        self.operations.insert(name.clone(), Operation { course, asked: 0, effects });
        json!({ "name": name })
    }

    /// Moves all operations on, as if each had been asked for.
    pub(super) fn pass_operations(&mut self) {
        for name in self.operations.keys().cloned().collect::<Vec<_>>() {
            // What comes of it is known to whoever asks.
            drop(self.operation(&name));
        }
    }

    pub(super) fn operation(&mut self, name: &str) -> Answer {
        let operation = self.operations.get_mut(name).ok_or_else(|| not_found(name))?;
        operation.asked += 1;
        match operation.course {
            Course::After(times) if operation.asked >= times => {
                let mut response = Value::Null;
                for (thing, value) in std::mem::take(&mut operation.effects) {
                    let kind = if thing.contains("/functions/") { FUNCTION } else { SERVICE };
                    let (said, kind) = if let Some(value) = value {
                        self.deployed.insert(thing, value.clone());
                        (Some(value), kind)
                    } else {
                        self.policies.remove(&thing);
                        // What is answered at the end of a removal is the service, and of a function nothing.
                        (self.deployed.remove(&thing), if kind == SERVICE { SERVICE } else { EMPTY })
                    };
                    response = said.filter(|_| kind != EMPTY).unwrap_or_else(|| json!({}));
                    response["@type"] = json!(format!("type.googleapis.com/google.{kind}"));
                }
                Ok(json!({ "name": name, "done": true, "response": response }))
            }
            Course::Fails(code, message) => {
                Ok(json!({ "name": name, "done": true, "error": { "code": code, "message": message } }))
            }
            // What is false is left out, as everything is that has its default.
            Course::After(_) | Course::Never => Ok(json!({ "name": name })),
        }
    }

    pub(super) fn known_account(&self, email: &str) -> Result<(), (u16, Value)> {
        if self.accounts.contains_key(email)
            || !email.ends_with(&format!("@{}.iam.gserviceaccount.com", self.project))
        {
            return Ok(());
        }
        Err(refusal(404, "NOT_FOUND", &format!("Service account {email} was not found."), &json!([])))
    }
}

/// Which version of a policy it is.
fn etag(number: u64) -> String {
    STANDARD.encode(number.to_be_bytes())
}

pub(super) fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
