//! What there is in the project, and what calls do to it.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use super::fields::check;
use super::{Answer, Course, Request, not_found, refusal};

#[derive(Debug)]
pub(super) struct State {
    project: String,
    pub(super) accounts: BTreeMap<String, Value>,
    pub(super) buckets: BTreeMap<String, Value>,
    /// By bucket and name, with a slash between.
    pub(super) objects: BTreeMap<String, Vec<u8>>,
    /// Services and functions, by their full names.
    pub(super) deployed: BTreeMap<String, Value>,
    /// Of buckets and services.
    pub(super) policies: BTreeMap<String, Value>,
    pub(super) courses: VecDeque<Course>,
    operations: BTreeMap<String, Operation>,
    pub(super) refusals: VecDeque<(u16, Value)>,
    pub(super) calls: Vec<String>,
    pub(super) uploaded: Option<Vec<u8>>,
    /// The last number of anything.
    last: u64,
}

#[derive(Debug)]
struct Operation {
    course: Course,
    asked: usize,
    /// What it does when it is over: a thing by its name, or none for one that goes.
    effect: (String, Option<Value>),
}

impl State {
    pub(super) fn new(project: &str) -> Self {
        Self {
            project: project.to_owned(),
            accounts: BTreeMap::new(),
            buckets: BTreeMap::new(),
            objects: BTreeMap::new(),
            deployed: BTreeMap::new(),
            policies: BTreeMap::new(),
            courses: VecDeque::new(),
            operations: BTreeMap::new(),
            refusals: VecDeque::new(),
            calls: Vec::new(),
            uploaded: None,
            last: 0,
        }
    }

    pub(super) fn answer(&mut self, request: &Request) -> Answer {
        let path = request.path.trim_start_matches('/');
        let (host, rest) = path.split_once('/').unwrap_or((path, ""));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let body = || -> Answer {
            serde_json::from_slice(&request.body)
                .map_err(|_| refusal(400, "INVALID_ARGUMENT", "Invalid JSON payload received.", &json!([])))
        };
        let method = request.method.as_str();
        match host {
            "iam.googleapis.com" => self.iam(method, path, body),
            "storage.googleapis.com" => self.storage(method, path, query, request, body),
            "run.googleapis.com" => self.run(method, path, query, body),
            "cloudfunctions.googleapis.com" => self.functions(method, path, query, request, body),
            "upload" if method == "PUT" => {
                if request.header("authorization").is_some() {
                    return Err(refusal(
                        400,
                        "INVALID_ARGUMENT",
                        "a signed URL takes no Authorization",
                        &json!([]),
                    ));
                }
                if request.header("content-type") != Some("application/zip") {
                    return Err(refusal(
                        403,
                        "PERMISSION_DENIED",
                        "the type is not the one that was signed",
                        &json!([]),
                    ));
                }
                self.uploaded = Some(request.body.clone());
                Ok(Value::Null)
            }
            _ => Err(not_found(host)),
        }
    }

    fn iam(&mut self, method: &str, path: &str, body: impl Fn() -> Answer) -> Answer {
        let base = format!("v1/projects/{}/serviceAccounts", self.project);
        let email =
            path.strip_prefix(&base).ok_or_else(|| not_found(path))?.trim_start_matches('/').to_owned();
        match (method, email.is_empty()) {
            ("POST", true) => {
                let body = body()?;
                check("CreateServiceAccountRequest", &body)?;
                let id = body["accountId"].as_str().unwrap_or_default();
                if !(6..=30).contains(&id.len()) {
                    return Err(refusal(
                        400,
                        "INVALID_ARGUMENT",
                        "accountId has 6 to 30 characters",
                        &json!([]),
                    ));
                }
                let email = format!("{id}@{}.iam.gserviceaccount.com", self.project);
                if self.accounts.contains_key(&email) {
                    return Err(refusal(
                        409,
                        "ALREADY_EXISTS",
                        &format!("Service account {id} already exists"),
                        &json!([]),
                    ));
                }
                let mut account = body["serviceAccount"].clone();
                account["email"] = json!(email);
                self.accounts.insert(email, account.clone());
                Ok(account)
            }
            ("GET", false) => self.accounts.get(&email).cloned().ok_or_else(|| not_found(&email)),
            ("DELETE", false) => {
                self.accounts.remove(&email).map(|_| json!({})).ok_or_else(|| not_found(&email))
            }
            _ => Err(not_found(path)),
        }
    }

