//! An account at moto, and provisioners that work in it.

use std::sync::Arc;

use aws_config::SdkConfig;
use rustwren_aws::client::{Access, Keys, Retries};
use rustwren_aws::config::{COMPUTE, STORAGE};
use rustwren_aws::provision::{AwsProvisioner, AwsProvisionerFactory};
use rustwren_core::config::{Settings, Setup};
use rustwren_core::error::Result;
use rustwren_core::provision::{Change, Plan, Provisioner as _, SetupOptions, Unwatched};
use rustwren_testkit::setup::{Quick, small_program};
use rustwren_testkit::standins::Moto;

/// What is set up, where a test does not say otherwise.
pub(crate) const BUCKET: &str = "ada-rustwren";
pub(crate) const FUNCTION: &str = "wren";
pub(crate) const ROLE: &str = "wren-eu-west-1";
pub(crate) const GROUP: &str = "/aws/lambda/wren";
pub(crate) const REGION: &str = "eu-west-1";

pub(crate) type Pairs<'a> = &'a [(&'static str, &'a str)];

/// An account with nothing in it.
pub(crate) struct World {
    pub(crate) moto: Moto,
    pub(crate) clock: Arc<Quick>,
    /// Where requests go.
    pub(crate) endpoint: String,
    pub(crate) keys: Keys,
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Moto::start())
    }

    pub(crate) fn with(moto: Moto) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("runtime"), small_program(1)).unwrap();
        std::fs::write(folder.path().join("other-runtime"), small_program(2)).unwrap();
        Self {
            endpoint: moto.endpoint(),
            clock: Arc::default(),
            keys: Keys { id: "test".to_owned(), secret: "test".to_owned() },
            moto,
            folder,
        }
    }

    /// A provisioner of the usual settings with these in their place.
    pub(crate) async fn provisioner(&self, storage: Pairs<'_>, compute: Pairs<'_>) -> AwsProvisioner {
        self.try_provisioner(storage, compute, "runtime").await.unwrap()
    }

    pub(crate) async fn try_provisioner(
        &self,
        storage: Pairs<'_>,
        compute: Pairs<'_>,
        runtime: &str,
    ) -> Result<AwsProvisioner> {
        let all = |usual: &[(&'static str, &str)], given: Pairs<'_>| {
            let mut all = vec![("region", REGION.to_owned()), ("endpoint", self.endpoint.clone())];
            for (key, value) in usual.iter().chain(given) {
                all.retain(|(name, _)| name != key);
                all.push((key, (*value).to_owned()));
            }
            all
        };
        let mut options = SetupOptions::default();
        options.runtime = Some(self.folder.path().join(runtime));
        let setup = Setup {
            storage: Settings::of_program(&STORAGE, "/cache", all(&[("bucket", BUCKET)], storage))?,
            compute: Settings::of_program(&COMPUTE, "/cache", all(&[("function", FUNCTION)], compute))?,
            options,
        };
        let factory = AwsProvisionerFactory::with_clock(self.clock.clone()).credentials(self.keys.clone());
        factory.provisioner(&setup).await
    }

    /// For clients that look at what is there, past any front and provisioner.
    pub(crate) async fn config(&self) -> SdkConfig {
        let access = Access {
            region: Some(REGION.to_owned()),
            endpoint: Some(self.moto.endpoint()),
            credentials: Some(Keys { id: "test".to_owned(), secret: "test".to_owned() }),
            ..Access::default()
        };
        access.load(Retries::Caller).await
    }

    pub(crate) async fn s3(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&self.config().await).force_path_style(true);
        aws_sdk_s3::Client::from_conf(config.build())
    }
}

/// Plans and applies.
pub(crate) async fn set_up(provisioner: &AwsProvisioner) -> Plan {
    let plan = provisioner.plan().await.unwrap();
    provisioner.apply(&plan, &Unwatched).await.unwrap();
    plan
}

/// Plans the removal and does it.
pub(crate) async fn tear_down(provisioner: &AwsProvisioner) -> Plan {
    let plan = provisioner.destroy_plan().await.unwrap();
    provisioner.destroy(&plan, &Unwatched).await.unwrap();
    plan
}

/// What changes, as `kind: what (from -> to), ..` for each step that changes anything.
pub(crate) fn told(plan: &Plan) -> Vec<String> {
    let step = |step: &rustwren_core::provision::Step| {
        let what = match step.change {
            Change::Update => step.differences.iter().map(difference).collect::<Vec<_>>().join(", "),
            other => format!("{other:?}").to_lowercase(),
        };
        format!("{}: {what}", step.kind)
    };
    plan.pending().map(|(_, pending)| step(pending)).collect()
}

fn difference(difference: &rustwren_core::provision::Difference) -> String {
    match (&difference.from, &difference.to) {
        (None, None) => difference.what.clone(),
        (from, to) => {
            let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
            format!("{} {} -> {}", difference.what, text(from), text(to))
        }
    }
}
