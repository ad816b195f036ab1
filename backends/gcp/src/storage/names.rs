//! Where a key lies in its bucket, and what to call it.

use rustwren_core::storage::remote::Prefix;

/// The bucket and what all names in it begin with.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) bucket: String,
    pub(super) prefix: Prefix,
}

impl Names {
    /// The object's name in the bucket.
    pub(super) fn object(&self, key: &str) -> String {
        self.prefix.object(key)
    }

    /// Where it is, for people.
    pub(super) fn location(&self, key: &str) -> String {
        format!("gs://{}/{}", self.bucket, self.object(key)).trim_end_matches('/').to_owned()
    }

    /// The bucket as Google's crate calls it.
    pub(super) fn resource(&self) -> String {
        format!("projects/_/buckets/{}", self.bucket)
    }
}
