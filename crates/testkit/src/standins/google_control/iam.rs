//! Service accounts.

use serde_json::{Value, json};

use super::state::{Call, State};
use super::{Answer, bad, not_found, taken};

impl State {
    pub(super) fn iam(&mut self, call: &Call<'_>) -> Answer {
        let base = format!("v1/projects/{}/serviceAccounts", self.project);
        let path = call.path;
        let email =
            path.strip_prefix(&base).ok_or_else(|| not_found(path))?.trim_start_matches('/').to_owned();
        match (call.method, email.is_empty()) {
            ("POST", true) => self.make_account(&call.body),
            ("GET", false) => self.accounts.get(&email).cloned().ok_or_else(|| not_found(&email)),
            ("DELETE", false) => {
                self.accounts.remove(&email).map(|_| json!({})).ok_or_else(|| not_found(&email))
            }
            _ => Err(not_found(path)),
        }
    }

    fn make_account(&mut self, body: &Value) -> Answer {
        let id = body["accountId"].as_str().unwrap_or_default();
        if !(6..=30).contains(&id.len()) {
            return Err(bad("accountId has 6 to 30 characters"));
        }
        let email = format!("{id}@{}.iam.gserviceaccount.com", self.project);
        if self.accounts.contains_key(&email) {
            return Err(taken(&format!("Service account {id} already exists")));
        }
        let mut account = body["serviceAccount"].clone();
        account["name"] = json!(format!("projects/{}/serviceAccounts/{email}", self.project));
        account["projectId"] = json!(self.project);
        let number = self.number();
        account["uniqueId"] = json!(number.to_string());
        account["email"] = json!(email);
        self.accounts.insert(email, account.clone());
        Ok(account)
    }
}
