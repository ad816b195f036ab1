//! Setup and teardown: the things in their order.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_sts::Client as Sts;
use rustwren_core::clock::Clock;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::{Applied, Change, Leg, LogQuery, LogStream, Plan, Provisioner, Step, Watch};

use super::arn::Account;
use super::bucket::Bucket;
use super::call::call;
use super::function::Function;
use super::patience::Patience;
use super::resource::{Removal, Resource};
use super::tail;

/// What `rustwren setup` does on AWS.
#[derive(Debug)]
pub struct AwsProvisioner {
    pub(crate) region: String,
    pub(crate) sts: Sts,
    pub(crate) clock: ClockHandle,
    pub(crate) parts: Parts,
}

/// The things that are set up. They are made in the order in which [`Parts::all`] has them, and removed in the opposite
/// one.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) bucket: Option<Bucket>,
    /// Whether the bucket is made and removed, and not only used.
    pub(crate) makes_bucket: bool,
    pub(crate) function: Option<Function>,
    /// What the function needs.
    pub(crate) before: Vec<Box<dyn Resource>>,
    /// What needs the function.
    pub(crate) after: Vec<Box<dyn Resource>>,
    pub(crate) logs: Option<(aws_sdk_cloudwatchlogs::Client, String)>,
}

/// A clock that can be shown: as nothing.
#[derive(Clone)]
pub(crate) struct ClockHandle(pub(crate) Arc<dyn Clock>);

impl std::fmt::Debug for ClockHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

impl Parts {
    fn all(&self) -> impl DoubleEndedIterator<Item = &dyn Resource> {
        let bucket = self.bucket.iter().filter(|_| self.makes_bucket).map(|bucket| bucket as &dyn Resource);
        let function = self.function.iter().map(|function| function as &dyn Resource);
        let before = self.before.iter().map(|part| &**part);
        let after = self.after.iter().map(|part| &**part);
        bucket.chain(before).chain(function).chain(after)
    }
}

impl AwsProvisioner {
    /// Who is calling: the account, and the caller's name.
    async fn caller(&self) -> Result<(Account, String)> {
        let sent = self.sts.get_caller_identity().send();
        let caller = call("sts:GetCallerIdentity", "asking AWS who is calling", sent).await?;
        let arn = caller.arn.unwrap_or_default();
        let account = Account::of_caller(&arn).ok_or_else(|| {
            Error::new(
                ErrorKind::Internal,
                format!("AWS says that the caller is {arn:?}, which names no account"),
            )
        })?;
        Ok((account, arn))
    }

    /// What each thing says of its removal, in the order in which they are removed.
    async fn removals(&self, account: &Account) -> Result<Vec<(&dyn Resource, Removal)>> {
        let mut found = Vec::new();
        for part in self.parts.all().rev() {
            found.push((part, part.removal(account).await?));
        }
        Ok(found)
    }

    async fn leg(&self, name: &str, look: impl Future<Output = Result<String>>) -> Leg {
        let start = self.clock.0.now();
        let outcome = look.await;
        Leg::new(name, self.clock.0.now().saturating_sub(start), outcome)
    }

    fn patience<'a>(&'a self, watch: &'a dyn Watch, step: usize) -> Patience<'a> {
        Patience { clock: &*self.clock.0, watch, step }
    }
}

#[async_trait]
impl Provisioner for AwsProvisioner {
    fn target(&self) -> String {
        format!("AWS, {}", self.region)
    }

    async fn plan(&self) -> Result<Plan> {
        // What cannot run there is refused before anything else is looked at.
        if let Some(function) = &self.parts.function {
            function.check_runtime()?;
        }
        let (account, _) = self.caller().await?;
        let mut plan = Plan::default();
        for part in self.parts.all() {
            let planned = part.plan(&account).await?;
            plan.steps.push(planned.step);
            plan.notes.extend(planned.notes);
        }
        plan.notes.insert(0, format!("in the account {}", account.id));
        Ok(plan)
    }

    async fn apply(&self, plan: &Plan, watch: &dyn Watch) -> Result<Applied> {
        let (account, _) = self.caller().await?;
        for (index, planned) in plan.pending() {
            let part = self.parts.all().nth(index).ok_or_else(|| stale(planned))?;
            watch.started(index);
            let now = part.plan(&account).await?.step;
            if now.change != Change::None {
                if now != *planned {
                    return Err(stale(planned));
                }
                part.apply(&account, &now, self.patience(watch, index)).await?;
            }
            watch.done(index);
        }
        Ok(Applied::default())
    }

    async fn verify(&self) -> Vec<Leg> {
        let start = self.clock.0.now();
        let caller = self.caller().await;
        let time = self.clock.0.now().saturating_sub(start);
        let (account, arn) = match caller {
            Ok(caller) => caller,
            Err(error) => return vec![Leg::new("credentials", time, Err(error))],
        };
        let mut legs = vec![Leg::new("credentials", time, Ok(arn))];
        if let Some(bucket) = &self.parts.bucket {
            legs.push(self.leg("bucket", bucket.state(&account)).await);
        }
        if let Some(function) = &self.parts.function {
            legs.push(self.leg("function", function.state(&account)).await);
        }
        legs
    }

    async fn destroy_plan(&self) -> Result<Plan> {
        let (account, _) = self.caller().await?;
        let mut plan = Plan::default().note(format!("in the account {}", account.id));
        for (_, removal) in self.removals(&account).await? {
            match removal {
                Removal::Nothing => {}
                Removal::Ours(step) => plan.steps.push(step),
                Removal::Stays(why) => plan.notes.push(why),
            }
        }
        Ok(plan)
    }

    async fn destroy(&self, plan: &Plan, watch: &dyn Watch) -> Result<()> {
        let (account, _) = self.caller().await?;
        let mut found = self.removals(&account).await?;
        for (index, planned) in plan.pending() {
            watch.started(index);
            let same = |step: &Step| (&step.kind, &step.name) == (&planned.kind, &planned.name);
            let at =
                found.iter().position(|(_, removal)| matches!(removal, Removal::Ours(step) if same(step)));
            // What is no longer found is gone, or has been given to somebody else.
            if let Some(at) = at {
                let (part, _) = found.swap_remove(at);
                part.remove(&account, planned, self.patience(watch, index)).await?;
            }
            watch.done(index);
        }
        Ok(())
    }

    async fn logs(&self, query: LogQuery) -> Result<LogStream> {
        let Some((client, group)) = &self.parts.logs else {
            let message = "there are no workers on AWS in this configuration, and so no logs";
            return Err(Error::new(ErrorKind::Config, message)
                .with_hint("what tasks print is shown by the program that runs the job"));
        };
        Ok(tail::lines(client.clone(), group.clone(), query, Arc::clone(&self.clock.0)))
    }
}

fn stale(step: &Step) -> Error {
    let message = format!("the {} {} is no longer as it was when the plan was made", step.kind, step.name);
    Error::new(ErrorKind::Unavailable, message)
        .with_hint("run `rustwren setup` again to see what there is to do now")
}
