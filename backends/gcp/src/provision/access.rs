//! Who may do what with a thing: bindings in its policy. Those of others in the same policy are left as they are.

use async_trait::async_trait;
use google_cloud_iam_v1::model::{Binding, GetPolicyOptions, Policy};
use google_cloud_type::model::Expr;
use http::Method;
use rustwren_core::error::{Error, Result};
use rustwren_core::provision::course::{Patience, Planned, Removal, Resource};
use rustwren_core::provision::{Change, Step};
use serde_json::Value;

use super::clients::{Clients, found};
use crate::refusal::Refusal;
use crate::rest::{Api, Request};

const KIND: &str = "access";
/// What tells our conditional bindings from others'.
const TITLE: &str = "rustwren";
/// The first version of policies that understands conditions.
const VERSION: i32 = 3;

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
    async fn policy(&self, google: &Clients) -> Result<Option<Policy>, Refusal> {
        let attempt = self.attempt("looking at");
        match &self.target {
            Target::Bucket(name) => {
                let path = format!("/storage/v1/b/{name}/iam?optionsRequestedPolicyVersion={VERSION}");
                let policy = google.rest.find(Request::get(Api::Storage, path, attempt.clone())).await?;
                let read = |policy| serde_json::from_value(policy);
                let wrong = |error: serde_json::Error| Refusal::misread(&attempt, error.to_string());
                policy.map(read).transpose().map_err(wrong)
            }
            Target::Service(name) => {
                let services = google.services(&attempt).await?;
                let options = GetPolicyOptions::new().set_requested_policy_version(VERSION);
                let get = || services.get_iam_policy().set_resource(name).set_options(options.clone()).send();
                found(google.ask(Api::Run, &attempt, get).await)
            }
        }
    }

    async fn set(&self, google: &Clients, policy: Policy) -> Result<(), Refusal> {
        let attempt = self.attempt("granting");
        match &self.target {
            Target::Bucket(name) => {
                let path = format!("/storage/v1/b/{name}/iam");
                let mut policy = serde_json::to_value(policy)
                    .map_err(|error| Refusal::misread(&attempt, error.to_string()))?;
                // Google's types leave out lists that are empty; Cloud Storage insists on this one.
                if let Value::Object(fields) = &mut policy {
                    fields.entry("bindings").or_insert_with(|| Value::Array(Vec::new()));
                }
                let request = Request::with(Method::PUT, Api::Storage, path, &policy, attempt);
                google.rest.call(request).await.map(drop)
            }
            Target::Service(name) => {
                let services = google.services(&attempt).await?;
                let set = || services.set_iam_policy().set_resource(name).set_policy(policy.clone()).send();
                google.ask(Api::Run, &attempt, set).await.map(drop)
            }
        }
    }

    fn binding(&self) -> Binding {
        let condition = self.condition.as_ref();
        Binding::new()
            .set_role(self.role)
            .set_members(&self.members)
            .set_or_clear_condition(condition.map(|text| Expr::new().set_title(TITLE).set_expression(text)))
    }

    /// Whether a binding is the one that this is about: of the role, and with our condition where there is one.
    fn is_it(&self, binding: &Binding) -> bool {
        let title = binding.condition.as_ref().map(|condition| condition.title.as_str());
        binding.role == self.role && title == self.condition.as_ref().map(|_| TITLE)
    }

    /// The members that are missing from a policy, all of them where the condition differs.
    fn missing(&self, policy: &Policy) -> Vec<String> {
        let expression = |binding: &Binding| binding.condition.as_ref().map(|it| it.expression.clone());
        let granted: Vec<&String> = policy
            .bindings
            .iter()
            .filter(|binding| self.is_it(binding) && expression(binding) == self.condition)
            .flat_map(|binding| &binding.members)
            .collect();
        self.members.iter().filter(|member| !granted.contains(member)).cloned().collect()
    }

    /// Changes the policy, again where somebody else does so at the same time.
    async fn change(
        &self,
        google: &Clients,
        patience: Patience<'_>,
        change: impl Fn(&mut Vec<Binding>) + Send + Sync,
    ) -> Result<()> {
        let change = &change;
        let done = || async move {
            let Some(mut policy) = self.policy(google).await? else { return Ok(()) };
            change(&mut policy.bindings);
            self.set(google, policy.set_version(VERSION)).await
        };
        let unknown = |refusal: &Refusal| {
            let is_new = refusal.status == Some(400) && refusal.message.contains("does not exist");
            is_new.then_some("the new service account is not known everywhere yet")
        };
        patience.until_done(unknown, done).await.map_err(Error::from)
    }
}

#[async_trait]
impl Resource<Clients> for Grant {
    async fn plan(&self, google: &Clients) -> Result<Planned> {
        let step =
            |change| Step::new(KIND, self.name(), change).about(format!("for {}", self.members.join(", ")));
        let Some(policy) = self.policy(google).await? else { return Ok(step(Change::Create).into()) };
        if self.missing(&policy).is_empty() {
            return Ok(step(Change::None).into());
        }
        let any = policy.bindings.iter().any(|binding| self.is_it(binding));
        if any && self.condition.is_some() {
            return Ok(step(Change::Update).differs_untold("members or condition").into());
        }
        Ok(step(Change::Create).into())
    }

    async fn apply(&self, google: &Clients, _: &Step, patience: Patience<'_>) -> Result<()> {
        let change = |bindings: &mut Vec<Binding>| {
            if self.condition.is_some() {
                // With a condition of our own it is ours alone.
                bindings.retain(|binding| !self.is_it(binding));
                bindings.push(self.binding());
                return;
            }
            let Some(binding) = bindings.iter_mut().find(|binding| self.is_it(binding)) else {
                return bindings.push(self.binding());
            };
            let missing: Vec<String> =
                self.members.iter().filter(|member| !binding.members.contains(member)).cloned().collect();
            binding.members.extend(missing);
        };
        self.change(google, patience, change).await
    }

    async fn removal(&self, google: &Clients) -> Result<Removal> {
        // What the service's policy says goes with the service.
        if let Target::Service(_) = self.target {
            return Ok(Removal::Nothing);
        }
        let policy = self.policy(google).await?.unwrap_or_default();
        let any = policy.bindings.iter().any(|binding| self.is_it(binding));
        Ok(if any { Removal::Ours(Step::new(KIND, self.name(), Change::Delete)) } else { Removal::Nothing })
    }

    async fn remove(&self, google: &Clients, _: &Step, patience: Patience<'_>) -> Result<()> {
        self.change(google, patience, |bindings| bindings.retain(|binding| !self.is_it(binding))).await
    }
}