    fn storage(
        &mut self,
        method: &str,
        path: &str,
        query: &str,
        request: &Request,
        body: impl Fn() -> Answer,
    ) -> Answer {
        let parameter = |name: &str| {
            let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            value.map(decode)
        };
        if let Some(bucket) =
            path.strip_prefix("upload/storage/v1/b/").and_then(|rest| rest.strip_suffix("/o"))
        {
            let name = parameter("name").unwrap_or_default();
            self.objects.insert(format!("{bucket}/{name}"), request.body.clone());
            return Ok(json!({ "name": name }));
        }
        let rest = path.strip_prefix("storage/v1/b").ok_or_else(|| not_found(path))?;
        let mut parts = rest.trim_start_matches('/').splitn(3, '/').map(decode);
        let (bucket, what, object) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        if method == "POST" && bucket.is_empty() {
            let body = body()?;
            check("Bucket", &body)?;
            let name = body["name"].as_str().unwrap_or_default().to_owned();
            if self.buckets.contains_key(&name) {
                return Err(refusal(409, "ALREADY_EXISTS", "The bucket is there already.", &json!([])));
            }
            self.buckets.insert(name, body.clone());
            return Ok(body);
        }
        let found = self.buckets.get(&bucket).cloned().ok_or_else(|| not_found(&bucket))?;
        let of = |key: &String| key.strip_prefix(&format!("{bucket}/")).map(ToOwned::to_owned);
        match (method, what.as_deref(), object) {
            ("GET", None, _) => Ok(found),
            ("DELETE", None, _) => {
                if self.objects.keys().any(|key| of(key).is_some()) {
                    return Err(refusal(
                        409,
                        "ABORTED",
                        "The bucket you tried to delete is not empty.",
                        &json!([]),
                    ));
                }
                self.buckets.remove(&bucket);
                self.policies.remove(&bucket);
                Ok(Value::Null)
            }
            ("GET", Some("iam"), _) => Ok(self.policy(&bucket)),
            ("PUT", Some("iam"), _) => {
                let policy = body()?;
                self.set_policy(&bucket, policy)
            }
            ("GET", Some("o"), None) => {
                let prefix = parameter("prefix").unwrap_or_default();
                let names = self.objects.keys().filter_map(of).filter(|name| name.starts_with(&prefix));
                Ok(json!({ "items": names.map(|name| json!({ "name": name })).collect::<Vec<_>>() }))
            }
            ("GET", Some("o"), Some(name)) => {
                let key = format!("{bucket}/{name}");
                self.objects.get(&key).map(|_| json!({ "name": name })).ok_or_else(|| not_found(&name))
            }
            ("DELETE", Some("o"), Some(name)) => self
                .objects
                .remove(&format!("{bucket}/{name}"))
                .map(|_| Value::Null)
                .ok_or_else(|| not_found(&name)),
            _ => Err(not_found(path)),
        }
    }

    fn policy(&self, name: &str) -> Value {
        self.policies
            .get(name)
            .cloned()
            .unwrap_or_else(|| json!({ "bindings": [], "etag": "0", "version": 1 }))
    }

