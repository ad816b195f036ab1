//! What is to be there, as the configuration says.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use rustwren_core::config::{Settings, Setup};
use rustwren_core::env::{self, Environment};
use rustwren_core::error::{Error, ErrorKind, Result};

use crate::client::Access;
use crate::config::{Auth, ComputeConfig, LogsConfig, StorageConfig, Trigger};

/// The most instances that an app may have.
const MOST_INSTANCES: u64 = 1000;
/// How much longer the host of functions lets an invocation run than it may last.
const GRACE: Duration = Duration::from_mins(2);
/// The longest name of a container.
const LONGEST_NAME: usize = 63;

/// The app with all that belongs to it.
#[derive(Debug, Clone)]
pub(super) struct Spec {
    pub(super) access: Access,
    pub(super) management: String,
    pub(super) subscription: String,
    pub(super) group: String,
    pub(super) region: String,
    pub(super) app: String,
    /// Where jobs call it.
    pub(super) url: String,
    /// The storage account.
    pub(super) account: String,
    /// Where the account's containers are, without a slash at the end.
    pub(super) blobs: String,
    /// The container of jobs.
    pub(super) container: String,
    pub(super) queue: String,
    /// In MiB, of an instance.
    pub(super) memory: u64,
    pub(super) instances: u64,
    /// Invocations at once in one instance.
    pub(super) per_instance: u64,
    /// When the host of functions ends an invocation.
    pub(super) function_timeout: Duration,
    /// Object ids of those who run jobs.
    pub(super) runners: Vec<String>,
    /// Where the function key is to be.
    pub(super) key_file: Option<PathBuf>,
    /// What becomes of lines that workers write; none where they are not kept.
    pub(super) logs: Option<LogsConfig>,
    /// Where lines are read, without a slash at the end.
    pub(super) log_endpoint: String,
    /// App settings.
    pub(super) settings: BTreeMap<String, String>,
}

impl Spec {
    pub(super) fn from_setup(setup: &Setup, settings: &Settings) -> Result<Self> {
        let compute = ComputeConfig::without_key(settings)?;
        let Some(storage_settings) = setup.storage_of("azure") else {
            let storage = setup.storage.backend().unwrap_or_default();
            let message = format!("workers on Azure cannot be set up for storage `{storage}`");
            return Err(
                Error::new(ErrorKind::Config, message).with_hint("set `backend = \"azure\"` in [storage]")
            );
        };
        let storage = StorageConfig::from_settings(storage_settings)?;
        let needed = |key: &'static str| {
            let text = settings.get_str(key)?.map(ToOwned::to_owned);
            text.ok_or_else(|| settings.error(key, "must be set for `rustwren setup`"))
        };
        let (subscription, region, group) =
            (needed("subscription")?, needed("region")?, needed("resource_group")?);
        let app = needed("app")?;
        if subscription.len() != 36
            || !subscription.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
        {
            return Err(
                settings.error("subscription", "must be its id, 32 hexadecimal digits in five groups")
            );
        }
        if region.is_empty() || !region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        {
            return Err(
                settings.error("region", "must be a region's short name: lower-case letters and digits")
            );
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.()".contains(c);
        if !(1..=90).contains(&group.len()) || !group.chars().all(is_plain) || group.ends_with('.') {
            return Err(settings.error(
                "resource_group",
                "must have 1 to 90 letters, digits and `-_.()`, and not end with a dot",
            ));
        }
        if !is_queue(&compute.queue) {
            return Err(settings
                .error("queue", "must have 3 to 56 lower-case letters, digits and single dashes for setup"));
        }
        let account = storage.access.account_name(&Environment::of_process())?;
        if compute.access.account.as_ref().is_some_and(|other| *other != account) {
            return Err(settings.error(
                "account",
                format!("must be the account of [storage], which is {account}, for setup"),
            ));
        }
        let per_instance = settings.get_u64("per_instance")?.unwrap_or(1).max(1);
        let instances = (compute.workers as u64).div_ceil(per_instance);
        if instances > MOST_INSTANCES {
            return Err(settings.error(
                "workers",
                format!(
                    "must be at most {} with `per_instance = {per_instance}`: an app has no more than \
                         {MOST_INSTANCES} instances",
                    MOST_INSTANCES * per_instance
                ),
            ));
        }
        let runners = runners(settings)?;
        let (management, log_endpoint) =
            (given_tokens(settings, "management")?, given_tokens(settings, "log_endpoint")?);
        let key_file = settings.get_path("key_file")?.filter(|_| matches!(compute.auth, Auth::Key(_)));
        let has_key = key_file.is_some() || env::AZURE_FUNCTION_KEY.get().is_some();
        if compute.trigger == Trigger::Http && matches!(compute.auth, Auth::Key(_)) && !has_key {
            return Err(settings.error("key_file", "is not set, and calls need a key").with_hint(
                "set it to where setup is to write the function key: `key_file = \"function-key\"`",
            ));
        }
        let blobs = storage.access.endpoint.clone();
        let blobs = blobs.unwrap_or_else(|| format!("https://{account}.blob.core.windows.net"));
        let app_settings = app_settings(setup, &compute, &storage, &account, per_instance);
        Ok(Self {
            access: compute.access.clone(),
            management,
            subscription,
            group,
            region,
            app,
            url: compute.url.clone(),
            account,
            blobs,
            container: storage.container,
            queue: compute.queue.clone(),
            memory: compute.memory,
            instances,
            per_instance,
            // No less than a call may take, which Azure ends by itself.
            function_timeout: compute.queue_timeout.max(Duration::from_secs(230)) + GRACE,
            runners,
            key_file,
            logs: LogsConfig::from_settings(settings)?,
            log_endpoint,
            settings: app_settings,
        })
    }

