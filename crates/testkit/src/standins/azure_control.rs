//! Azure Resource Manager, as far as setup calls it, and the place where packages of function apps are published.
//!
//! This server is ours, and follows what Microsoft has published of these APIs. The shapes of requests are those of
//! Microsoft's own packages (`azure_control/published.json` says which, and `scripts/azure-shapes` makes it anew): a call
//! that is not published, of another version or with another parameter, and a field that is unknown, read-only, mistyped or
//! missing is refused in Resource Manager's words. What calls do follows the REST references of [resource
//! groups](https://learn.microsoft.com/rest/api/resources/), [storage accounts](https://learn.microsoft.com/rest/api/storagerp/),
//! [function apps](https://learn.microsoft.com/rest/api/appservice/), [role
//! assignments](https://learn.microsoft.com/rest/api/authorization/), [Log Analytics
//! workspaces](https://learn.microsoft.com/rest/api/loganalytics/) and [components of Application
//! Insights](https://learn.microsoft.com/rest/api/application-insights/components), [asynchronous
//! operations](https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations) and [publishing to Flex
//! Consumption](https://learn.microsoft.com/azure/azure-functions/functions-deployment-technologies), as read in November 2026.
//! Nothing that is deployed here runs by itself. Questions about lines of logs are answered as well (`azure_control/lines.rs`),
//! which Azure does at another address.
//!
//! Azure has three ways to say how far an operation is. Here storage accounts and groups go by `Location`, function apps
//! by `Azure-AsyncOperation` and plans by their own `provisioningState`, so that all three are walked.

#![expect(clippy::panic, clippy::missing_panics_doc, reason = "a test that asks for what is not there fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde_json::{Value, json};

use super::{Front, Verdict};

mod apps;
mod lines;
mod monitor;
mod operations;
mod roles;
mod shapes;
mod state;
mod storage;

use state::State;

/// What becomes of the operations and publications that begin next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Course {
    /// It is over when it has been asked for so many times.
    After(usize),
    /// It ends with this code and message.
    Fails(&'static str, &'static str),
    /// It is never over.
    Never,
}

/// A refusal, as Resource Manager has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    status: u16,
    body: String,
    retry_after: Option<u64>,
}

impl Refusal {
    /// One with this code and message.
    pub fn new(status: u16, code: &str, message: &str) -> Self {
        let body = json!({ "error": { "code": code, "message": message } }).to_string();
        Self { status, body, retry_after: None }
    }

    /// The same with seconds to wait.
    pub fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }
}

/// What a call is answered with.
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Value,
}

impl From<Value> for Answer {
    fn from(body: Value) -> Self {
        Self { status: 200, headers: Vec::new(), body }
    }
}

type Answered = Result<Answer, Refusal>;

/// A subscription in which there is nothing, on a free port, until it is dropped.
#[derive(Debug)]
pub struct AzureControl {
    front: Front,
    state: Arc<Mutex<State>>,
}

impl AzureControl {
    /// The subscription.
    pub const SUBSCRIPTION: &str = "11111111-2222-3333-4444-555555555555";
    /// The function key of every app, once something is published to it.
    pub const FUNCTION_KEY: &str = "hunter2-the-function-key==";
    /// Another key of every app, which is for nobody.
    pub const MASTER_KEY: &str = "hunter2-the-master-key==";

