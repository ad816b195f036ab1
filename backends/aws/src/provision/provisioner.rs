//! Setup and teardown: the things in their order.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sts::Client as Sts;
use rustwren_core::clock::Clock;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::course::{self, Course, Moment, Pauses, Refused, Resource};
use rustwren_core::provision::{Applied, Leg, LogQuery, LogStream, Plan, Provisioner, Watch};

use super::arn::Account;
use super::bucket::Bucket;
use super::call::{Refusal, call};
use super::function::Function;
use super::tail;

/// How long is waited for changes that are not yet known everywhere: a role at Lambda, say. The first pause.
const SPREADING: Duration = Duration::from_mins(1);
const FIRST: Duration = Duration::from_secs(2);

/// The SDK waits by itself for what passes whatever was asked for.
impl Refused for Refusal {
    fn moment(&self) -> Option<Moment> {
        None
    }
}

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
    pub(crate) before: Vec<Box<dyn Resource<Account>>>,
    /// What needs the function.
    pub(crate) after: Vec<Box<dyn Resource<Account>>>,
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
    fn all(&self) -> impl DoubleEndedIterator<Item = &dyn Resource<Account>> {
        let bucket =
            self.bucket.iter().filter(|_| self.makes_bucket).map(|bucket| bucket as &dyn Resource<Account>);
        let function = self.function.iter().map(|function| function as &dyn Resource<Account>);
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

    fn course<'a>(&'a self, account: &'a Account) -> Course<'a, Account> {
        let pauses = Pauses::of(SPREADING).beginning_with(FIRST);
        Course { parts: self.parts.all().collect(), place: account, clock: &*self.clock.0, pauses }
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
        let mut plan = self.course(&account).plan().await?;
        plan.notes.insert(0, format!("in the account {}", account.id));
        Ok(plan)
    }

    async fn apply(&self, plan: &Plan, watch: &dyn Watch) -> Result<Applied> {
        let (account, _) = self.caller().await?;
        self.course(&account).apply(plan, watch).await
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
            legs.push(course::leg(&*self.clock.0, "bucket", bucket.state(&account)).await);
        }
        if let Some(function) = &self.parts.function {
            legs.push(course::leg(&*self.clock.0, "function", function.state(&account)).await);
        }
        legs
    }

    async fn destroy_plan(&self) -> Result<Plan> {
        let (account, _) = self.caller().await?;
        let mut plan = self.course(&account).destroy_plan().await?;
        plan.notes.insert(0, format!("in the account {}", account.id));
        Ok(plan)
    }

    async fn destroy(&self, plan: &Plan, watch: &dyn Watch) -> Result<()> {
        let (account, _) = self.caller().await?;
        self.course(&account).destroy(plan, watch).await
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
