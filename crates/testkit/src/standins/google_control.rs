//! Google's control planes, as far as setup calls them: IAM, Cloud Storage's buckets, Cloud Run, Cloud Functions and Cloud
//! Logging.
//!
//! This server is ours. Every request is checked by the definitions that Google has published of these APIs (`published`),
//! and so is every answer of its own: names, types, kinds of values, and which fields are for answers alone. What calls do
//! to each other is read from the REST references of
//! [Cloud Run v2](https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.services), of
//! [Cloud Functions v2](https://cloud.google.com/functions/docs/reference/rest/v2/projects.locations.functions), of
//! [IAM v1](https://cloud.google.com/iam/docs/reference/rest/v1/projects.serviceAccounts), of [Cloud Storage's JSON
//! API](https://cloud.google.com/storage/docs/json_api/v1) and of [Cloud Logging
//! v2](https://cloud.google.com/logging/docs/reference/v2/rest/v2/entries/list). Nothing that is deployed here ever runs.
//!
//! Each API is below the name of its host: `http://127.0.0.1:port/run.googleapis.com/v2/..`.

#![expect(clippy::panic, clippy::missing_panics_doc, reason = "a test that asks for what is not there fails")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::{Front, Request, Tokens, Verdict};

mod functions;
mod iam;
mod logging;
mod run;
mod state;
mod storage;

use state::State;

/// What becomes of the operations that begin next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Course {
    /// It is over when it has been asked for so many times.
    After(usize),
    /// It ends with this code of `google.rpc.Status` and this message.
    Fails(u64, &'static str),
    /// It is never over.
    Never,
}

/// A project in which there is nothing, on a free port, until it is dropped.
#[derive(Debug)]
pub struct GoogleControl {
    front: Front,
    state: Arc<Mutex<State>>,
}

type Answer = Result<Value, (u16, Value)>;

/// An error as the APIs have it.
pub fn refusal(code: u16, status: &str, message: &str, details: &Value) -> (u16, Value) {
    (code, json!({ "error": { "code": code, "status": status, "message": message, "details": details } }))
}

fn not_found(what: &str) -> (u16, Value) {
    refusal(404, "NOT_FOUND", &format!("{what} was not found"), &json!([]))
}

fn bad(message: &str) -> (u16, Value) {
    refusal(400, "INVALID_ARGUMENT", message, &json!([]))
}

fn taken(message: &str) -> (u16, Value) {
    refusal(409, "ALREADY_EXISTS", message, &json!([]))
}

/// Where the service of this full name is called.
fn address(name: &str) -> String {
    format!("https://{}-1234567890.somewhere.run.app", name.rsplit('/').next().unwrap_or_default())
}

impl GoogleControl {
    /// A server for this project.
    pub fn start(project: &str) -> Self {
        let state = Arc::new(Mutex::new(State::new(project)));
        let served = Arc::clone(&state);
        let front = Front::before("127.0.0.1:1", move |request| {
            let mut state = served.lock().unwrap_or_else(PoisonError::into_inner);
            let told = state.refusals.pop_front();
            let answer = match told {
                Some(refused) => Err(refused),
                None => state.answer(request),
            };
            state.calls.push(format!("{} {}", request.method, request.path));
            let host = request.path.split('/').nth(1).unwrap_or_default().to_owned();
            let client = request.header("x-goog-api-client").unwrap_or_default().to_owned();
            state.callers.push((host, client));
            let is_lost = state.lost.as_ref().is_some_and(|what| request.path.contains(what));
            if is_lost && request.method != "GET" {
                state.lost = None;
                return Verdict::Drop;
            }
            let (status, body) = match answer {
                Ok(Value::Null) => (200, String::new()),
                Ok(body) => (200, body.to_string()),
                Err((status, body)) => (status, body.to_string()),
            };
            let headers = vec![("content-type", "application/json; charset=UTF-8".to_owned())];
            Verdict::Answer { status, headers, body }
        });
        let control = Self { front, state };
        control.state().endpoint = control.endpoint();
        control
    }

    /// `http://127.0.0.1:port`
    pub fn endpoint(&self) -> String {
        self.front.endpoint()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What becomes of the next operations, one after the other; those after are over when they are first asked for.
    pub fn next_operation(&self, course: Course) {
        self.state().courses.push_back(course);
    }

    /// The next call is refused so.
    pub fn refuse_next(&self, refused: (u16, Value)) {
        self.state().refusals.push_back(refused);
    }

    /// The answer to the next call that changes something at such a path is lost: it is carried out, and the connection ends.
    pub fn lose_answer(&self, path: &str) {
        self.state().lost = Some(path.to_owned());
    }

    /// From now on calls need one of these access tokens.
    pub fn require(&self, tokens: Arc<Tokens>) {
        self.state().tokens = Some(tokens);
    }

    /// What happens to operations that nobody asks for, too: time passes for them.
    pub fn pass_operations(&self) {
        self.state().pass_operations();
    }

    /// Methods and paths of all calls so far.
    pub fn calls(&self) -> Vec<String> {
        self.state().calls.clone()
    }

    /// Of all calls so far: the host of the API, and by what it was called (`x-goog-api-client`), empty where that is not said.
    pub fn callers(&self) -> Vec<(String, String)> {
        self.state().callers.clone()
    }

    /// A service or function by the end of its name.
    pub fn deployed(&self, name: &str) -> Option<Value> {
        let state = self.state();
        let found = state.deployed.iter().find(|(full, _)| full.ends_with(name));
        found.map(|(_, value)| value.clone())
    }

    /// Changes something, as somebody else does.
    pub fn change(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut state = self.state();
        let found = state.deployed.iter_mut().find(|(full, _)| full.ends_with(name));
        let (_, value) = found.unwrap_or_else(|| panic!("there is no {name}"));
        change(value);
    }

    /// The policy of a bucket or a service.
    pub fn policy(&self, name: &str) -> Value {
        self.state().policies.get(name).cloned().unwrap_or_default()
    }

    /// Puts a bucket there, as somebody else does.
    pub fn put_bucket(&self, name: &str) {
        self.state().buckets.insert(name.to_owned(), json!({ "name": name, "location": "EU" }));
    }

    /// Puts a binding into the policy of something, as somebody else does.
    pub fn grant(&self, name: &str, binding: Value) {
        let mut state = self.state();
        let policy = state.policies.entry(name.to_owned()).or_insert_with(|| json!({ "bindings": [] }));
        if let Some(bindings) = policy["bindings"].as_array_mut() {
            bindings.push(binding);
        }
    }

    /// Adds an entry to the logs, which has to be one as Cloud Logging has them.
    pub fn log(&self, entry: Value) {
        self.state().entries.push(entry);
    }

    /// The names of all objects.
    pub fn objects(&self) -> Vec<String> {
        self.state().objects.keys().cloned().collect()
    }

    /// The bytes that were sent to an address of `generateUploadUrl`, the last.
    pub fn uploaded(&self) -> Option<Vec<u8>> {
        self.state().uploaded.clone()
    }

    /// Everything that is there, by name.
    pub fn things(&self) -> Vec<String> {
        let state = self.state();
        let all = [&state.accounts, &state.buckets, &state.deployed];
        let things = all.into_iter().flat_map(BTreeMap::keys).chain(state.objects.keys());
        things.cloned().collect()
    }
}
