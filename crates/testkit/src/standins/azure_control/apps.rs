//! Plans, function apps, and what is published to them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::Request;
use super::state::{Call, State, not_found};
use super::{Answer, Answered, AzureControl, Course, Refusal};

/// How publications stand.
const UNDER_WAY: u64 = 1;
const FAILED: u64 = 3;
const DONE: u64 = 4;

fn bad_request(message: &str) -> Refusal {
    Refusal::new(400, "BadRequest", message)
}

impl State {
    pub(super) fn apps(&mut self, call: &Call<'_>) -> Answered {
        let id = call.id();
        if id.contains("/serverfarms/") {
            return self.plan(call);
        }
        let app = id.split('/').take(9).collect::<Vec<_>>().join("/");
        if id == app {
            return self.app(call);
        }
        if !self.things.contains_key(&app) {
            return Err(not_found(&app));
        }
        let name = app.rsplit('/').next().unwrap_or_default().to_owned();
        let below = id.strip_prefix(&format!("{app}/")).unwrap_or_default();
        match below {
            "config/appsettings/list" => {
                Ok(json!({ "properties": self.settings.get(&name).cloned().unwrap_or_default() }).into())
            }
            "config/appsettings" => {
                let pairs = call.body["properties"].as_object().cloned().unwrap_or_default();
                let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
                let settings = pairs.into_iter().map(|(name, value)| (name, text(value))).collect();
                check_settings(&settings)?;
                self.settings.insert(name, settings);
                Ok(json!({ "properties": call.body["properties"] }).into())
            }
            _ if self.published.is_none() => {
                Err(bad_request("Encountered an error (ServiceUnavailable) from host runtime."))
            }
            _ => Ok(json!({
                "masterKey": AzureControl::MASTER_KEY,
                "functionKeys": { "default": AzureControl::FUNCTION_KEY },
                "systemKeys": {},
            })
            .into()),
        }
    }

    /// Plans are there at once, and show how far they are.
    fn plan(&mut self, call: &Call<'_>) -> Answered {
        let id = call.id();
        match call.method {
            "GET" => {
                let plan = self.things.get_mut(&id).ok_or_else(|| not_found(call.path))?;
                let left = plan["left"].as_i64().unwrap_or_default();
                if plan["properties"]["provisioningState"] == "InProgress" && left >= 0 {
                    plan["left"] = json!(left - 1);
                    if left <= 1 {
                        plan["properties"]["provisioningState"] = plan["end"].clone();
                    }
                }
                Ok(plan.clone().into())
            }
            "PUT" => {
                let is_flex =
                    call.body["sku"]["name"] == "FC1" && call.body["sku"]["tier"] == "FlexConsumption";
                if !is_flex || call.body["properties"]["reserved"] != true {
                    return Err(bad_request("Flex Consumption is FC1, and Linux."));
                }
                let mut plan = call.body.clone();
                plan["id"] = json!(call.path);
                plan["name"] = json!(call.name());
                plan["type"] = json!("Microsoft.Web/serverfarms");
                plan["properties"]["provisioningState"] = json!("InProgress");
                let (left, end) = match self.courses.pop_front().unwrap_or(Course::After(1)) {
                    Course::After(times) => (i64::try_from(times).unwrap_or(i64::MAX), "Succeeded"),
                    Course::Fails(..) => (1, "Failed"),
                    Course::Never => (-1, "InProgress"),
                };
                plan["left"] = json!(left);
                plan["end"] = json!(end);
                self.things.insert(id, plan.clone());
                Ok(Answer { status: 201, ..plan.into() })
            }
            _ => {
                let plan = self.things.get(&id).ok_or_else(|| not_found(call.path))?;
                let holds = |app: &Value| {
                    app["properties"]["serverFarmId"]
                        .as_str()
                        .is_some_and(|plan| plan.eq_ignore_ascii_case(&id))
                };
                if let Some(app) = self.things.values().find(|app| holds(app)) {
                    let message = format!(
                        "Server farm '{}' cannot be deleted because it has web app(s) {} assigned to it.",
                        plan["name"], app["name"]
                    );
                    return Err(Refusal::new(409, "Conflict", &message));
                }
                self.take_effect((id, None));
                Ok(Value::Null.into())
            }
        }
    }

    fn app(&mut self, call: &Call<'_>) -> Answered {
        let (id, name) = (call.id(), call.name());
        let found = self.things.get(&id).cloned();
        match call.method {
            "GET" => found.map(Answer::from).ok_or_else(|| not_found(call.path)),
            "DELETE" => {
                found.ok_or_else(|| not_found(call.path))?;
                self.take_effect((id, None));
                self.published = None;
                Ok(Value::Null.into())
            }
            _ => {
                if found.is_none() && self.is_taken(name) {
                    return Err(Refusal::new(
                        409,
                        "Conflict",
                        &format!("Website with given name {name} already exists."),
                    ));
                }
                let mut app = call.body.clone();
                self.check_app(&app)?;
                let properties = &mut app["properties"];
                if let Some(config) =
                    properties.as_object_mut().and_then(|properties| properties.remove("siteConfig"))
                {
                    let pairs = config["appSettings"].as_array().cloned().unwrap_or_default();
                    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                    let settings: BTreeMap<String, String> =
                        pairs.iter().map(|pair| (text(&pair["name"]), text(&pair["value"]))).collect();
                    check_settings(&settings)?;
                    self.settings.insert(name.to_lowercase(), settings);
                }
                let host = self.address.trim_start_matches("http://").to_owned();
                properties["state"] = json!("Running");
                properties["defaultHostName"] = json!(format!("{}.azurewebsites.net", name.to_lowercase()));
                // What publishes is this server.
                properties["hostNameSslStates"] = json!([
                    { "name": format!("{name}.azurewebsites.net"), "hostType": "Standard" },
                    { "name": host, "hostType": "Repository" },
                ]);
                if app["identity"]["type"] == "SystemAssigned" {
                    let known = found.as_ref().map(|found| found["identity"]["principalId"].clone());
                    let new = json!(format!("aaaaaaaa-0000-0000-0000-{:012}", self.next()));
                    app["identity"]["principalId"] = known.filter(Value::is_string).unwrap_or(new);
                }
                app["id"] = json!(call.path);
                app["name"] = json!(name);
                app["type"] = json!("Microsoft.Web/sites");
                Ok(self.begin_by_operation((id, Some(app))))
            }
        }
    }

