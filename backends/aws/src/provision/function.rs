//! The function: the runtime, and how it is run.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::client::Waiters as _;
use aws_sdk_lambda::operation::get_function::GetFunctionOutput;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{
    Architecture as LambdaArchitecture, Concurrency, Environment, EphemeralStorage, FunctionCode,
    FunctionConfiguration, Runtime, State,
};
use rustwren_core::config::units::format_duration;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::course::{Patience, Planned, Removal, Resource};
use rustwren_core::provision::{Change, Package, RuntimeSource, Step};

use super::arn::Account;
use super::call::{Refusal, call, if_there};
use super::mark::{self, Tags};
use super::package::{self, BOOTSTRAP, code_sha256};
use super::spec::WorkerSpec;
use crate::config::Architecture;

/// What Lambda runs a zip with a `bootstrap` on.
pub(crate) const RUNTIME: &str = "provided.al2023";

/// How long a function may take to be ready.
const READY: Duration = Duration::from_mins(3);

/// The function, as it is and as it should be.
#[derive(Debug)]
pub(crate) struct Function {
    client: Client,
    region: String,
    spec: WorkerSpec,
    source: RuntimeSource,
}

/// The settings that a function has as a whole, in the words in which differences are told.
type Settings = BTreeMap<&'static str, String>;

/// How a function is.
struct Found {
    tags: Tags,
    settings: Settings,
    environment: BTreeMap<String, String>,
    architecture: String,
    sha256: String,
    reserved: Option<i32>,
}

impl Found {
    fn of(output: &GetFunctionOutput) -> Self {
        let config = output.configuration();
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let number = |number: Option<i32>| number.unwrap_or_default();
        let timeout = number(config.and_then(FunctionConfiguration::timeout)).unsigned_abs();
        let tmp = config.and_then(|c| c.ephemeral_storage()).map(|tmp| tmp.size);
        let settings = [
            ("role", text(config.and_then(|c| c.role()))),
            ("memory", megabytes(number(config.and_then(FunctionConfiguration::memory_size)))),
            ("timeout", format_duration(Duration::from_secs(timeout.into()))),
            ("tmp", megabytes(number(tmp))),
            ("runtime", text(config.and_then(|c| c.runtime()).map(Runtime::as_str))),
            ("handler", text(config.and_then(|c| c.handler()))),
        ];
        let variables = config.and_then(|c| c.environment()).and_then(|e| e.variables());
        let architecture = config.and_then(|c| c.architectures().first());
        Self {
            tags: output.tags().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect(),
            settings: settings.into(),
            environment: variables.into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect(),
            architecture: architecture.map_or("x86_64", LambdaArchitecture::as_str).to_owned(),
            sha256: text(config.and_then(|c| c.code_sha256())),
            reserved: output.concurrency().and_then(Concurrency::reserved_concurrent_executions),
        }
    }
}

impl Function {
    pub(crate) fn new(client: Client, region: String, spec: WorkerSpec, source: RuntimeSource) -> Self {
        Self { client, region, spec, source }
    }

    fn name(&self) -> &str {
        &self.spec.config.function
    }

    fn package(&self) -> Result<&Package> {
        package::package(&self.source)
    }

    /// Fails where there is no runtime that could be deployed.
    pub(crate) fn check_runtime(&self) -> Result<()> {
        self.package().map(drop)
    }

    fn role(&self, account: &Account) -> String {
        match (&self.spec.role, self.spec.own_role(&self.region)) {
            (Some(role), _) => role.clone(),
            (None, own) => account.role(&own.unwrap_or_default()),
        }
    }

    fn architecture(&self) -> LambdaArchitecture {
        match self.spec.config.architecture {
            Architecture::X86_64 => LambdaArchitecture::X8664,
            Architecture::Arm64 => LambdaArchitecture::Arm64,
        }
    }

    fn wanted(&self, account: &Account) -> Settings {
        let config = &self.spec.config;
        [
            ("role", self.role(account)),
            ("memory", megabytes(config.memory_mb.cast_signed())),
            ("timeout", format_duration(config.timeout)),
            ("tmp", megabytes(config.tmp_mb.cast_signed())),
            ("runtime", RUNTIME.to_owned()),
            ("handler", BOOTSTRAP.to_owned()),
        ]
        .into()
    }

