//! Services of Cloud Run.

use serde_json::{Value, json};

use super::state::{Call, State};
use super::{Answer, bad, not_found, taken};

impl State {
    pub(super) fn run(&mut self, call: &Call<'_>) -> Answer {
        let path = call.path.strip_prefix("v2/").ok_or_else(|| not_found(call.path))?;
        match (call.method, path.split_once(':')) {
            ("GET", None) if path.contains("/operations/") => self.operation(path),
            ("GET", Some((name, "getIamPolicy"))) => {
                self.deployed.get(name).ok_or_else(|| not_found(name))?;
                Ok(self.policy(name))
            }
            ("POST", Some((name, "setIamPolicy"))) => self.set_policy(name, call.body["policy"].clone()),
            ("GET", None) => self.deployed.get(path).cloned().ok_or_else(|| not_found(path)),
            ("POST", None) => {
                let name = format!("{path}/{}", call.parameter("serviceId").unwrap_or_default());
                if self.deployed.contains_key(&name) {
                    return Err(taken(&format!("{name} already exists")));
                }
                let service = self.service(&name, call.body.clone())?;
                Ok(self.begin(vec![(name, Some(service))]))
            }
            ("PATCH", None) => {
                self.deployed.get(path).ok_or_else(|| not_found(path))?;
                let service = self.service(path, call.body.clone())?;
                Ok(self.begin(vec![(path.to_owned(), Some(service))]))
            }
            ("DELETE", None) => {
                self.deployed.get(path).ok_or_else(|| not_found(path))?;
                Ok(self.begin(vec![(path.to_owned(), None)]))
            }
            _ => Err(not_found(path)),
        }
    }

    /// A service as it is there when it was deployed.
    fn service(&self, name: &str, service: Value) -> Answer {
        let container = &service["template"]["containers"][0];
        let source = &container["sourceCode"]["cloudStorageSource"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if container["image"] != "scratch" || text(&container["baseImageUri"]).is_empty() {
            return Err(bad("source code needs a base image and the image scratch"));
        }
        check_cpu(&container["resources"]["limits"])?;
        let object = format!("{}/{}", text(&source["bucket"]), text(&source["object"]));
        if !self.objects.contains_key(&object) {
            return Err(bad(&format!("there is no object {object}")));
        }
        self.known_account(&text(&service["template"]["serviceAccount"]))?;
        Ok(deployed(name, service))
    }
}

/// What Google adds to a service when it is there.
pub(super) fn deployed(name: &str, mut service: Value) -> Value {
    let uri = super::address(name);
    service["name"] = json!(name);
    service["uid"] = json!("00000000-0000-0000-0000-000000000000");
    service["generation"] = json!("1");
    service["urls"] = json!([uri]);
    service["uri"] = json!(uri);
    service["createTime"] = json!("2026-11-01T00:00:00Z");
    service["terminalCondition"] = json!({ "type": "Ready", "state": "CONDITION_SUCCEEDED" });
    service
}

/// "The only supported values for CPU are '1', '2', '4', and '8'. Setting 4 CPU requires at least 2Gi of memory."
pub(super) fn check_cpu(limits: &Value) -> Result<(), (u16, Value)> {
    let cpu = limits["cpu"].as_str().unwrap_or_default();
    let memory = limits["memory"].as_str().and_then(|text| text.strip_suffix("Mi")?.parse::<u64>().ok());
    match cpu {
        "1" | "2" => Ok(()),
        "4" | "8" if memory.is_some_and(|memory| memory >= 2048) => Ok(()),
        _ => Err(bad(&format!("Invalid value specified for cpu. {cpu} with memory {}", limits["memory"]))),
    }
}
