//! A subscription with nothing in it, and provisioners that work there.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use rustwren_azure::client::Credentials;
use rustwren_azure::config::{COMPUTE, STORAGE};
use rustwren_azure::provision::AzureProvisionerFactory;
use rustwren_core::config::{ProvisionerFactory as _, Settings, Setup};
use rustwren_core::error::{Error, Result};
use rustwren_core::provision::{Plan, Provisioner, SetupOptions, Unwatched};
use rustwren_testkit::setup::{Quick, small_program};
use rustwren_testkit::standins::azure_control::AzureControl;

pub(crate) const ACCOUNT: &str = "adarustwren";
pub(crate) const APP: &str = "ada-wren";
pub(crate) const GROUP: &str = "ada-lab";

pub(crate) type Pairs<'a> = &'a [(&'static str, &'a str)];

/// Gives a token, whatever it is asked for.
#[derive(Debug)]
struct Given;

#[async_trait::async_trait]
impl TokenCredential for Given {
    #[expect(clippy::disallowed_methods, reason = "tokens are valid for a time of day")]
    async fn get_token(
        &self,
        scopes: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        assert!(scopes.len() == 1 && scopes[0].ends_with("/.default"), "{scopes:?}");
        Ok(AccessToken::new("hunter2-token", (SystemTime::now() + Duration::from_hours(1)).into()))
    }
}

pub(crate) struct World {
    pub(crate) azure: AzureControl,
    pub(crate) clock: Arc<Quick>,
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("runtime"), small_program(1)).unwrap();
        std::fs::write(folder.path().join("other-runtime"), small_program(2)).unwrap();
        Self { azure: AzureControl::start(), clock: Arc::default(), folder }
    }

    /// Where the function key is written.
    pub(crate) fn key_file(&self) -> PathBuf {
        self.folder.path().join("keys/function-key")
    }

    pub(crate) async fn provisioner(&self, compute: Pairs<'_>) -> Arc<dyn Provisioner> {
        self.with(compute, &[], "runtime").await.unwrap()
    }

    pub(crate) async fn with(
        &self,
        compute: Pairs<'_>,
        storage: Pairs<'_>,
        runtime: &str,
    ) -> Result<Arc<dyn Provisioner>> {
        let (endpoint, key_file) = (self.azure.endpoint(), self.key_file());
        let own = [
            ("subscription", AzureControl::SUBSCRIPTION),
            ("resource_group", GROUP),
            ("region", "eastus"),
            ("app", APP),
            ("management", endpoint.as_str()),
            ("log_endpoint", endpoint.as_str()),
            ("key_file", key_file.to_str().unwrap()),
        ];
        let mut options = SetupOptions::default();
        options.runtime = Some(self.folder.path().join(runtime));
        let setup = Setup {
            storage: Settings::of_program(
                &STORAGE,
                "/cache",
                over(&[("container", "jobs"), ("account", ACCOUNT)], storage),
            )?,
            compute: Settings::of_program(&COMPUTE, "/cache", over(&own, compute))?,
            options,
        };
        let factory = AzureProvisionerFactory::with_clock(self.clock.clone());
        let factory = factory.credentials(Credentials::Token(Arc::new(Given)));
        Ok(factory.build(&setup).await?.unwrap())
    }
}

/// Pairs, with others over them; those without a value are left out.
fn over<'a>(own: Pairs<'a>, others: Pairs<'a>) -> Vec<(&'static str, &'a str)> {
    let kept = own.iter().filter(|(name, _)| !others.iter().any(|(other, _)| other == name));
    kept.chain(others).filter(|(_, value)| !value.is_empty()).copied().collect()
}

/// Plans and applies.
pub(crate) async fn set_up(provisioner: &dyn Provisioner) -> Plan {
    let plan = provisioner.plan().await.unwrap();
    provisioner.apply(&plan, &Unwatched).await.unwrap();
    plan
}

/// Kinds of what would change.
pub(crate) fn pending(plan: &Plan) -> Vec<&str> {
    plan.pending().map(|(_, step)| step.kind.as_str()).collect()
}

/// The error with its mend, which has no secrets in it.
pub(crate) fn told(error: &Error) -> String {
    let text = format!("{error} | {} | {error:?}", error.hint().unwrap_or_default());
    assert!(!text.contains("hunter2"), "{text}");
    text
}