    async fn get(&self) -> Result<Option<GetFunctionOutput>> {
        let sent = self.client.get_function().function_name(self.name()).send();
        let what = format!("looking for the function {}", self.name());
        Ok(if_there(call("lambda:GetFunction", what, sent).await)?)
    }

    /// `sha256` is that of the package, where it is to be compared.
    fn step(&self, account: &Account, found: Option<&Found>, sha256: Option<&str>) -> Step {
        let config = &self.spec.config;
        let about = format!(
            "{}, {}, {}, up to {}",
            RUNTIME,
            self.architecture().as_str(),
            megabytes(config.memory_mb.cast_signed()),
            format_duration(config.timeout)
        );
        let step = Step::new("function", self.name(), Change::None).about(about);
        let Some(found) = found else {
            return Step { change: Change::Create, ..step };
        };
        let mut step = mark::compare(step, &found.tags, &self.spec.tags);
        for (what, wanted) in self.wanted(account) {
            step = step.compare(what, found.settings.get(what), &wanted);
        }
        step = compare_variables(step, &found.environment, &self.spec.environment);
        step =
            step.compare("architecture", Some(&found.architecture), &self.architecture().as_str().to_owned());
        if let Some(sha256) = sha256.filter(|sha256| *sha256 != found.sha256) {
            step = step.differs("runtime's program", short(&found.sha256), short(sha256));
        }
        if found.reserved != self.spec.reserved {
            let text = |reserved: Option<i32>| reserved.map(|n| n.to_string());
            step = step.differs("reserved", text(found.reserved), text(self.spec.reserved));
        }
        step.update_if_different()
    }

    async fn create(&self, account: &Account, patience: Patience<'_>) -> Result<()> {
        let config = &self.spec.config;
        let name = self.name();
        let code = FunctionCode::builder().zip_file(Blob::new(self.package()?.bytes.clone())).build();
        let create = self
            .client
            .create_function()
            .function_name(name)
            .description("Runs tasks of RustWren, made by `rustwren setup`")
            .role(self.role(account))
            .runtime(Runtime::Providedal2023)
            .handler(BOOTSTRAP)
            .architectures(self.architecture())
            .memory_size(config.memory_mb.cast_signed())
            .timeout(seconds(config.timeout))
            .set_ephemeral_storage(Some(ephemeral(config.tmp_mb)?))
            .environment(self.environment())
            .set_tags(Some(self.spec.tags.clone().into_iter().collect()))
            .code(code);
        let made = patience
            .until_done(passes, || {
                call("lambda:CreateFunction", format!("making the function {name}"), create.clone().send())
            })
            .await;
        match made {
            // By a call of ours whose answer was lost.
            Err(refusal) if refusal.is(&["ResourceConflictException"]) => Ok(()),
            Err(refusal) => Err(explained(refusal)),
            Ok(_) => Ok(()),
        }
    }

    fn environment(&self) -> Environment {
        let variables = self.spec.environment.clone().into_iter().collect();
        Environment::builder().set_variables(Some(variables)).build()
    }

    async fn settle(&self, account: &Account, found: &Found, patience: Patience<'_>) -> Result<()> {
        let config = &self.spec.config;
        let name = self.name();
        if found.settings != self.wanted(account) || found.environment != self.spec.environment {
            let update = self
                .client
                .update_function_configuration()
                .function_name(name)
                .role(self.role(account))
                .runtime(Runtime::Providedal2023)
                .handler(BOOTSTRAP)
                .memory_size(config.memory_mb.cast_signed())
                .timeout(seconds(config.timeout))
                .set_ephemeral_storage(Some(ephemeral(config.tmp_mb)?))
                .environment(self.environment());
            let what = format!("setting up the function {name}");
            let sent = || call("lambda:UpdateFunctionConfiguration", what.clone(), update.clone().send());
            patience.until_done(passes, sent).await.map_err(explained)?;
            self.until_updated(patience).await?;
        }
        let architecture = self.architecture();
        let package = self.package()?;
        if found.sha256 != code_sha256(package) || found.architecture != architecture.as_str() {
            let update = self
                .client
                .update_function_code()
                .function_name(name)
                .architectures(architecture)
                .zip_file(Blob::new(package.bytes.clone()));
            let what = format!("uploading the runtime to the function {name}");
            let sent = || call("lambda:UpdateFunctionCode", what.clone(), update.clone().send());
            patience.until_done(passes, sent).await.map_err(explained)?;
            self.until_updated(patience).await?;
        }
        if self.spec.tags.iter().any(|(key, value)| found.tags.get(key) != Some(value)) {
            let tags = self.spec.tags.clone().into_iter().collect();
            let arn = account.function(&self.region, name);
            let sent = self.client.tag_resource().resource(arn).set_tags(Some(tags)).send();
            call("lambda:TagResource", format!("tagging the function {name}"), sent).await?;
        }
        self.reserve(found.reserved).await
    }