    /// The container that packages are kept in.
    pub(super) fn packages(&self) -> String {
        let mut name = format!("{}-packages", self.app.to_ascii_lowercase());
        name.truncate(LONGEST_NAME);
        name.trim_end_matches('-').replace("--", "-")
    }

    pub(super) fn group_id(&self) -> String {
        format!("/subscriptions/{}/resourceGroups/{}", self.subscription, self.group)
    }

    /// The resource group as the API of groups has it.
    pub(super) fn group_path(&self) -> String {
        format!("/subscriptions/{}/resourcegroups/{}", self.subscription, self.group)
    }

    pub(super) fn account_id(&self) -> String {
        format!("{}/providers/Microsoft.Storage/storageAccounts/{}", self.group_id(), self.account)
    }

    pub(super) fn plan_name(&self) -> String {
        // A plan's name has at most 60 characters on Linux.
        format!("{}-plan", shortened(&self.app, 55))
    }

    pub(super) fn plan_id(&self) -> String {
        format!("{}/providers/Microsoft.Web/serverfarms/{}", self.group_id(), self.plan_name())
    }

    /// The Log Analytics workspace. Its name has at most 63 characters.
    pub(super) fn workspace_name(&self) -> String {
        format!("{}-logs", shortened(&self.app, LONGEST_NAME - "-logs".len()))
    }

    pub(super) fn workspace_id(&self) -> String {
        let name = self.workspace_name();
        format!("{}/providers/Microsoft.OperationalInsights/workspaces/{name}", self.group_id())
    }

    /// The component of Application Insights.
    pub(super) fn component_name(&self) -> String {
        format!("{}-insights", self.app)
    }

    pub(super) fn component_id(&self) -> String {
        format!("{}/providers/Microsoft.Insights/components/{}", self.group_id(), self.component_name())
    }

    pub(super) fn app_id(&self) -> String {
        format!("{}/providers/Microsoft.Web/sites/{}", self.group_id(), self.app)
    }
}

/// The beginning of a name, which is ASCII.
fn shortened(name: &str, most: usize) -> &str {
    name.get(..most).unwrap_or(name)
}

/// The object ids of those who run jobs.
fn runners(settings: &Settings) -> Result<Vec<String>> {
    let runners = settings.get_list("runners")?;
    if let Some(runner) = runners.iter().find(|runner| !is_object_id(runner)) {
        return Err(settings.error(
            "runners",
            format!("must be object ids, and `{runner}` is none: `az ad user show --id NAME --query id` prints one"),
        ));
    }
    Ok(runners)
}

/// The address of an API, without a slash at the end. It is given tokens.
fn given_tokens(settings: &Settings, key: &'static str) -> Result<String> {
    let address = settings.get_endpoint(key)?.unwrap_or_default();
    if !address.starts_with("https://") && !is_of_this_machine(&address) {
        return Err(settings.error(key, "must begin with https://: it is given tokens"));
    }
    Ok(address.trim_end_matches('/').to_owned())
}

/// What the host and the runtime of the app read. No secrets: both have the app's identity.
fn app_settings(
    setup: &Setup,
    compute: &ComputeConfig,
    storage: &StorageConfig,
    account: &str,
    per_instance: u64,
) -> BTreeMap<String, String> {
    // What is of this machine alone, and what workers have by other means.
    const NOT_TAKEN: &[&str] = &["RUSTWREN__STORAGE__LOGIN", "RUSTWREN__STORAGE__TLS_CA"];
    let mut settings: BTreeMap<String, String> = setup.storage.variables().into_iter().collect();
    settings.retain(|name, _| !NOT_TAKEN.contains(&name.as_str()));
    let mut set = |name: &str, value: String| settings.insert(name.to_owned(), value);
    set("RUSTWREN__STORAGE__ACCOUNT", account.to_owned());
    set("RUSTWREN__STORAGE__LOGIN", "managed".to_owned());
    set("RUSTWREN__COMPUTE__WORKERS", per_instance.to_string());
    set("RUSTWREN__COMPUTE__MAX_DURATION", format!("{}ms", compute.timeout.as_millis()));
    set(env::CACHE_DIR.name, "/tmp/rustwren".to_owned());
    if let (None, None) = (&storage.access.endpoint, &compute.access.endpoint) {
        set("AzureWebJobsStorage__accountName", account.to_owned());
    } else {
        let of = |endpoint: &Option<String>, service: &str| {
            endpoint.clone().unwrap_or_else(|| format!("https://{account}.{service}.core.windows.net"))
        };
        set("AzureWebJobsStorage__blobServiceUri", of(&storage.access.endpoint, "blob"));
        set("AzureWebJobsStorage__queueServiceUri", of(&compute.access.endpoint, "queue"));
    }
    settings
}

/// Whether a queue may have this name, and another one with `-poison` behind it.
fn is_queue(name: &str) -> bool {
    (3..=56).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}

fn is_object_id(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

fn is_of_this_machine(url: &str) -> bool {
    ["http://127.0.0.1:", "http://[::1]:", "http://localhost:"].iter().any(|own| url.starts_with(own))
}
