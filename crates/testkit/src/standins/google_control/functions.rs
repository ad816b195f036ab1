//! Functions, each of which is a service of Cloud Run as well.

use serde_json::{Value, json};

use super::state::{Call, State};
use super::{Answer, bad, not_found, run, taken};

impl State {
    pub(super) fn functions(&mut self, call: &Call<'_>) -> Answer {
        let path = call.path.strip_prefix("v2/").ok_or_else(|| not_found(call.path))?;
        if let Some(location) = path.strip_suffix(":generateUploadUrl") {
            let number = self.number();
            let source = json!({ "bucket": "gcf-v2-uploads", "object": format!("{location}/{number}.zip") });
            let url = format!("{}/upload/{number}", self.endpoint);
            return Ok(json!({ "uploadUrl": url, "storageSource": source }));
        }
        match call.method {
            "GET" if path.contains("/operations/") => self.operation(path),
            "GET" => self.deployed.get(path).cloned().ok_or_else(|| not_found(path)),
            "POST" | "PATCH" => {
                let body = &call.body;
                let name = match call.parameter("functionId") {
                    Some(id) => format!("{path}/{id}"),
                    None => path.to_owned(),
                };
                if self.deployed.contains_key(&name) != (call.method == "PATCH") {
                    return Err(taken(&format!("{name} is there already, or is not")));
                }
                let config = &body["serviceConfig"];
                self.known_account(config["serviceAccountEmail"].as_str().unwrap_or_default())?;
                run::check_cpu(
                    &json!({ "cpu": config["availableCpu"], "memory": config["availableMemory"] }),
                )?;
                if self.uploaded.is_none() {
                    return Err(bad("nothing was uploaded"));
                }
                let service = name.replace("/functions/", "/services/");
                let function = deployed(&service, body.clone());
                let twin = run::deployed(&service, json!({ "labels": body["labels"] }));
                Ok(self.begin(vec![(service, Some(twin)), (name, Some(function))]))
            }
            "DELETE" => {
                self.deployed.get(path).ok_or_else(|| not_found(path))?;
                let service = path.replace("/functions/", "/services/");
                Ok(self.begin(vec![(service, None), (path.to_owned(), None)]))
            }
            _ => Err(not_found(path)),
        }
    }
}

/// A function as it is there when it was deployed.
fn deployed(service: &str, mut function: Value) -> Value {
    let uri = super::address(service);
    function["state"] = json!("ACTIVE");
    function["environment"] = json!("GEN_2");
    function["url"] = json!(uri);
    function["serviceConfig"]["uri"] = json!(uri);
    function["serviceConfig"]["service"] = json!(service);
    function["updateTime"] = json!("2026-11-01T00:00:00.123456789Z");
    function
}
