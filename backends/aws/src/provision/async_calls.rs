//! What Lambda does with calls that nobody waits for. It would try a failed one twice more by itself, minutes later;
//! RustWren knows better what is left to do, and does that itself.

use async_trait::async_trait;
use aws_sdk_lambda::Client;
use rustwren_core::error::Result;
use rustwren_core::provision::course::{Patience, Planned, Removal, Resource};
use rustwren_core::provision::{Change, Step};

use super::arn::Account;
use super::call::{Refusal, call, if_there};

/// How often Lambda tries a failed call again.
const ATTEMPTS: i32 = 0;

/// For how many seconds Lambda keeps a call that it has no worker for: as long as it can.
const AGE: i32 = 21_600;

/// The function's setting for calls that nobody waits for.
#[derive(Debug)]
pub(crate) struct AsyncCalls {
    client: Client,
    function: String,
}

/// How it is set: attempts and seconds.
#[derive(PartialEq, Eq)]
struct Found(Option<i32>, Option<i32>);

impl AsyncCalls {
    pub(crate) fn new(client: Client, function: String) -> Self {
        Self { client, function }
    }

    async fn look(&self) -> Result<Option<Found>> {
        let sent = self.client.get_function_event_invoke_config().function_name(&self.function).send();
        let what = format!("reading how the function {} is called asynchronously", self.function);
        let found = if_there(call("lambda:GetFunctionEventInvokeConfig", what, sent).await)?;
        Ok(found.map(|found| Found(found.maximum_retry_attempts, found.maximum_event_age_in_seconds)))
    }
}

#[async_trait]
impl Resource<Account> for AsyncCalls {
    async fn plan(&self, _account: &Account) -> Result<Planned> {
        let step = Step::new("async calls", &self.function, Change::None).about("not repeated by Lambda");
        let Some(Found(attempts, age)) = self.look().await? else {
            return Ok(Step { change: Change::Create, ..step }.into());
        };
        let step = step.compare("attempts", attempts.as_ref(), &ATTEMPTS);
        Ok(step.compare("seconds in the queue", age.as_ref(), &AGE).update_if_different().into())
    }

    async fn apply(&self, _account: &Account, _step: &Step, patience: Patience<'_>) -> Result<()> {
        let put = || {
            let put = self.client.put_function_event_invoke_config().function_name(&self.function);
            let sent = put.maximum_retry_attempts(ATTEMPTS).maximum_event_age_in_seconds(AGE).send();
            let what = format!("setting how the function {} is called asynchronously", self.function);
            call("lambda:PutFunctionEventInvokeConfig", what, sent)
        };
        let busy = |refusal: &Refusal| {
            refusal.is(&["ResourceConflictException"]).then_some("Lambda is still busy with the function")
        };
        patience.until_done(busy, put).await?;
        Ok(())
    }

    async fn removal(&self, _account: &Account) -> Result<Removal> {
        // It goes with the function.
        Ok(Removal::Nothing)
    }

    async fn remove(&self, _account: &Account, _step: &Step, _patience: Patience<'_>) -> Result<()> {
        Ok(())
    }
}
