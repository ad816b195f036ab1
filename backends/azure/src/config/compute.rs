//! `[compute]` with `backend = "azure"`: the function app that runs tasks, as `rustwren setup` is to make it and as jobs
//! call it.

use std::path::PathBuf;
use std::time::Duration;

use rustwren_core::config::{BackendKeys, KeyDoc, Kind, Section, Settings};
use rustwren_core::env;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::image::Platform;
use rustwren_core::price::{PRICES, Price, PriceTable};

use super::logs::{LOG_CAP, LOG_ENDPOINT, LOG_RETENTION, LOGS};
use super::{ACCOUNT, LOGIN, TLS_CA};
use crate::client::Access;

/// Its keys.
pub const COMPUTE: BackendKeys = BackendKeys {
    name: "azure",
    section: Section::Compute,
    keys: &[
        KeyDoc::optional(
            "app",
            Kind::Text,
            "see `url`",
            "myrustwren",
            "The function app. Names are unique among all users of Azure.",
        ),
        KeyDoc::optional(
            "url",
            Kind::Text,
            "`https://APP.azurewebsites.net`",
            "https://workers.example.com",
            "Address of the function app, where it is another one.",
        ),
        KeyDoc::with_default(
            "trigger",
            Kind::Choice(&["http", "queue"]),
            "http",
            "How invocations travel. `http`: calls, each within 230 s. `queue`: messages of a storage queue, for long tasks; it \
             takes some seconds longer to begin. Detached jobs go by the queue in any case.",
        ),
        KeyDoc::with_default(
            "auth",
            Kind::Choice(&["key", "entra"]),
            "key",
            "How calls get in: by the function key, or by a token of Entra where the app asks for one.",
        ),
        KeyDoc::optional(
            "key_file",
            Kind::Path,
            "the environment variable `RUSTWREN_AZURE_FUNCTION_KEY`",
            "/home/me/.rustwren/function-key",
            "A file with the function key. Setup writes it, for nobody else to read.",
        ),
        KeyDoc::optional(
            "audience",
            Kind::Text,
            "needed with `auth = \"entra\"`",
            "api://00000000-0000-0000-0000-000000000000",
            "The application that the function app's authentication is registered as.",
        ),
        KeyDoc::with_default(
            "queue",
            Kind::Text,
            "rustwren",
            "The storage queue. What cannot be run goes to one more, with `-poison` behind its name.",
        ),
        ACCOUNT,
        LOGIN,
        KeyDoc::optional(
            "endpoint",
            Kind::Text,
            "as AZURE_STORAGE_CONNECTION_STRING says, else `https://ACCOUNT.queue.core.windows.net`",
            "http://127.0.0.1:10001/devstoreaccount1",
            "Address of the queue service, where it is another one: a sovereign cloud's, a private one, Azurite.",
        ),
        TLS_CA,
        KeyDoc::with_default(
            "workers",
            Kind::Integer { min: 1, max: 100_000 },
            "100",
            "How many invocations run at once: the app's largest number of instances times the invocations of each.",
        ),
        KeyDoc::with_default(
            "timeout",
            Kind::Duration,
            "3m30s",
            "How long an invocation may last that was called, at most 220s, since Azure gives calls up after 230s. What it has \
             done by then counts, and the rest goes on in the next; a task that alone takes longer fails.",
        ),
        KeyDoc::with_default(
            "queue_timeout",
            Kind::Duration,
            "28m",
            "The same for invocations out of the queue: less than the app's `functionTimeout`.",
        ),
        KeyDoc::with_default(
            "memory",
            Kind::Size,
            "2048MiB",
            "Memory of one instance: 512MiB, 2048MiB or 4096MiB.",
        ),
        KeyDoc::with_default(
            "per_instance",
            Kind::Integer { min: 1, max: 100 },
            "1",
            "How many of the invocations run side by side in one instance, each in a process of its own and with its share of \
             memory. For setup.",
        ),
        KeyDoc::optional(
            "subscription",
            Kind::Text,
            "needed for setup",
            "00000000-0000-0000-0000-000000000000",
            "The subscription in which setup works: `az account show --query id` prints it.",
        ),
        KeyDoc::with_default(
            "resource_group",
            Kind::Text,
            "rustwren",
            "The resource group of everything that setup makes.",
        ),
        KeyDoc::optional(
            "region",
            Kind::Text,
            "needed for setup",
            "eastus",
            "Where setup makes things: `az functionapp list-flexconsumption-locations` prints the regions there are.",
        ),
        KeyDoc::with_default(
            "runners",
            Kind::List,
            "",
            "Who runs jobs, and is let at their objects and at the queue by setup: object ids of Entra. `az ad signed-in-user \
             show --query id` prints one's own.",
        ),
        LOGS,
        LOG_RETENTION,
        LOG_CAP,
        LOG_ENDPOINT,
        KeyDoc::with_default(
            "management",
            Kind::Text,
            "https://management.azure.com",
            "Address of Azure Resource Manager, for setup: another one in sovereign clouds.",
        ),
        PRICES,
    ],
};