    async fn reserve(&self, found: Option<i32>) -> Result<()> {
        let name = self.name();
        let what = format!("reserving concurrency for the function {name}");
        match self.spec.reserved {
            wanted if wanted == found => Ok(()),
            Some(reserved) => {
                let put = self.client.put_function_concurrency().function_name(name);
                let sent = put.reserved_concurrent_executions(reserved).send();
                let put = call("lambda:PutFunctionConcurrency", what, sent).await;
                put.map(drop).map_err(explained)
            }
            None => {
                let sent = self.client.delete_function_concurrency().function_name(name).send();
                if_there(call("lambda:DeleteFunctionConcurrency", what, sent).await)?;
                Ok(())
            }
        }
    }

    async fn until_active(&self, patience: Patience<'_>) -> Result<()> {
        patience.tell("Lambda prepares the function");
        let waiter = self.client.wait_until_function_active_v2().function_name(self.name());
        Box::pin(waiter.wait(READY)).await.map(drop).map_err(|error| self.not_ready(&error))
    }

    async fn until_updated(&self, patience: Patience<'_>) -> Result<()> {
        patience.tell("Lambda updates the function");
        let waiter = self.client.wait_until_function_updated_v2().function_name(self.name());
        Box::pin(waiter.wait(READY)).await.map(drop).map_err(|error| self.not_ready(&error))
    }

    fn not_ready(&self, error: &(dyn std::error::Error + 'static)) -> Error {
        let why = rustwren_core::error::chain(error);
        Error::new(
            ErrorKind::Unavailable,
            format!("the function {} does not become ready: {why}", self.name()),
        )
        .with_hint("run `rustwren setup` again; `rustwren doctor` says what state the function is in")
    }

    /// The function's state, for people.
    pub(crate) async fn state(&self, account: &Account) -> Result<String> {
        let missing = || {
            Error::new(ErrorKind::Config, format!("the function {} is not there", self.name())).with_hint(
                "run `rustwren setup`, or set `function` and `region` in [compute] to where it was set up",
            )
        };
        let output = self.get().await?.ok_or_else(missing)?;
        let config = output.configuration();
        match config.and_then(|c| c.state()) {
            None | Some(State::Active | State::Inactive | State::ActiveNonInvocable) => {}
            Some(state) => {
                let why = config.and_then(|c| c.state_reason()).unwrap_or("no reason is given");
                let message = format!("the function {} is {}: {why}", self.name(), state.as_str());
                let hint = "wait a moment; where that does not help, run `rustwren setup`";
                return Err(Error::new(ErrorKind::Unavailable, message).with_hint(hint));
            }
        }
        let step = self.step(account, Some(&Found::of(&output)), None);
        if step.change == Change::None {
            return Ok(format!("{}, {}", self.name(), step.about));
        }
        let what: Vec<&str> = step.differences.iter().map(|difference| difference.what.as_str()).collect();
        let message = format!("the function {} is not as it is configured: {}", self.name(), what.join(", "));
        Err(Error::new(ErrorKind::Config, message).with_hint("run `rustwren setup`"))
    }
}

#[async_trait]
impl Resource<Account> for Function {
    async fn plan(&self, account: &Account) -> Result<Planned> {
        let found = self.get().await?.map(|output| Found::of(&output));
        if found.as_ref().is_some_and(|found| !mark::is_ours(&found.tags)) {
            return Err(mark::not_ours("function", self.name(), "function"));
        }
        let sha256 = &code_sha256(self.package()?);
        Ok(self.step(account, found.as_ref(), Some(sha256)).into())
    }