    fn set_policy(&mut self, name: &str, mut policy: Value) -> Answer {
        check("Policy", &policy)?;
        if policy["etag"] != self.policy(name)["etag"] {
            return Err(refusal(409, "ABORTED", "There were concurrent policy changes.", &json!([])));
        }
        let bindings = policy["bindings"].as_array().cloned().unwrap_or_default();
        if bindings.iter().any(|binding| binding.get("condition").is_some()) && policy["version"] != 3 {
            return Err(refusal(400, "INVALID_ARGUMENT", "conditions need version 3", &json!([])));
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
                return Err(refusal(400, "INVALID_ARGUMENT", &message, &json!([])));
            }
        }
        self.last += 1;
        policy["etag"] = json!(self.last.to_string());
        self.policies.insert(name.to_owned(), policy.clone());
        Ok(policy)
    }

    /// Begins an operation at whose end something is there, or gone.
    fn begin(&mut self, effect: (String, Option<Value>)) -> Value {
        self.last += 1;
        let name = format!("projects/{}/locations/somewhere/operations/{}", self.project, self.last);
        let course = self.courses.pop_front().unwrap_or(Course::After(1));
        self.operations.insert(name.clone(), Operation { course, asked: 0, effect });
        json!({ "name": name })
    }

    fn operation(&mut self, name: &str) -> Answer {
        let operation = self.operations.get_mut(name).ok_or_else(|| not_found(name))?;
        operation.asked += 1;
        match operation.course {
            Course::After(times) if operation.asked >= times => {
                let (thing, value) = operation.effect.clone();
                // A function is a service of Cloud Run as well.
                let twin = thing.contains("/functions/").then(|| thing.replace("/functions/", "/services/"));
                for thing in twin.into_iter().chain([thing]) {
                    if let Some(mut value) = value.clone() {
                        let id = thing.rsplit('/').next().unwrap_or_default();
                        value["uri"] = json!(format!("https://{id}-1234567890.somewhere.run.app"));
                        self.deployed.insert(thing, value);
                    } else {
                        self.policies.remove(&thing);
                        self.deployed.remove(&thing);
                    }
                }
                Ok(json!({ "name": name, "done": true, "response": {} }))
            }
            Course::Fails(code, message) => {
                Ok(json!({ "name": name, "done": true, "error": { "code": code, "message": message } }))
            }
            Course::After(_) | Course::Never => Ok(json!({ "name": name, "done": false })),
        }
    }

    fn run(&mut self, method: &str, path: &str, query: &str, body: impl Fn() -> Answer) -> Answer {
        let path = path.strip_prefix("v2/").ok_or_else(|| not_found(path))?;
        let has_operation = path.contains("/operations/");
        match (method, path.split_once(':')) {
            ("GET", None) if has_operation => self.operation(path),
            ("GET", Some((name, "getIamPolicy"))) => {
                self.deployed.get(name).ok_or_else(|| not_found(name))?;
                Ok(self.policy(name))
            }
            ("POST", Some((name, "setIamPolicy"))) => {
                let body = body()?;
                check("SetIamPolicyRequest", &body)?;
                self.set_policy(name, body["policy"].clone())
            }
            ("GET", None) => self.deployed.get(path).cloned().ok_or_else(|| not_found(path)),
            ("POST", None) => {
                let id = query.strip_prefix("serviceId=").unwrap_or_default();
                let name = format!("{path}/{id}");
                if self.deployed.contains_key(&name) {
                    return Err(refusal(
                        409,
                        "ALREADY_EXISTS",
                        &format!("{name} already exists"),
                        &json!([]),
                    ));
                }
                let service = self.service(&name, body()?)?;
                Ok(self.begin((name, Some(service))))
            }
            ("PATCH", None) => {
                self.deployed.get(path).ok_or_else(|| not_found(path))?;
                let service = self.service(path, body()?)?;
                Ok(self.begin((path.to_owned(), Some(service))))
            }
            ("DELETE", None) => {
                self.deployed.get(path).ok_or_else(|| not_found(path))?;
                Ok(self.begin((path.to_owned(), None)))
            }
            _ => Err(not_found(path)),
        }
    }

    /// A service as it is there when it was deployed.
    fn service(&self, name: &str, mut service: Value) -> Answer {
        check("Service", &service)?;
        let container = &service["template"]["containers"][0];
        let source = &container["sourceCode"]["cloudStorageSource"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if container["image"] != "scratch" || text(&container["baseImageUri"]).is_empty() {
            return Err(refusal(
                400,
                "INVALID_ARGUMENT",
                "source code needs a base image and the image scratch",
                &json!([]),
            ));
        }
        let object = format!("{}/{}", text(&source["bucket"]), text(&source["object"]));
        if !self.objects.contains_key(&object) {
            return Err(refusal(
                400,
                "INVALID_ARGUMENT",
                &format!("there is no object {object}"),
                &json!([]),
            ));
        }
        self.known_account(&text(&service["template"]["serviceAccount"]))?;
        service["name"] = json!(name);
        service["terminalCondition"] = json!({ "type": "Ready", "state": "CONDITION_SUCCEEDED" });
        Ok(service)
    }

    fn known_account(&self, email: &str) -> Result<(), (u16, Value)> {
        if self.accounts.contains_key(email)
            || !email.ends_with(&format!("@{}.iam.gserviceaccount.com", self.project))
        {
            return Ok(());
        }
        Err(refusal(404, "NOT_FOUND", &format!("Service account {email} was not found."), &json!([])))
    }

    fn functions(
        &mut self,
        method: &str,
        path: &str,
        query: &str,
        request: &Request,
        body: impl Fn() -> Answer,
    ) -> Answer {
        let path = path.strip_prefix("v2/").ok_or_else(|| not_found(path))?;
        if let Some(location) = path.strip_suffix(":generateUploadUrl") {
            check("GenerateUploadUrlRequest", &body()?)?;
            self.last += 1;
            let source =
                json!({ "bucket": "gcf-v2-uploads", "object": format!("{location}/{}.zip", self.last) });
            let host = request.header("host").unwrap_or_default();
            return Ok(
                json!({ "uploadUrl": format!("http://{host}/upload/{}", self.last), "storageSource": source }),
            );
        }
        match method {
            "GET" if path.contains("/operations/") => self.operation(path),
            "GET" => self.deployed.get(path).cloned().ok_or_else(|| not_found(path)),
            "POST" | "PATCH" => {
                let body = body()?;
                check("Function", &body)?;
                let name = match query.strip_prefix("functionId=") {
                    Some(id) => format!("{path}/{id}"),
                    None => path.to_owned(),
                };
                if self.deployed.contains_key(&name) != (method == "PATCH") {
                    return Err(refusal(
                        409,
                        "ALREADY_EXISTS",
                        &format!("{name} is there already, or is not"),
                        &json!([]),
                    ));
                }
                let email =
                    body["serviceConfig"]["serviceAccountEmail"].as_str().unwrap_or_default().to_owned();
                self.known_account(&email)?;
                if self.uploaded.is_none() {
                    return Err(refusal(400, "INVALID_ARGUMENT", "nothing was uploaded", &json!([])));
                }
                Ok(self.begin((name, Some(function(body)))))
            }
            "DELETE" => {
                self.deployed.get(path).ok_or_else(|| not_found(path))?;
                Ok(self.begin((path.to_owned(), None)))
            }
            _ => Err(not_found(path)),
        }
    }
}

/// A function as it is there when it was deployed.
fn function(mut function: Value) -> Value {
    function["state"] = json!("ACTIVE");
    function["environment"] = json!("GEN_2");
    function
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        if let (b'%', Some(byte)) = (first, hex) {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
