//! The provisioner as a configuration chooses it.

use std::sync::Arc;

use async_trait::async_trait;
use aws_config::SdkConfig;
use rustwren_core::clock::{Clock, TokioClock};
use rustwren_core::config::{ProvisionerFactory, Settings, Setup};
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::course::Resource;
use rustwren_core::provision::{Provisioner, SetupOption};

use super::arn::Account;
use super::async_calls::AsyncCalls;
use super::bucket::Bucket;
use super::function::Function;
use super::log_group::LogGroup;
use super::package;
use super::policy::{self, Scope};
use super::provisioner::{AwsProvisioner, ClockHandle, Parts};
use super::role::Role;
use super::spec::{BucketSpec, WorkerSpec};
use crate::client::{Access, Keys, Retries, no_region};

/// The name of the backend.
const AWS: &str = "aws";

/// IAM's limit.
const LONGEST_ROLE: usize = 64;

/// Makes the provisioner of AWS.
#[derive(Clone)]
pub struct AwsProvisionerFactory {
    clock: Arc<dyn Clock>,
    keys: Option<Keys>,
}

impl std::fmt::Debug for AwsProvisionerFactory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AwsProvisionerFactory")
    }
}

impl Default for AwsProvisionerFactory {
    fn default() -> Self {
        Self::with_clock(Arc::new(TokioClock::new()))
    }
}

impl AwsProvisionerFactory {
    /// One that waits by this clock.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self { clock, keys: None }
    }

    /// Calls with these credentials, and not with those of the environment or the profile.
    pub fn credentials(mut self, keys: Keys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// The clients' configuration, with the region that it must have.
    async fn load(&self, settings: &Settings, access: &Access) -> Result<(SdkConfig, String)> {
        let access = Access { credentials: self.keys.clone(), ..access.clone() };
        let config = access.load(Retries::Sdk).await;
        match config.region().map(ToString::to_string) {
            Some(region) => Ok((config, region)),
            None => Err(no_region(settings)),
        }
    }

    /// The provisioner of these sections, as itself.
    pub async fn provisioner(&self, setup: &Setup) -> Result<AwsProvisioner> {
        let mut parts = Parts {
            bucket: None,
            makes_bucket: false,
            function: None,
            before: Vec::new(),
            after: Vec::new(),
            logs: None,
        };
        let mut whole = None;
        let storage = setup.storage_of(AWS);
        let spec = storage.map(BucketSpec::from_settings).transpose()?;
        if let (Some(settings), Some(spec)) = (storage, &spec) {
            let (config, region) = self.load(settings, &spec.config.access).await?;
            let s3 = aws_sdk_s3::config::Builder::from(&config).force_path_style(spec.config.path_style);
            parts.makes_bucket = spec.make;
            parts.bucket =
                Some(Bucket::new(aws_sdk_s3::Client::from_conf(s3.build()), region.clone(), spec.clone()));
            whole = Some((config, region));
        }
        if let Some(settings) = setup.compute_of(AWS) {
            let worker = WorkerSpec::from_settings(setup, settings, spec.as_ref())?;
            let (config, region) = self.load(settings, &worker.config.access).await?;
            let storage_region = whole.as_ref().map(|(_, region)| region.clone());
            add_workers(
                &mut parts,
                setup,
                settings,
                &config,
                &region,
                (worker, spec.as_ref(), storage_region),
            )?;
            whole = Some((config, region));
        }
        let (config, region) = whole.ok_or_else(|| {
            Error::new(ErrorKind::Internal, "setup on AWS was asked for without anything that is on AWS")
        })?;
        let sts = aws_sdk_sts::Client::new(&config);
        Ok(AwsProvisioner { region, sts, clock: ClockHandle(Arc::clone(&self.clock)), parts })
    }
}

#[async_trait]
impl ProvisionerFactory for AwsProvisionerFactory {
    fn backend(&self) -> &'static str {
        AWS
    }

    fn takes(&self) -> &'static [SetupOption] {
        &[SetupOption::Runtime]
    }

    async fn build(&self, setup: &Setup) -> Result<Option<Arc<dyn Provisioner>>> {
        Ok(Some(Arc::new(self.provisioner(setup).await?)))
    }
}

/// Adds the function and all that it takes.
fn add_workers(
    parts: &mut Parts,
    setup: &Setup,
    settings: &Settings,
    config: &SdkConfig,
    region: &str,
    (mut worker, bucket, storage_region): (WorkerSpec, Option<&BucketSpec>, Option<String>),
) -> Result<()> {
    let function = worker.config.function.clone();
    if let Some(storage_region) = storage_region {
        worker.environment.insert(super::spec::variable("STORAGE", "REGION"), storage_region);
    }
    let logs = aws_sdk_cloudwatchlogs::Client::new(config);
    let group = policy::log_group(&function);
    if let Some(role) = worker.own_role(region) {
        if role.len() > LONGEST_ROLE {
            let must = format!(
                "must be shorter: its role is called {role}, and IAM takes {LONGEST_ROLE} characters"
            );
            return Err(settings.error("function", must).with_hint("or name an existing role as `role`"));
        }
        let scope = Scope {
            account: Account { id: String::new(), partition: String::new() },
            region: region.to_owned(),
            objects: bucket.map(|bucket| bucket.objects.clone()),
            function: Some(function.clone()),
            role: Some(role.clone()),
        };
        let iam = aws_sdk_iam::Client::new(config);
        parts.before.push(Box::new(Role::new(iam, role, worker.tags.clone(), scope, worker.nested)));
    }
    parts.before.push(Box::new(LogGroup::new(
        logs.clone(),
        group.clone(),
        region.to_owned(),
        worker.log_days,
        worker.tags.clone(),
    )) as Box<dyn Resource<Account>>);
    let source = package::source(setup.options.runtime.clone(), worker.config.platform());
    let lambda = aws_sdk_lambda::Client::new(config);
    parts.after.push(Box::new(AsyncCalls::new(lambda.clone(), function)));
    parts.function = Some(Function::new(lambda, region.to_owned(), worker, source));
    parts.logs = Some((logs, group));
    Ok(())
}
