//! The role that the function runs in, with the one policy that it needs.

use async_trait::async_trait;
use aws_sdk_iam::Client;
use aws_sdk_iam::types::{Role as FoundRole, Tag};
use percent_encoding::percent_decode_str;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::course::{Patience, Planned, Removal, Resource};
use rustwren_core::provision::{Change, Step};
use serde_json::Value;

use super::arn::Account;
use super::call::{Refusal, call, if_there, unbuildable};
use super::mark::{self, Tags};
use super::policy::{self, Scope};

/// The policy's name within the role.
const POLICY: &str = "rustwren";

/// The role, as it is and as it should be.
#[derive(Debug)]
pub(crate) struct Role {
    client: Client,
    name: String,
    tags: Tags,
    /// But for the account, which is known once AWS is reached.
    scope: Scope,
    /// Whether the worker may start further ones.
    nested: bool,
}

/// How a role is.
struct Found {
    tags: Tags,
    trust: Option<Value>,
    policy: Option<Value>,
    /// Policies of somebody else's.
    others: Vec<String>,
}

impl Role {
    pub(crate) fn new(client: Client, name: String, tags: Tags, scope: Scope, nested: bool) -> Self {
        Self { client, name, tags, scope, nested }
    }

    fn policy(&self, account: &Account) -> Value {
        policy::worker(&Scope { account: account.clone(), ..self.scope.clone() }, self.nested)
    }

    async fn role(&self) -> Result<Option<FoundRole>> {
        let sent = self.client.get_role().role_name(&self.name).send();
        let found = if_there(call("iam:GetRole", format!("looking for the role {}", self.name), sent).await)?;
        Ok(found.and_then(|found| found.role))
    }

    async fn look(&self) -> Result<Option<Found>> {
        let Some(role) = self.role().await? else { return Ok(None) };
        let sent = self.client.get_role_policy().role_name(&self.name).policy_name(POLICY).send();
        let policy =
            call("iam:GetRolePolicy", format!("reading the policy of the role {}", self.name), sent).await;
        let policy = if_there(policy)?.map(|found| found.policy_document);
        let mut others: Vec<String> =
            self.inline().await?.into_iter().filter(|name| name != POLICY).collect();
        others.extend(self.attached().await?);
        Ok(Some(Found {
            tags: role.tags().iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect(),
            trust: role.assume_role_policy_document().and_then(document),
            policy: policy.as_deref().and_then(document),
            others,
        }))
    }

    /// Names of the policies within the role.
    async fn inline(&self) -> Result<Vec<String>> {
        let mut pages = self.client.list_role_policies().role_name(&self.name).into_paginator().send();
        let mut names = Vec::new();
        let what = || format!("listing the policies of the role {}", self.name);
        while let Some(page) = pages.next().await {
            names.extend(call("iam:ListRolePolicies", what(), std::future::ready(page)).await?.policy_names);
        }
        Ok(names)
    }

    /// ARNs of the policies that are attached to the role.
    async fn attached(&self) -> Result<Vec<String>> {
        let mut pages =
            self.client.list_attached_role_policies().role_name(&self.name).into_paginator().send();
        let mut arns = Vec::new();
        let what = || format!("listing the policies attached to the role {}", self.name);
        while let Some(page) = pages.next().await {
            let page = call("iam:ListAttachedRolePolicies", what(), std::future::ready(page)).await?;
            let attached = page.attached_policies.unwrap_or_default();
            arns.extend(attached.into_iter().filter_map(|policy| policy.policy_arn));
        }
        Ok(arns)
    }

    fn step(&self, account: &Account, found: Option<&Found>) -> Planned {
        let step = Step::new("role", &self.name, Change::None).about(self.about());
        let Some(found) = found else {
            return Step { change: Change::Create, ..step }.into();
        };
        let mut step = mark::compare(step, &found.tags, &self.tags);
        if found.trust.as_ref() != Some(&policy::trust()) {
            step = step.differs_untold("who may take it on");
        }
        if found.policy.as_ref() != Some(&self.policy(account)) {
            step = step.differs_untold("what it allows");
        }
        let notes = match found.others.as_slice() {
            [] => Vec::new(),
            others => vec![format!(
                "the role {} also has {}, which setup did not put there and leaves",
                self.name,
                others.join(", ")
            )],
        };
        Planned { step: step.update_if_different(), notes }
    }

    fn about(&self) -> String {
        let objects = self.scope.objects.as_ref();
        let objects = objects.map(|objects| format!("{}/{} and ", objects.bucket, objects.prefix));
        let jobs = if self.nested { ", and to start jobs" } else { "" };
        format!("may use {}its log{jobs}", objects.unwrap_or_default())
    }