/// Azure gives calls up ten seconds after this.
const LONGEST_CALL: Duration = Duration::from_secs(220);

/// How invocations travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// As calls.
    Http,
    /// As messages of a queue.
    Queue,
}

/// How calls get in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// By a function key, if there is one: jobs by the queue alone need none.
    Key(Option<Hidden>),
    /// By a token of Entra for this application.
    Entra {
        /// What the token is for.
        audience: String,
    },
}

/// A secret that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(pub(crate) String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("..")
    }
}

/// `[compute]`, checked.
#[derive(Debug, Clone)]
pub struct ComputeConfig {
    /// Where the app is, without a slash at its end.
    pub url: String,
    /// How invocations travel.
    pub trigger: Trigger,
    /// How calls get in.
    pub auth: Auth,
    /// The queue's name.
    pub queue: String,
    /// Where queues are, and as whom they are called. Its certificates are for the app as well.
    pub access: Access,
    /// Invocations at once; at least 1.
    pub workers: usize,
    /// How long an invocation may last that was called.
    pub timeout: Duration,
    /// How long one out of the queue may last.
    pub queue_timeout: Duration,
    /// In MiB, of one instance.
    pub memory: u64,
    /// What an instance costs, where that is known.
    pub price: Option<Price>,
}

impl ComputeConfig {
    /// Reads and checks the settings, and the function key; errors name the place of the value.
    pub fn from_settings(settings: &Settings) -> Result<Self> {
        let mut config = Self::without_key(settings)?;
        if let Auth::Key(found) = &mut config.auth {
            *found = key(settings.get_path("key_file")?)?;
        }
        if config.trigger == Trigger::Http && config.auth == Auth::Key(None) {
            return Err(settings.error("key_file", "is not set, and calls need a key").with_hint(
                "set it, or the environment variable RUSTWREN_AZURE_FUNCTION_KEY; `az functionapp function keys list` shows keys",
            ));
        }
        Ok(config)
    }

    /// The same without the function key, which is not there yet when the app is set up.
    pub(crate) fn without_key(settings: &Settings) -> Result<Self> {
        let url = match (settings.get_str("url")?, settings.get_str("app")?) {
            (Some(url), _) if url.starts_with("https://") || url.starts_with("http://") => {
                url.trim_end_matches('/').to_owned()
            }
            (Some(_), _) => return Err(settings.error("url", "must begin with https:// or http://")),
            (None, Some(app)) if is_app(app) => format!("https://{app}.azurewebsites.net"),
            (None, Some(_)) => {
                return Err(settings.error("app", "must have 2 to 60 letters, digits and dashes"));
            }
            (None, None) => {
                return Err(settings.error("app", "is not set").with_hint(
                    "set `app` in [compute] to the function app's name, or `url` to its address",
                ));
            }
        };
        let trigger = match settings.get_str("trigger")? {
            Some("queue") => Trigger::Queue,
            _ => Trigger::Http,
        };
        let auth = match settings.get_str("auth")? {
            Some("entra") => match settings.get_str("audience")? {
                Some(audience) => Auth::Entra { audience: audience.to_owned() },
                None => return Err(settings.error("audience", "must be set with `auth = \"entra\"`")),
            },
            _ => Auth::Key(None),
        };
        let timeout = settings.get_duration("timeout")?.unwrap_or(LONGEST_CALL);
        if timeout.is_zero() || timeout > LONGEST_CALL {
            return Err(settings.error("timeout", "must be from 1s to 220s"));
        }
        let queue_timeout = settings.get_duration("queue_timeout")?.unwrap_or_default();
        if queue_timeout.is_zero() {
            return Err(settings.error("queue_timeout", "must be more than zero"));
        }
        let memory = settings.get_size("memory")?.unwrap_or(2048 << 20) >> 20;
        if ![512, 2048, 4096].contains(&memory) {
            return Err(settings.error("memory", "must be 512MiB, 2048MiB or 4096MiB"));
        }
        Ok(Self {
            url,
            trigger,
            auth,
            queue: settings.get_str("queue")?.unwrap_or_default().to_owned(),
            access: Access::from_settings(settings)?,
            workers: settings.get_u64("workers")?.unwrap_or(1) as usize,
            timeout,
            queue_timeout,
            memory,
            price: PriceTable::of_settings(settings)?.price(COMPUTE.name, "x86_64", memory, 0.0),
        })
    }

