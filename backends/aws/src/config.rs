//! What can be configured of AWS.

use rustwren_core::config::{BackendKeys, KeyDoc, Kind, Section, Settings};
use rustwren_core::error::Result;
use rustwren_core::storage::Key;
use rustwren_core::storage::remote::{Parts, prefix_setting};

use crate::client::Access;

mod compute;
mod setup;

pub use compute::{Architecture, COMPUTE, ComputeConfig};
use setup::{BUCKET_TAGS, KEEP_JOBS, MAKE_BUCKET};

/// The region, in both sections.
pub(crate) const REGION: KeyDoc = KeyDoc::optional(
    "region",
    Kind::Text,
    "as AWS_REGION or the profile says; with an `endpoint` also us-east-1",
    "eu-central-1",
    "The region.",
);

/// The profile, in both sections.
pub(crate) const PROFILE: KeyDoc = KeyDoc::optional(
    "profile",
    Kind::Text,
    "as AWS_PROFILE says, else `default`",
    "work",
    "The profile in `~/.aws/config` and `~/.aws/credentials` that credentials and what is not set here come from. \
     Credentials in the environment go before it.",
);

/// The endpoint, in both sections.
pub(crate) const ENDPOINT: KeyDoc = KeyDoc::optional(
    "endpoint",
    Kind::Text,
    "AWS itself, or as AWS_ENDPOINT_URL or the profile says",
    "http://127.0.0.1:9000",
    "Address of another service that speaks AWS's language.",
);

/// `[storage]` with `backend = "aws"`.
pub const STORAGE: BackendKeys = BackendKeys {
    name: "aws",
    section: Section::Storage,
    keys: &[
        KeyDoc::required(
            "bucket",
            Kind::Text,
            "my-rustwren",
            "The S3 bucket. Names are unique among all users of AWS.",
        ),
        KeyDoc::with_default(
            "prefix",
            Kind::Text,
            "rustwren",
            "What the names of all objects begin with, before a `/`. Nothing outside it is read, written or listed.",
        ),
        REGION,
        PROFILE,
        ENDPOINT,
        KeyDoc::optional(
            "path_style",
            Kind::Bool,
            "true with an `endpoint`, else false",
            "true",
            "Whether the bucket stands in the path of URLs and not in the host's name, as MinIO and Ceph want it.",
        ),
        KeyDoc::with_default(
            "part_size",
            Kind::Size,
            "8MiB",
            "Objects larger than two parts are written in parts, and those larger than one are read in parts.",
        ),
        KeyDoc::with_default(
            "parallel",
            Kind::Integer { min: 1, max: 64 },
            "8",
            "How many parts of one object travel at once.",
        ),
        MAKE_BUCKET,
        KEEP_JOBS,
        BUCKET_TAGS,
    ],
};

/// Less than this S3 does not take as a part.
const SMALLEST_PART: u64 = 5 << 20;

/// `[storage]`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageConfig {
    /// Where, and as whom.
    pub access: Access,
    /// The bucket.
    pub bucket: String,
    /// What all keys begin with, without the `/` that follows; none for the bucket's root.
    pub prefix: Option<Key>,
    /// Whether the bucket stands in the path of URLs.
    pub path_style: bool,
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
        let parts = Parts::from_settings(settings, SMALLEST_PART)?;
        let path_style = settings.get_bool("path_style")?.unwrap_or(access.endpoint.is_some());
        Ok(Self { access, bucket, prefix, path_style, parts })
    }
}

/// Checks a bucket's name by S3's rules, as far as they keep it from being taken for something else.
fn check_bucket(bucket: &str) -> std::result::Result<(), &'static str> {
    if !(3..=63).contains(&bucket.len()) {
        return Err("must have 3 to 63 characters");
    }
    if bucket.contains(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c))) {
        return Err("must be the bucket's name alone, of lower-case letters, digits, dots and dashes");
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
            path_style: false,
            parts: Parts { size: 8 << 20, parallel: 8 },
        };
        assert_eq!(storage(&[("bucket", "a-bucket")]).unwrap(), expected);
    }

    #[test]
    fn values() {
        let config = storage(&[
            ("bucket", "b.1"),
            ("prefix", "team/jobs/"),
            ("region", "eu-west-1"),
            ("profile", "work"),
            ("endpoint", "http://127.0.0.1:9000"),
            ("part_size", "16MiB"),
            ("parallel", "2"),
        ])
        .unwrap();
        let expected = StorageConfig {
            access: Access {
                region: Some("eu-west-1".to_owned()),
                profile: Some("work".to_owned()),
                endpoint: Some("http://127.0.0.1:9000".to_owned()),
                credentials: None,
            },
            bucket: "b.1".to_owned(),
            prefix: Some(Key::new("team/jobs").unwrap()),
            path_style: true,
            parts: Parts { size: 16 << 20, parallel: 2 },
        };
        assert_eq!(config, expected);
        let root = storage(&[("bucket", "b-1"), ("prefix", ""), ("path_style", "true")]).unwrap();
        assert_eq!((root.prefix, root.path_style), (None, true));
    }

    #[test]
    fn values_that_cannot_work_are_refused() {
        assert!(storage(&[]).unwrap_err().to_string().contains("storage.bucket"));
        let long = "p".repeat(121);
        for (key, value) in [
            ("bucket", "s3://bucket"),
            ("bucket", "ab"),
            ("bucket", "Bucket"),
            ("bucket", "a..b"),
            ("bucket", "-ab"),
            ("prefix", "a//b"),
            ("prefix", "../x"),
            ("prefix", "/x"),
            ("prefix", &long),
            ("endpoint", "minio:9000"),
            ("endpoint", "https://me:secret@minio"),
            ("part_size", "1MiB"),
            ("part_size", "6GiB"),
            ("parallel", "0"),
        ] {
            let pairs = [("bucket", "good"), (key, value)];
            let error = storage(&pairs).unwrap_err().to_string();
            assert!(error.contains(&format!("storage.{key}")), "{error}");
        }
    }

    #[test]
    fn annotated_file_matches_the_declarations() {
        let text = include_str!("../../../config/aws.toml");
        let wrong = rustwren_core::config::reference::check_annotated(text, &[STORAGE, COMPUTE]);
        assert!(wrong.is_empty(), "config/aws.toml:\n{}", wrong.join("\n"));
    }
}