    async fn apply(&self, account: &Account, step: &Step, patience: Patience<'_>) -> Result<()> {
        if step.change == Change::Create {
            self.create(account, patience).await?;
            self.until_active(patience).await?;
        }
        let found = self.get().await?.ok_or_else(|| {
            Error::new(ErrorKind::Unavailable, format!("the function {} is no longer there", self.name()))
                .with_hint("run `rustwren setup` again")
        })?;
        let found = Found::of(&found);
        // Made by somebody else since the plan.
        if !mark::is_ours(&found.tags) {
            return Err(mark::not_ours("function", self.name(), "function"));
        }
        self.settle(account, &found, patience).await
    }

    async fn removal(&self, _account: &Account) -> Result<Removal> {
        let name = self.name();
        Ok(match self.get().await?.map(|output| Found::of(&output)) {
            None => Removal::Nothing,
            Some(found) if mark::is_ours(&found.tags) => {
                Removal::Ours(Step::new("function", name, Change::Delete).about("with its settings"))
            }
            Some(_) => {
                Removal::Stays(format!("the function {name} stays: it was not made by `rustwren setup`"))
            }
        })
    }

    async fn remove(&self, _account: &Account, _step: &Step, patience: Patience<'_>) -> Result<()> {
        let name = self.name();
        let remove = || async {
            let sent = self.client.delete_function().function_name(name).send();
            if_there(call("lambda:DeleteFunction", format!("removing the function {name}"), sent).await)
                .map(drop)
        };
        Ok(patience.until_done(passes, remove).await?)
    }
}

/// The mend, where Lambda's own words do not name it.
fn explained(refusal: Refusal) -> Error {
    let hint = match refusal.failure.code() {
        "CodeStorageExceededException" => {
            "remove functions or versions that nobody uses: the account's room for code is full"
        }
        "InvalidParameterValueException" if refusal.failure.message.contains("MemorySize") => {
            "new accounts are held to less memory: ask for a higher quota, or set `memory = \"3008MiB\"` in [compute]"
        }
        "InvalidParameterValueException"
            if refusal.failure.message.contains("ReservedConcurrentExecutions") =>
        {
            "100 executions of the account stay unreserved: set `reserved` in [compute] to less, or leave it out"
        }
        "InvalidParameterValueException" if is_unassumable(&refusal) => {
            "the role must trust lambda.amazonaws.com: docs/aws.md has its trust policy"
        }
        _ => return refusal.into(),
    };
    Error::from(refusal).with_hint(hint)
}

/// What passes by itself: a role that Lambda does not know yet, a change that is still being made.
fn passes(refusal: &Refusal) -> Option<&'static str> {
    if is_unassumable(refusal) {
        return Some("Lambda does not know the new role yet");
    }
    let in_progress =
        refusal.is(&["ResourceConflictException"]) && !refusal.failure.message.contains("already exist");
    in_progress.then_some("Lambda is still busy with the function")
}

fn is_unassumable(refusal: &Refusal) -> bool {
    refusal.is(&["InvalidParameterValueException"])
        && refusal.failure.message.contains("cannot be assumed by Lambda")
}

/// Tells which variables differ. Their names are ours; their values hold no secrets, for the configuration has none.
fn compare_variables(
    mut step: Step,
    found: &BTreeMap<String, String>,
    wanted: &BTreeMap<String, String>,
) -> Step {
    for (name, value) in wanted {
        // What somebody else set may be a secret.
        if found.get(name) != Some(value) {
            step = step.differs(format!("variable {name}"), None::<String>, Some(value.clone()));
        }
    }
    for name in found.keys().filter(|name| !wanted.contains_key(*name)) {
        step = step.differs_untold(format!("variable {name}, which is removed"));
    }
    step
}

fn megabytes(megabytes: i32) -> String {
    format!("{megabytes} MB")
}

fn seconds(span: Duration) -> i32 {
    i32::try_from(span.as_secs()).unwrap_or(i32::MAX)
}

fn ephemeral(megabytes: u32) -> Result<EphemeralStorage> {
    EphemeralStorage::builder().size(megabytes.cast_signed()).build().map_err(super::call::unbuildable)
}

/// Enough of a hash for people to see that it changes.
fn short(sha256: &str) -> Option<String> {
    (!sha256.is_empty()).then(|| sha256.chars().take(8).collect())
}