    /// A server for [`SUBSCRIPTION`](Self::SUBSCRIPTION).
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let served = Arc::clone(&state);
        let front = Front::before("127.0.0.1:1", move |request| {
            let mut state = served.lock().unwrap_or_else(PoisonError::into_inner);
            let answer = state.answer(request);
            let (status, mut headers, body) = match answer {
                Ok(Answer { status, headers, body }) => {
                    (status, headers, if body.is_null() { String::new() } else { body.to_string() })
                }
                Err(Refusal { status, body, retry_after }) => (
                    status,
                    retry_after.map(|after| ("retry-after", after.to_string())).into_iter().collect(),
                    body,
                ),
            };
            headers.push(("content-type", "application/json; charset=utf-8".to_owned()));
            Verdict::Answer { status, headers, body }
        });
        let azure = Self { front, state };
        azure.state().address = azure.endpoint();
        azure
    }

    /// `http://127.0.0.1:port`
    pub fn endpoint(&self) -> String {
        self.front.endpoint()
    }

    /// Where programs get tokens for it, as [apps do for their
    /// identity](https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference): the value
    /// of `IDENTITY_ENDPOINT`. `IDENTITY_HEADER` may be anything.
    pub fn identity_endpoint(&self) -> String {
        format!("{}/msi/token", self.endpoint())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What becomes of the next operations, one after the other; those after are over when they are first asked for.
    pub fn next_operation(&self, course: Course) {
        self.state().courses.push_back(course);
    }

    /// What becomes of the next publications.
    pub fn next_publication(&self, course: Course) {
        self.state().publications.push_back(course);
    }

    /// Refuses so many calls of this method with this in their path.
    pub fn refuse(&self, times: usize, method: &'static str, path: &'static str, refusal: Refusal) {
        self.state().refusals.push((times, method, path, refusal));
    }

    /// Entra knows new identities only after it was asked for so many times.
    pub fn know_identities_after(&self, times: usize) {
        self.state().identities_after = times;
    }

    /// Roles hold only after so many publications that needed them.
    pub fn spread_roles_after(&self, times: usize) {
        self.state().roles_after = times;
    }

    /// The next operation is said to be found at this address.
    pub fn lead_astray(&self, url: &str) {
        self.state().astray = Some(url.to_owned());
    }

    /// Somebody else has a storage account or an app of this name.
    pub fn take_name(&self, name: &str) {
        self.state().taken.insert(name.to_owned());
    }

    /// Methods and paths of all calls so far.
    pub fn calls(&self) -> Vec<String> {
        self.state().calls.clone()
    }

    /// The ids of everything that is there, assignments of roles included.
    pub fn things(&self) -> Vec<String> {
        let state = self.state();
        let things = state.things.values().chain(state.roles.values());
        things.filter_map(|thing| thing["id"].as_str()).map(ToOwned::to_owned).collect()
    }

    /// A thing by the end of its id.
    pub fn thing(&self, end: &str) -> Option<Value> {
        let state = self.state();
        let end = end.to_lowercase();
        state.things.iter().find(|(id, _)| id.ends_with(&end)).map(|(_, thing)| thing.clone())
    }

    /// Assignments of roles.
    pub fn roles(&self) -> Vec<Value> {
        self.state().roles.values().cloned().collect()
    }

    /// Changes something, as somebody else does.
    pub fn change(&self, end: &str, change: impl FnOnce(&mut Value)) {
        let mut state = self.state();
        let lower = end.to_lowercase();
        let found = state.things.iter_mut().find(|(id, _)| id.ends_with(&lower));
        let (_, thing) = found.unwrap_or_else(|| panic!("there is no {end}"));
        change(thing);
    }

    /// Removes something with all that is in it, as somebody else does.
    pub fn remove(&self, end: &str) {
        let mut state = self.state();
        let end = end.to_lowercase();
        let found = state.things.keys().find(|id| id.ends_with(&end)).cloned();
        let id = found.unwrap_or_else(|| panic!("there is no {end}"));
        state.take_effect((id, None));
    }

    /// Puts something there below the subscription, as somebody else does.
    pub fn put(&self, path: &str, mut thing: Value) {
        let id = format!("/subscriptions/{}/{path}", Self::SUBSCRIPTION);
        thing["id"] = json!(id);
        thing["name"] = json!(path.rsplit('/').next());
        self.state().things.insert(id.to_lowercase(), thing);
    }

    /// The settings of an app.
    pub fn settings(&self, app: &str) -> BTreeMap<String, String> {
        self.state().settings.get(&app.to_lowercase()).cloned().unwrap_or_default()
    }

    /// Sets a setting of an app, as somebody else does.
    pub fn set(&self, app: &str, name: &str, value: &str) {
        let mut state = self.state();
        let settings = state.settings.entry(app.to_lowercase()).or_default();
        settings.insert(name.to_owned(), value.to_owned());
    }

    /// What Application Insights has taken in of an app's instance, at this time: a line that a worker has printed, say. It
    /// goes where the app's settings say.
    pub fn trace(&self, app: &str, time: SystemTime, instance: &str, message: &str) {
        let time = jiff::Timestamp::try_from(time).unwrap_or_else(|error| panic!("{error}"));
        let mut state = self.state();
        let settings = state.settings.get(&app.to_lowercase());
        let by = settings.and_then(|settings| settings.get("APPLICATIONINSIGHTS_CONNECTION_STRING")).cloned();
        let trace = lines::Trace {
            by: by.unwrap_or_default(),
            // As many digits as Azure writes.
            time: format!("{time:.7}"),
            id: format!("{:08}", state.next()),
            role: app.to_owned(),
            instance: instance.to_owned(),
            message: message.to_owned(),
        };
        state.traces.push(trace);
    }

    /// The next answer about lines is not whole, and says this of it.
    pub fn answer_partly(&self, message: &str) {
        self.state().partly = Some(message.to_owned());
    }

    /// The last package that was published.
    pub fn published(&self) -> Option<Vec<u8>> {
        self.state().published.clone()
    }

    /// Calls whose requests were not as published.
    pub fn malformed(&self) -> BTreeSet<String> {
        self.state().malformed.clone()
    }
}
