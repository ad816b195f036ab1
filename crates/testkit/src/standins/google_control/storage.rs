//! Buckets, their policies, and as much of objects as setup needs. Objects of jobs are another server's (`gcs`).

use serde_json::{Value, json};

use super::state::{Call, State, decode};
use super::{Answer, bad, not_found, refusal, taken};

impl State {
    pub(super) fn storage(&mut self, call: &Call<'_>) -> Answer {
        let path = call.path;
        if let Some(bucket) =
            path.strip_prefix("upload/storage/v1/b/").and_then(|rest| rest.strip_suffix("/o"))
        {
            self.buckets.get(bucket).ok_or_else(|| not_found(bucket))?;
            let name = call.parameter("name").filter(|_| call.parameter("uploadType") == Some("media"));
            let name = name.ok_or_else(|| bad("Required parameter: name"))?;
            self.objects.insert(format!("{bucket}/{name}"), call.request.body.clone());
            return self.object(bucket, name);
        }
        let rest = path.strip_prefix("storage/v1/b").ok_or_else(|| not_found(path))?;
        let mut parts = rest.trim_start_matches('/').splitn(3, '/').map(decode);
        let (bucket, what, object) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        if call.method == "POST" && bucket.is_empty() {
            return self.make_bucket(&call.body);
        }
        let found = self.buckets.get(&bucket).cloned().ok_or_else(|| not_found(&bucket))?;
        let of = |key: &String| key.strip_prefix(&format!("{bucket}/")).map(ToOwned::to_owned);
        match (call.method, what.as_deref(), object) {
            ("GET", None, _) => Ok(found),
            ("DELETE", None, _) => {
                if self.objects.keys().any(|key| of(key).is_some()) {
                    let message = "The bucket you tried to delete is not empty.";
                    return Err(refusal(409, "ABORTED", message, &json!([])));
                }
                self.buckets.remove(&bucket);
                self.policies.remove(&bucket);
                Ok(Value::Null)
            }
            ("GET", Some("iam"), _) => Ok(of_bucket(self.policy(&bucket), &bucket)),
            ("PUT", Some("iam"), _) => {
                let policy = self.set_policy(&bucket, call.body.clone())?;
                Ok(of_bucket(policy, &bucket))
            }
            ("GET", Some("o"), None) => {
                let prefix = call.parameter("prefix").unwrap_or_default();
                let names = self.objects.keys().filter_map(of).filter(|name| name.starts_with(prefix));
                let items: Result<Vec<_>, _> = names.map(|name| self.object(&bucket, &name)).collect();
                Ok(json!({ "kind": "storage#objects", "items": items? }))
            }
            ("GET", Some("o"), Some(name)) => self.object(&bucket, &name),
            ("DELETE", Some("o"), Some(name)) => self
                .objects
                .remove(&format!("{bucket}/{name}"))
                .map(|_| Value::Null)
                .ok_or_else(|| not_found(&name)),
            _ => Err(not_found(path)),
        }
    }

    fn make_bucket(&mut self, body: &Value) -> Answer {
        let name = body["name"].as_str().unwrap_or_default().to_owned();
        if self.buckets.contains_key(&name) {
            return Err(taken("The bucket is there already."));
        }
        let mut bucket = body.clone();
        bucket["kind"] = json!("storage#bucket");
        bucket["id"] = json!(name);
        self.buckets.insert(name, bucket.clone());
        Ok(bucket)
    }

    fn object(&self, bucket: &str, name: &str) -> Answer {
        let bytes = self.objects.get(&format!("{bucket}/{name}")).ok_or_else(|| not_found(name))?;
        Ok(
            json!({ "kind": "storage#object", "bucket": bucket, "name": name, "size": bytes.len().to_string() }),
        )
    }
}

/// A policy, with what Cloud Storage says of it.
fn of_bucket(mut policy: Value, bucket: &str) -> Value {
    policy["kind"] = json!("storage#policy");
    policy["resourceId"] = json!(format!("projects/_/buckets/{bucket}"));
    policy
}