    async fn create(&self) -> Result<()> {
        let sent = self
            .client
            .create_role()
            .role_name(&self.name)
            .assume_role_policy_document(policy::trust().to_string())
            .set_tags(Some(tag_list(&self.tags)?))
            .send();
        match call("iam:CreateRole", format!("making the role {}", self.name), sent).await {
            Err(refusal) if !refusal.is(&["EntityAlreadyExists"]) => Err(refusal.into()),
            _ => Ok(()),
        }
    }

    async fn settle(&self, account: &Account, found: &Found, patience: Patience<'_>) -> Result<()> {
        let name = &self.name;
        if self.tags.iter().any(|(key, value)| found.tags.get(key) != Some(value)) {
            let tags = tag_list(&self.tags)?;
            let sent = self.client.tag_role().role_name(name).set_tags(Some(tags)).send();
            call("iam:TagRole", format!("tagging the role {name}"), sent).await?;
        }
        let trust = policy::trust();
        if found.trust.as_ref() != Some(&trust) {
            let sent = self
                .client
                .update_assume_role_policy()
                .role_name(name)
                .policy_document(trust.to_string())
                .send();
            call("iam:UpdateAssumeRolePolicy", format!("setting who may take on the role {name}"), sent)
                .await?;
        }
        let policy = self.policy(account);
        if found.policy.as_ref() != Some(&policy) {
            let text = policy.to_string();
            let put = || {
                let put = self.client.put_role_policy().role_name(name).policy_name(POLICY);
                let sent = put.policy_document(&text).send();
                call("iam:PutRolePolicy", format!("setting what the role {name} allows"), sent)
            };
            patience.until_done(not_yet_known, put).await?;
        }
        Ok(())
    }

    fn gone(&self) -> Error {
        Error::new(ErrorKind::Unavailable, format!("the role {} was made and is not there", self.name))
            .with_hint("run `rustwren setup` again")
    }
}

#[async_trait]
impl Resource<Account> for Role {
    async fn plan(&self, account: &Account) -> Result<Planned> {
        let found = self.look().await?;
        if found.as_ref().is_some_and(|found| !mark::is_ours(&found.tags)) {
            let error = mark::not_ours("role", &self.name, "function");
            return Err(error.and_hint("or name it as `role` in [compute] to use it as it is"));
        }
        Ok(self.step(account, found.as_ref()))
    }

    async fn apply(&self, account: &Account, step: &Step, patience: Patience<'_>) -> Result<()> {
        if step.change == Change::Create {
            self.create().await?;
            let made = Found {
                tags: self.tags.clone(),
                trust: Some(policy::trust()),
                policy: None,
                others: Vec::new(),
            };
            return self.settle(account, &made, patience).await;
        }
        let found = self.look().await?.ok_or_else(|| self.gone())?;
        self.settle(account, &found, patience).await
    }

    async fn removal(&self, _account: &Account) -> Result<Removal> {
        let Some(role) = self.role().await? else { return Ok(Removal::Nothing) };
        let tags = role.tags().iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect();
        if mark::is_ours(&tags) {
            return Ok(Removal::Ours(
                Step::new("role", &self.name, Change::Delete).about("with its policies"),
            ));
        }
        Ok(Removal::Stays(format!("the role {} stays: it was not made by `rustwren setup`", self.name)))
    }

    async fn remove(&self, _account: &Account, _step: &Step, _patience: Patience<'_>) -> Result<()> {
        let name = &self.name;
        for policy in self.inline().await? {
            let sent = self.client.delete_role_policy().role_name(name).policy_name(&policy).send();
            let removed =
                call("iam:DeleteRolePolicy", format!("removing {policy} from the role {name}"), sent).await;
            if_there(removed)?;
        }
        for policy in self.attached().await? {
            let sent = self.client.detach_role_policy().role_name(name).policy_arn(&policy).send();
            let removed =
                call("iam:DetachRolePolicy", format!("detaching {policy} from the role {name}"), sent).await;
            if_there(removed)?;
        }
        let sent = self.client.delete_role().role_name(name).send();
        if_there(call("iam:DeleteRole", format!("removing the role {name}"), sent).await)?;
        Ok(())
    }
}

/// A role that has just been made is not known everywhere at once.
fn not_yet_known(refusal: &Refusal) -> Option<&'static str> {
    refusal.is_missing().then_some("IAM does not know the role everywhere yet")
}

/// A policy, which IAM gives out with percent signs, so that two are compared by what they say.
fn document(encoded: &str) -> Option<Value> {
    serde_json::from_str(&percent_decode_str(encoded).decode_utf8().ok()?).ok()
}

fn tag_list(tags: &Tags) -> Result<Vec<Tag>> {
    let tag =
        |(key, value): (&String, &String)| Tag::builder().key(key).value(value).build().map_err(unbuildable);
    tags.iter().map(tag).collect()
}