    /// What Flex Consumption asks of an app.
    fn check_app(&self, app: &Value) -> Result<(), Refusal> {
        let plan = app["properties"]["serverFarmId"].as_str().unwrap_or_default();
        if !self.things.contains_key(&plan.to_lowercase()) {
            return Err(not_found(plan));
        }
        let config = &app["properties"]["functionAppConfig"];
        let scale = &config["scaleAndConcurrency"];
        let number = |name: &str| scale[name].as_u64().unwrap_or_default();
        if ![512, 2048, 4096].contains(&number("instanceMemoryMB")) {
            return Err(bad_request("instanceMemoryMB must be 512, 2048 or 4096."));
        }
        if !(1..=1000).contains(&number("maximumInstanceCount")) {
            return Err(bad_request("maximumInstanceCount must be from 1 to 1000."));
        }
        let storage = &config["deployment"]["storage"];
        if storage["type"] != "blobContainer"
            || !storage["value"].as_str().is_some_and(|url| url.contains("://"))
        {
            return Err(bad_request("deployment.storage must name a container."));
        }
        if config["runtime"]["name"] != "custom" {
            return Err(bad_request("only custom handlers are known here."));
        }
        Ok(())
    }

    /// Where packages are published.
    pub(super) fn package_site(
        &mut self,
        request: &Request,
        path: &str,
        query: &[(String, String)],
    ) -> Answered {
        let base = self.address.clone();
        if path == "/api/publish" && request.method == "POST" {
            if request.header("content-type") != Some("application/zip") || !request.body.starts_with(b"PK") {
                return Err(bad_request("A zip was expected."));
            }
            if !query.iter().any(|(name, value)| name == "RemoteBuild" && value == "false") {
                return Err(bad_request("Nothing is built here."));
            }
            let course = self.publication();
            let number = self.next();
            self.published_so_far.insert(number, (course, 0, request.body.clone()));
            let location = format!("{base}/api/deployments/{number}");
            return Ok(Answer {
                status: 202,
                headers: vec![("location", location)],
                body: json!(number.to_string()),
            });
        }
        let rest = path.strip_prefix("/api/deployments/").ok_or_else(|| not_found(path))?;
        let (number, log) = rest.split_once('/').map_or((rest, false), |(number, _)| (number, true));
        let number: u64 = number.parse().map_err(|_| not_found(path))?;
        let (course, asked, zip) = self.published_so_far.get_mut(&number).ok_or_else(|| not_found(path))?;
        if log {
            let Course::Fails(code, message) = course else { return Ok(json!([]).into()) };
            return Ok(
                json!([{ "message": "Uploading the package." }, { "message": format!("{code}: {message}") }])
                    .into(),
            );
        }
        *asked += 1;
        let status = match course {
            Course::After(times) if *asked >= *times => DONE,
            Course::Fails(..) => FAILED,
            Course::After(_) | Course::Never => UNDER_WAY,
        };
        if status == DONE {
            self.published = Some(zip.clone());
        }
        let log_url = format!("{base}/api/deployments/{number}/log");
        Ok(json!({
            "id": number.to_string(),
            "status": status,
            "status_text": "",
            "complete": status != UNDER_WAY,
            "log_url": log_url,
        })
        .into())
    }

    /// What becomes of the publication that begins: it needs the app's role at the container, and the container.
    fn publication(&mut self) -> Course {
        let app = self
            .things
            .iter()
            .find(|(id, _)| id.contains("/sites/"))
            .map(|(_, app)| app.clone())
            .unwrap_or_default();
        let value = app["properties"]["functionAppConfig"]["deployment"]["storage"]["value"]
            .as_str()
            .unwrap_or_default();
        let container = value.rsplit('/').next().unwrap_or_default().to_owned();
        let end = format!("/blobservices/default/containers/{container}");
        let account = self.things.keys().find_map(|id| id.strip_suffix(&end)).map(ToOwned::to_owned);
        let Some(account) = account else {
            return Course::Fails("InaccessibleStorageException", "the container does not exist");
        };
        if !self.may_write(&app["identity"]["principalId"], &account) || self.roles_after > 0 {
            self.roles_after = self.roles_after.saturating_sub(1);
            return Course::Fails(
                "InaccessibleStorageException",
                "Failed to access storage account for deployment: Response status code does not indicate success: 403 (This \
                 request is not authorized to perform this operation using this permission.).",
            );
        }
        self.publications.pop_front().unwrap_or(Course::After(1))
    }
}

/// Settings that Flex Consumption does not take.
fn check_settings(settings: &BTreeMap<String, String>) -> Result<(), Refusal> {
    let name = "FUNCTIONS_WORKER_RUNTIME";
    if settings.contains_key(name) {
        return Err(bad_request(&format!(
            "The following app setting (Site.SiteConfig.AppSettings.{name}) for Flex Consumption sites is invalid. Please \
             remove or rename it before retrying."
        )));
    }
    Ok(())
}