    /// What the instances run on: Debian 12, whose C library is 2.36.
    pub fn platform(&self) -> Platform {
        Self::platform_of_instances()
    }

    pub(crate) fn platform_of_instances() -> Platform {
        Platform {
            name: "Azure Functions (Flex Consumption)".to_owned(),
            arch: "x86_64".to_owned(),
            glibc: Some((2, 36)),
        }
    }
}

fn is_app(name: &str) -> bool {
    (2..=60).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// The function key in the file, else in the environment.
fn key(file: Option<PathBuf>) -> Result<Option<Hidden>> {
    let (text, place) = match file {
        None => (env::AZURE_FUNCTION_KEY.get_str()?, env::AZURE_FUNCTION_KEY.name.to_owned()),
        Some(path) => {
            let place = format!("the function key in {}", path.display());
            let text = std::fs::read_to_string(&path).map_err(|error| {
                Error::new(ErrorKind::Config, format!("{place} cannot be read")).with_source(error)
            })?;
            (Some(text), place)
        }
    };
    let Some(text) = text else { return Ok(None) };
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = format!("{place} is not one line of printable characters");
        return Err(Error::new(ErrorKind::Config, message)
            .with_hint("`az functionapp function keys list` shows keys: copy one anew"));
    }
    Ok(Some(Hidden(text.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compute(pairs: &[(&'static str, &str)]) -> Result<ComputeConfig> {
        ComputeConfig::from_settings(&Settings::of_program(&COMPUTE, "/cache", pairs.iter().copied())?)
    }

    fn key_file() -> (tempfile::NamedTempFile, String) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hunter2\n").unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        (file, path)
    }

    #[test]
    fn defaults() {
        let (_file, path) = key_file();
        let config = compute(&[("app", "my-app"), ("key_file", &path)]).unwrap();
        assert_eq!(config.url, "https://my-app.azurewebsites.net");
        assert_eq!((config.trigger, config.workers), (Trigger::Http, 100));
        assert_eq!(config.auth, Auth::Key(Some(Hidden("hunter2".to_owned()))));
        assert_eq!(config.timeout, Duration::from_secs(210));
        assert!(config.price.is_some());
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn values_that_cannot_work_are_refused() {
        let (_file, path) = key_file();
        let error = compute(&[("app", "a1")]).unwrap_err();
        assert!(error.to_string().contains("compute.key_file") && error.hint().is_some(), "{error}");
        assert!(compute(&[("app", "a1"), ("trigger", "queue")]).is_ok(), "the queue needs no key");
        assert!(compute(&[("key_file", &path)]).unwrap_err().to_string().contains("compute.app"));
        for (key, value) in [
            ("app", "-a"),
            ("app", "https://a.azurewebsites.net"),
            ("url", "a.azurewebsites.net"),
            ("timeout", "221s"),
            ("timeout", "0s"),
            ("queue_timeout", "0s"),
            ("memory", "1GiB"),
            ("trigger", "bus"),
            ("workers", "0"),
        ] {
            let mut pairs = vec![("app", "good"), ("key_file", &*path)];
            pairs.retain(|(name, _)| *name != key);
            pairs.push((key, value));
            let error = compute(&pairs).unwrap_err().to_string();
            assert!(error.contains(&format!("compute.{key}")) && !error.contains("hunter2"), "{error}");
        }
        let entra = [("app", "a1"), ("auth", "entra")];
        assert!(compute(&entra).unwrap_err().to_string().contains("compute.audience"));
    }
}
