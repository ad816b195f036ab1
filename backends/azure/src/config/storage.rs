//! `[storage]` with `backend = "azure"`.

use rustwren_core::config::{BackendKeys, KeyDoc, Kind, Section, Settings};
use rustwren_core::error::Result;
use rustwren_core::storage::Key;
use rustwren_core::storage::remote::{Parts, prefix_setting};

use super::{ACCOUNT, LOGIN, TLS_CA};
use crate::client::Access;

/// Its keys.
pub const STORAGE: BackendKeys = BackendKeys {
    name: "azure",
    section: Section::Storage,
    keys: &[
        KeyDoc::required("container", Kind::Text, "rustwren", "The container in the storage account."),
        KeyDoc::with_default(
            "prefix",
            Kind::Text,
            "rustwren",
            "What the names of all blobs begin with, before a `/`. Nothing outside it is read, written or listed.",
        ),
        ACCOUNT,
        LOGIN,
        KeyDoc::optional(
            "endpoint",
            Kind::Text,
            "as AZURE_STORAGE_CONNECTION_STRING says, else `https://ACCOUNT.blob.core.windows.net`",
            "http://127.0.0.1:10000/devstoreaccount1",
            "Address of the Blob service, where it is another one: a sovereign cloud's, a private one, Azurite.",
        ),
        TLS_CA,
        KeyDoc::with_default(
            "part_size",
            Kind::Size,
            "8MiB",
            "Blobs larger than two parts are written in blocks, and those larger than one are read in parts.",
        ),
        KeyDoc::with_default(
            "parallel",
            Kind::Integer { min: 1, max: 64 },
            "8",
            "How many parts of one blob travel at once.",
        ),
    ],
};

/// Smaller blocks cost more requests than they are worth.
const SMALLEST_PART: u64 = 1 << 20;

/// `[storage]`, checked.
#[derive(Debug, Clone)]
pub struct StorageConfig {
    /// Where, and as whom.
    pub access: Access,
    /// The container.
    pub container: String,
    /// What all keys begin with, without the `/` that follows; none for the container's root.
    pub prefix: Option<Key>,
    /// How large objects travel.
    pub parts: Parts,
}

impl StorageConfig {
    /// Reads and checks the settings; errors name the place of the value.
    pub fn from_settings(settings: &Settings) -> Result<Self> {
        let access = Access::from_settings(settings)?;
        let container = settings.get_str("container")?.unwrap_or_default().to_owned();
        if let Err(must) = check_container(&container) {
            return Err(settings.error("container", must));
        }
        let prefix = prefix_setting(settings)?;
        Ok(Self { access, container, prefix, parts: Parts::from_settings(settings, SMALLEST_PART)? })
    }
}

/// Checks a container's name by Azure's rules.
fn check_container(container: &str) -> std::result::Result<(), &'static str> {
    if !(3..=63).contains(&container.len()) {
        return Err("must have 3 to 63 characters");
    }
    if container.contains(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')) {
        return Err("must be the container's name alone, of lower-case letters, digits and dashes");
    }
    if container.starts_with('-') || container.ends_with('-') || container.contains("--") {
        return Err("must begin and end with a letter or digit, without two dashes in a row");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Login;

    fn storage(pairs: &[(&'static str, &str)]) -> Result<StorageConfig> {
        StorageConfig::from_settings(&Settings::of_program(&STORAGE, "/cache", pairs.iter().copied())?)
    }

    #[test]
    fn defaults() {
        let config = storage(&[("container", "jobs")]).unwrap();
        assert_eq!((config.container.as_str(), config.parts), ("jobs", Parts { size: 8 << 20, parallel: 8 }));
        assert_eq!(config.prefix, Key::new("rustwren").ok());
        assert_eq!((config.access.account, config.access.endpoint), (None, None));
        assert_eq!(config.access.login, Login::Auto);
    }

    #[test]
    fn values() {
        let config = storage(&[
            ("container", "jobs-1"),
            ("prefix", "team/jobs/"),
            ("account", "store1"),
            ("login", "managed"),
            ("endpoint", "http://127.0.0.1:10000/devstoreaccount1/"),
            ("part_size", "16MiB"),
            ("parallel", "2"),
        ])
        .unwrap();
        assert_eq!(config.access.account.as_deref(), Some("store1"));
        assert_eq!(config.access.login, Login::Managed);
        // The SDK wants no slash at the end.
        assert_eq!(config.access.endpoint.as_deref(), Some("http://127.0.0.1:10000/devstoreaccount1"));
        assert_eq!(config.prefix, Key::new("team/jobs").ok());
        assert_eq!(config.parts, Parts { size: 16 << 20, parallel: 2 });
        assert_eq!(storage(&[("container", "abc"), ("prefix", "")]).unwrap().prefix, None);
    }

    #[test]
    fn values_that_cannot_work_are_refused() {
        assert!(storage(&[]).unwrap_err().to_string().contains("storage.container"));
        let long = "p".repeat(121);
        for (key, value) in [
            ("container", "https://a.blob.core.windows.net/c"),
            ("container", "ab"),
            ("container", "Jobs"),
            ("container", "a--b"),
            ("container", "-abc"),
            ("prefix", "a//b"),
            ("prefix", "../x"),
            ("prefix", &long),
            ("account", "My-Account"),
            ("account", "ab"),
            ("login", "password"),
            ("endpoint", "127.0.0.1:10000"),
            ("endpoint", "https://me:secret@azurite"),
            ("endpoint", "https://a.blob.core.windows.net/?sv=2025&sig=hunter2"),
            ("part_size", "1KiB"),
            ("part_size", "6GiB"),
            ("parallel", "0"),
        ] {
            let pairs = [("container", "good"), (key, value)];
            let error = storage(&pairs).unwrap_err().to_string();
            assert!(error.contains(&format!("storage.{key}")), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
