//! Who may do what with a thing: bindings in its policy. Those of others in the same policy are left as they are.

use std::sync::Arc;

use async_trait::async_trait;
use http::Method;
use rustwren_core::error::{Error, Result};
use rustwren_core::provision::{Change, Step};
use serde_json::{Value, json};

use super::resource::{Patience, Removal, Resource};
use crate::rest::{Api, Google, Refusal, Request};

const KIND: &str = "access";
/// What tells our conditional bindings from others'.
const TITLE: &str = "rustwren";

/// What a policy belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// A bucket.
    Bucket(String),
    /// A service of Cloud Run, by its full name.
    Service(String),
}

/// A role for some members.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) google: Arc<Google>,
    pub(super) target: Target,
    pub(super) role: &'static str,
    pub(super) members: Vec<String>,
    /// An expression that must hold.
    pub(super) condition: Option<String>,
}

impl Grant {
    fn name(&self) -> String {
        let to = match &self.target {
            Target::Bucket(name) => format!("bucket {name}"),
            Target::Service(name) => format!("service {}", name.rsplit('/').next().unwrap_or(name)),
        };
        format!("{} on the {to}", self.role)
    }

    fn attempt(&self, what: &str) -> String {
        format!("{what} {}", self.name())
    }

    /// The policy; none where there is nothing it could belong to.
    async fn policy(&self) -> Result<Option<Value>, Refusal> {
        let (api, path) = match &self.target {
            Target::Bucket(name) => {
                (Api::Storage, format!("/storage/v1/b/{name}/iam?optionsRequestedPolicyVersion=3"))
            }
            Target::Service(name) => {
                (Api::Run, format!("/v2/{name}:getIamPolicy?options.requestedPolicyVersion=3"))
            }
        };
        self.google.find(Request::get(api, path, self.attempt("looking at"))).await
    }

    async fn set(&self, policy: &Value) -> Result<Value, Refusal> {
        let attempt = self.attempt("granting");
        match &self.target {
            Target::Bucket(name) => {
                let path = format!("/storage/v1/b/{name}/iam");
                self.google.call(Request::with(Method::PUT, Api::Storage, path, policy, attempt)).await
            }
            Target::Service(name) => {
                let body = json!({ "policy": policy });
                let path = format!("/v2/{name}:setIamPolicy");
                self.google.call(Request::with(Method::POST, Api::Run, path, &body, attempt)).await
            }
        }
    }

    fn binding(&self) -> Value {
        let mut binding = json!({ "role": self.role, "members": self.members });
        if let Some(expression) = &self.condition {
            binding["condition"] = json!({ "title": TITLE, "expression": expression });
        }
        binding
    }

    /// Whether a binding is the one that this is about: of the role, and with our condition where there is one.
    fn is_it(&self, binding: &Value) -> bool {
        let title = binding["condition"]["title"].as_str();
        binding["role"] == self.role && title == self.condition.as_ref().map(|_| TITLE)
    }

    /// The members that are missing from a policy, all of them where the condition differs.
    fn missing(&self, policy: &Value) -> Vec<String> {
        let bindings = policy["bindings"].as_array().into_iter().flatten();
        let granted: Vec<&str> = bindings
            .filter(|binding| self.is_it(binding))
            .filter(|binding| binding["condition"]["expression"].as_str() == self.condition.as_deref())
            .flat_map(|binding| binding["members"].as_array().into_iter().flatten())
            .filter_map(Value::as_str)
            .collect();
        self.members.iter().filter(|member| !granted.contains(&member.as_str())).cloned().collect()
    }

    /// Changes the policy, again where somebody else does so at the same time.
    async fn change(&self, patience: Patience<'_>, change: impl Fn(&mut Vec<Value>)) -> Result<()> {
        let change = &change;
        let done = || async move {
            let Some(mut policy) = self.policy().await? else { return Ok(()) };
            let mut bindings = policy["bindings"].as_array().cloned().unwrap_or_default();
            change(&mut bindings);
            policy["bindings"] = Value::Array(bindings);
            // The first that understands conditions.
            policy["version"] = json!(3);
            self.set(&policy).await.map(drop)
        };
        let unknown = |refusal: &Refusal| {
            let is_new = refusal.status == Some(400) && refusal.message.contains("does not exist");
            is_new.then_some("the new service account is not known everywhere yet")
        };
        patience.until_done(unknown, done).await.map_err(Error::from)
    }
}

#[async_trait]
impl Resource for Grant {
    async fn plan(&self) -> Result<Step> {
        let step =
            |change| Step::new(KIND, self.name(), change).about(format!("for {}", self.members.join(", ")));
        let Some(policy) = self.policy().await? else { return Ok(step(Change::Create)) };
        let missing = self.missing(&policy);
        if missing.is_empty() {
            return Ok(step(Change::None));
        }
        let bindings = policy["bindings"].as_array();
        let any = bindings.is_some_and(|bindings| bindings.iter().any(|binding| self.is_it(binding)));
        if any && self.condition.is_some() {
            return Ok(step(Change::Update).differs_untold("members or condition"));
        }
        Ok(step(Change::Create))
    }

    async fn apply(&self, _: &Step, patience: Patience<'_>) -> Result<()> {
        let change = |bindings: &mut Vec<Value>| {
            if self.condition.is_some() {
                // With a condition of our own it is ours alone.
                bindings.retain(|binding| !self.is_it(binding));
                bindings.push(self.binding());
                return;
            }
            let Some(binding) = bindings.iter_mut().find(|binding| self.is_it(binding)) else {
                return bindings.push(self.binding());
            };
            let mut members = binding["members"].as_array().cloned().unwrap_or_default();
            members.extend(
                self.members
                    .iter()
                    .map(|member| json!(member))
                    .filter(|member| !members.contains(member))
                    .collect::<Vec<_>>(),
            );
            binding["members"] = Value::Array(members);
        };
        self.change(patience, change).await
    }

    async fn removal(&self) -> Result<Removal> {
        // What the service's policy says goes with the service.
        if let Target::Service(_) = self.target {
            return Ok(Removal::Nothing);
        }
        let policy = self.policy().await?.unwrap_or_default();
        let any =
            policy["bindings"].as_array().is_some_and(|all| all.iter().any(|binding| self.is_it(binding)));
        Ok(if any { Removal::Ours(Step::new(KIND, self.name(), Change::Delete)) } else { Removal::Nothing })
    }

    async fn remove(&self, patience: Patience<'_>) -> Result<()> {
        self.change(patience, |bindings| bindings.retain(|binding| !self.is_it(binding))).await
    }
}
