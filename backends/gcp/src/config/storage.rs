//! `[storage]` with `backend = "gcp"`.

use rustwren_core::config::{BackendKeys, KeyDoc, Kind, Section, Settings};
use rustwren_core::error::Result;
use rustwren_core::storage::Key;
use rustwren_core::storage::remote::{Parts, prefix_setting};

use crate::client::Access;

/// `[storage]` with `backend = "gcp"`.
pub const STORAGE: BackendKeys = BackendKeys {
    name: "gcp",
    section: Section::Storage,
    keys: &[
        KeyDoc::required(
            "bucket",
            Kind::Text,
            "my-rustwren",
            "The bucket. Names are unique among all users of Google Cloud.",
        ),
        KeyDoc::with_default(
            "prefix",
            Kind::Text,
            "rustwren",
            "What the names of all objects begin with, before a `/`. Nothing outside it is read, written or listed.",
        ),
        KeyDoc::optional(
            "endpoint",
            Kind::Text,
            "Google Cloud itself",
            "http://127.0.0.1:4443",
            "Address of another service that speaks Cloud Storage's JSON API, or of Cloud Storage within a private network.",
        ),
        KeyDoc::optional(
            "anonymous",
            Kind::Bool,
            "true with an `endpoint` that begins with `http://`, else false",
            "true",
            "Whether requests go without credentials, as servers for tests want them.",
        ),
        KeyDoc::with_default(
            "part_size",
            Kind::Size,
            "8MiB",
            "Objects larger than two parts are written by a resumable upload, and those larger than one are read in parts.",
        ),
        KeyDoc::with_default(
            "parallel",
            Kind::Integer { min: 1, max: 64 },
            "8",
            "How many parts of one object are read at once.",
        ),
    ],
};

/// Smaller parts cost more requests than they are worth.
const SMALLEST_PART: u64 = 256 << 10;

/// `[storage]`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageConfig {
    /// Where, and as whom.
    pub access: Access,
    /// The bucket.
    pub bucket: String,
    /// What all keys begin with, without the `/` that follows; none for the bucket's root.
    pub prefix: Option<Key>,
    /// How large objects travel.
    pub parts: Parts,
}

impl StorageConfig {
    /// Reads and checks the settings; errors name the place of the value.
    pub fn from_settings(settings: &Settings) -> Result<Self> {
        let access = Access::from_settings(settings)?;
        let bucket = settings.get_str("bucket")?.unwrap_or_default().to_owned();
        if let Err(must) = check_bucket(&bucket) {
            return Err(settings.error("bucket", must));
        }
        let prefix = prefix_setting(settings)?;
        Ok(Self { access, bucket, prefix, parts: Parts::from_settings(settings, SMALLEST_PART)? })
    }
}

/// Checks a bucket's name by <https://cloud.google.com/storage/docs/buckets#naming>, as far as that keeps it from being
/// taken for something else.
fn check_bucket(bucket: &str) -> std::result::Result<(), &'static str> {
    if !(3..=222).contains(&bucket.len()) || bucket.split('.').any(|part| part.len() > 63) {
        return Err("must have 3 to 63 characters, or up to 222 where dots are between parts of up to 63");
    }
    if bucket.contains(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c))) {
        return Err(
            "must be the bucket's name alone, of lower-case letters, digits, dots, dashes and underscores",
        );
    }
    let ends = [bucket.chars().next(), bucket.chars().next_back()];
    if ends.into_iter().flatten().any(|c| !c.is_ascii_alphanumeric()) || bucket.contains("..") {
        return Err("must begin and end with a letter or digit, without two dots in a row");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage(pairs: &[(&'static str, &str)]) -> Result<StorageConfig> {
        StorageConfig::from_settings(&Settings::of_program(&STORAGE, "/cache", pairs.iter().copied())?)
    }

    #[test]
    fn defaults() {
        let expected = StorageConfig {
            access: Access::default(),
            bucket: "a-bucket".to_owned(),
            prefix: Some(Key::new("rustwren").unwrap()),
            parts: Parts { size: 8 << 20, parallel: 8 },
        };
        assert_eq!(storage(&[("bucket", "a-bucket")]).unwrap(), expected);
    }

    #[test]
    fn values() {
        let config = storage(&[
            ("bucket", "b_1.example.com"),
            ("prefix", "team/jobs/"),
            ("endpoint", "http://127.0.0.1:4443"),
            ("part_size", "16MiB"),
            ("parallel", "2"),
        ])
        .unwrap();
        let expected = StorageConfig {
            access: Access {
                endpoint: Some("http://127.0.0.1:4443".to_owned()),
                anonymous: true,
                ..Access::default()
            },
            bucket: "b_1.example.com".to_owned(),
            prefix: Some(Key::new("team/jobs").unwrap()),
            parts: Parts { size: 16 << 20, parallel: 2 },
        };
        assert_eq!(config, expected);
        assert_eq!(storage(&[("bucket", "b-1"), ("prefix", "")]).unwrap().prefix, None);
    }

    #[test]
    fn who_calls() {
        let anonymous = |pairs: &[(&'static str, &str)]| {
            let pairs: Vec<_> = [("bucket", "b-1")].iter().chain(pairs).copied().collect();
            storage(&pairs).unwrap().access.anonymous
        };
        assert!(!anonymous(&[]));
        assert!(anonymous(&[("endpoint", "http://127.0.0.1:4443")]));
        assert!(!anonymous(&[("endpoint", "https://storage-team.p.googleapis.com")]));
        assert!(!anonymous(&[("endpoint", "http://127.0.0.1:4443"), ("anonymous", "false")]));
        assert!(anonymous(&[("anonymous", "true")]));
    }

    #[test]
    fn values_that_cannot_work_are_refused() {
        assert!(storage(&[]).unwrap_err().to_string().contains("storage.bucket"));
        let long = "p".repeat(121);
        let longest = "b".repeat(64);
        for (key, value) in [
            ("bucket", "gs://bucket"),
            ("bucket", "ab"),
            ("bucket", "Bucket"),
            ("bucket", "a..b"),
            ("bucket", "-ab"),
            ("bucket", &longest),
            ("prefix", "a//b"),
            ("prefix", "../x"),
            ("prefix", "/x"),
            ("prefix", &long),
            ("endpoint", "localhost:4443"),
            ("endpoint", "https://me:secret@host"),
            ("part_size", "1KiB"),
            ("part_size", "6GiB"),
            ("parallel", "0"),
        ] {
            let pairs = [("bucket", "good"), (key, value)];
            let error = storage(&pairs).unwrap_err().to_string();
            assert!(error.contains(&format!("storage.{key}")), "{error}");
        }
    }
}
