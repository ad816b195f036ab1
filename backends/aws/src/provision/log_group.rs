//! The log group of the function. Lambda would make one by itself, without an end to how long it keeps lines.

use async_trait::async_trait;
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::types::LogGroup as FoundGroup;
use rustwren_core::error::{Error, Result};
use rustwren_core::provision::course::{Patience, Planned, Removal, Resource};
use rustwren_core::provision::{Change, Step};

use super::arn::Account;
use super::call::{call, if_there};
use super::mark::{self, Tags};

/// The log group, as it is and as it should be.
#[derive(Debug)]
pub(crate) struct LogGroup {
    client: Client,
    name: String,
    region: String,
    days: i32,
    tags: Tags,
}

/// How a log group is.
struct Found {
    tags: Tags,
    days: Option<i32>,
}

impl LogGroup {
    pub(crate) fn new(client: Client, name: String, region: String, days: i32, tags: Tags) -> Self {
        Self { client, name, region, days, tags }
    }

    async fn look(&self, account: &Account) -> Result<Option<Found>> {
        let Some(group) = self.group().await? else { return Ok(None) };
        let sent = self.client.list_tags_for_resource().resource_arn(self.arn(account)).send();
        let what = format!("reading the tags of the log group {}", self.name);
        let Some(tags) = if_there(call("logs:ListTagsForResource", what, sent).await)? else {
            return Ok(None);
        };
        let tags = tags.tags.unwrap_or_default().into_iter().collect();
        Ok(Some(Found { tags, days: group.retention_in_days }))
    }

    /// The group of exactly this name: the service answers for all that begin with it.
    async fn group(&self) -> Result<Option<FoundGroup>> {
        let describe = self.client.describe_log_groups().log_group_name_prefix(&self.name);
        let mut pages = describe.into_paginator().send();
        let what = || format!("looking for the log group {}", self.name);
        while let Some(page) = pages.next().await {
            let page = call("logs:DescribeLogGroups", what(), std::future::ready(page)).await?;
            let mut groups = page.log_groups.unwrap_or_default().into_iter();
            if let Some(found) = groups.find(|group| group.log_group_name.as_ref() == Some(&self.name)) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn arn(&self, account: &Account) -> String {
        account.log_group(&self.region, &self.name)
    }

    fn step(&self, found: Option<&Found>) -> Step {
        let about = format!("lines kept for {} days", self.days);
        let step = Step::new("log group", &self.name, Change::None).about(about);
        let Some(found) = found else {
            return Step { change: Change::Create, ..step };
        };
        let step = mark::compare(step, &found.tags, &self.tags);
        step.compare("days that lines are kept", found.days.as_ref(), &self.days).update_if_different()
    }

    async fn settle(&self, account: &Account, found: &Found) -> Result<()> {
        let name = &self.name;
        if self.tags.iter().any(|(key, value)| found.tags.get(key) != Some(value)) {
            let tags = self.tags.clone().into_iter().collect();
            let sent = self.client.tag_resource().resource_arn(self.arn(account)).set_tags(Some(tags)).send();
            call("logs:TagResource", format!("tagging the log group {name}"), sent).await?;
        }
        if found.days != Some(self.days) {
            let sent =
                self.client.put_retention_policy().log_group_name(name).retention_in_days(self.days).send();
            let what = format!("setting how long the log group {name} keeps lines");
            call("logs:PutRetentionPolicy", what, sent).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Resource<Account> for LogGroup {
    async fn plan(&self, account: &Account) -> Result<Planned> {
        match self.look(account).await? {
            Some(found) if !mark::is_ours(&found.tags) => {
                let error: Error = mark::not_ours("log group", &self.name, "function");
                Err(error.and_hint("or delete it: `aws logs delete-log-group --log-group-name` and its name"))
            }
            found => Ok(self.step(found.as_ref()).into()),
        }
    }

    async fn apply(&self, account: &Account, step: &Step, _patience: Patience<'_>) -> Result<()> {
        let mut found = None;
        if step.change == Change::Create {
            let tags = self.tags.clone().into_iter().collect();
            let sent = self.client.create_log_group().log_group_name(&self.name).set_tags(Some(tags)).send();
            let made = call("logs:CreateLogGroup", format!("making the log group {}", self.name), sent).await;
            match made {
                Err(refusal) if !refusal.is(&["ResourceAlreadyExistsException"]) => {
                    return Err(refusal.into());
                }
                _ => found = Some(Found { tags: self.tags.clone(), days: None }),
            }
        }
        let found = match found {
            Some(made) => made,
            None => self.look(account).await?.unwrap_or(Found { tags: Tags::new(), days: None }),
        };
        self.settle(account, &found).await
    }

    async fn removal(&self, account: &Account) -> Result<Removal> {
        let name = &self.name;
        Ok(match self.look(account).await? {
            None => Removal::Nothing,
            Some(found) if mark::is_ours(&found.tags) => {
                Removal::Ours(Step::new("log group", name, Change::Delete).about("with its lines"))
            }
            Some(_) => {
                Removal::Stays(format!("the log group {name} stays: it was not made by `rustwren setup`"))
            }
        })
    }

    async fn remove(&self, _account: &Account, _step: &Step, _patience: Patience<'_>) -> Result<()> {
        let sent = self.client.delete_log_group().log_group_name(&self.name).send();
        if_there(call("logs:DeleteLogGroup", format!("removing the log group {}", self.name), sent).await)?;
        Ok(())
    }
}
