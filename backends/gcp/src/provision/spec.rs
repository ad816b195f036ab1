//! What is to be there, as the configuration says.

use rustwren_core::config::{Settings, Setup};
use rustwren_core::env;
use rustwren_core::error::{Error, ErrorKind, Result};

use super::account::Account;
use crate::client::Access;
use crate::config::StorageConfig;
use crate::config::functions::{ComputeConfig, Route};

/// What the runtime keeps of an invocation's time to hand back: a tenth, but no more than this.
const MOST_RESERVED: u64 = 10;
/// Google kills ten seconds after SIGTERM.
const DRAIN: &str = "6s";
/// Functions may stream 10 MB in an answer; what frames it is not counted by the runtime.
const FUNCTION_ANSWER: &str = "9500kB";

/// The service with all that belongs to it.
#[derive(Debug, Clone)]
pub(super) struct Spec {
    pub(super) access: Access,
    pub(super) project: String,
    pub(super) region: String,
    pub(super) service: String,
    pub(super) compute: ComputeConfig,
    /// In MiB.
    pub(super) memory: u64,
    pub(super) cpu: u64,
    /// An account of somebody else's, in place of one that setup makes.
    pub(super) account: Option<String>,
    /// Who may call, beside those who may call every service of the project.
    pub(super) callers: Vec<String>,
    pub(super) bucket: String,
    /// With a slash at its end, where there is any.
    pub(super) prefix: String,
    /// Variables of the runtime, sorted by name.
    pub(super) variables: Vec<(String, String)>,
}

impl Spec {
    pub(super) fn from_setup(setup: &Setup, settings: &Settings) -> Result<Self> {
        let compute = ComputeConfig::from_settings(settings)?;
        let Some(storage) = setup.storage_of("gcp") else {
            let storage = setup.storage.backend().unwrap_or_default();
            let message = format!("workers on Google Cloud cannot be set up for storage `{storage}`");
            return Err(
                Error::new(ErrorKind::Config, message).with_hint("set `backend = \"gcp\"` in [storage]")
            );
        };
        let storage = StorageConfig::from_settings(storage)?;
        let needed = |key: &'static str| {
            let text = settings.get_str(key)?.map(ToOwned::to_owned);
            text.ok_or_else(|| settings.error(key, "must be set for `rustwren setup`"))
        };
        let (project, region) = (needed("project")?, needed("region")?);
        let plain = |text: &str| {
            text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.:".contains(c))
        };
        for (key, text) in [("project", &project), ("region", &region)] {
            if text.is_empty() || !plain(text) {
                return Err(settings.error(key, "must be its id: lower-case letters, digits and dashes"));
            }
        }
        let account = settings.get_str("service_account")?.map(ToOwned::to_owned);
        if account.as_ref().is_some_and(|account| !account.contains('@')) {
            return Err(settings
                .error("service_account", "must be its address: name@project.iam.gserviceaccount.com"));
        }
        let prefix = storage.prefix.as_ref().map(|prefix| format!("{prefix}/")).unwrap_or_default();
        if prefix.contains(['"', '\\']) {
            return Err(Error::new(
                ErrorKind::Config,
                "`storage.prefix` must have no quotes in it for setup: a policy names it",
            ));
        }
        let mut variables = setup.storage.variables();
        let seconds = compute.timeout.as_secs();
        let left = (seconds * 1000).saturating_sub((seconds * 100).min(MOST_RESERVED * 1000));
        let own = [
            ("RUSTWREN__COMPUTE__WORKERS", "1".to_owned()),
            ("RUSTWREN__COMPUTE__MAX_DURATION", format!("{left}ms")),
            ("RUSTWREN__COMPUTE__DRAIN", DRAIN.to_owned()),
            (env::CACHE_DIR.name, "/tmp/rustwren".to_owned()),
        ];
        variables.extend(own.into_iter().map(|(name, value)| (name.to_owned(), value)));
        if compute.route == Route::Functions {
            variables.push(("RUSTWREN__COMPUTE__MAX_ANSWER".to_owned(), FUNCTION_ANSWER.to_owned()));
        }
        variables.sort();
        Ok(Self {
            access: Access { metadata: compute.metadata.clone(), ..Access::from_settings(settings)? },
            service: compute.service.clone(),
            memory: settings.get_size("memory")?.unwrap_or_default() >> 20,
            cpu: settings.get_u64("cpu")?.unwrap_or(1),
            callers: settings.get_list("callers")?,
            bucket: storage.bucket,
            project,
            region,
            compute,
            account,
            prefix,
            variables,
        })
    }

    /// The name of the account that setup makes. Google takes 6 to 30 characters.
    pub(super) fn own_account(&self) -> String {
        let mut name = format!("{}-workers", self.service);
        name.truncate(30);
        name.trim_end_matches('-').to_owned()
    }

    /// The address of the account that workers run as.
    pub(super) fn account(&self) -> String {
        self.account.clone().unwrap_or_else(|| Account::email(&self.project, &self.own_account()))
    }

    /// `projects/p/locations/r`
    pub(super) fn location(&self) -> String {
        format!("projects/{}/locations/{}", self.project, self.region)
    }

    /// The full name of the service of Cloud Run, which a function has as well.
    pub(super) fn service_name(&self) -> String {
        format!("{}/services/{}", self.location(), self.service)
    }

    /// The longest time of an invocation, which is at most an hour.
    pub(super) fn seconds(&self) -> i32 {
        i32::try_from(self.compute.timeout.as_secs()).unwrap_or(i32::MAX)
    }

    /// The most workers at once.
    pub(super) fn instances(&self) -> i32 {
        i32::try_from(self.compute.workers).unwrap_or(i32::MAX)
    }

    /// What a plan says of the service or function.
    pub(super) fn about(&self) -> String {
        format!("up to {} instances of {} CPU and {} MiB", self.compute.workers, self.cpu, self.memory)
    }

    /// What holds for objects that workers may read and write, and for lists of them.
    pub(super) fn condition(&self) -> Option<String> {
        (!self.prefix.is_empty()).then(|| {
            format!(
                "resource.name.startsWith(\"projects/_/buckets/{}/objects/{prefix}\") || \
                 api.getAttribute(\"storage.googleapis.com/objectListPrefix\", \"\").startsWith(\"{prefix}\")",
                self.bucket,
                prefix = self.prefix
            )
        })
    }
}
