//! Keys that `rustwren setup` reads, beside those that jobs read too.

use rustwren_core::config::{KeyDoc, Kind};

/// Whose bucket it is.
pub(crate) const MAKE_BUCKET: KeyDoc = KeyDoc::with_default(
    "make_bucket",
    Kind::Bool,
    "true",
    "Whether `rustwren setup` makes the bucket and `rustwren teardown` removes it. Where it is `false`, the bucket belongs to \
     somebody else, and is used as it is.",
);

/// How long data of jobs are kept.
pub(crate) const KEEP_JOBS: KeyDoc = KeyDoc::with_default(
    "keep_jobs",
    Kind::Duration,
    "30d",
    "How long S3 keeps what jobs have stored, in whole days: `rustwren setup` makes the rule for it. `0s` keeps it for ever.",
);

/// Tags of the bucket.
pub(crate) const BUCKET_TAGS: KeyDoc = KeyDoc::with_default(
    "tags",
    Kind::List,
    "",
    "Tags that `rustwren setup` puts on the bucket, each as `name=value`.",
);

/// A role that is there.
pub(crate) const ROLE: KeyDoc = KeyDoc::optional(
    "role",
    Kind::Text,
    "`rustwren setup` makes one that allows what is needed",
    "arn:aws:iam::123456789012:role/workers",
    "A role for the function that somebody else has made, by its ARN. docs/aws.md says what it must allow.",
);

/// Concurrency that is the function's own.
pub(crate) const RESERVED: KeyDoc = KeyDoc::optional(
    "reserved",
    Kind::Integer { min: 1, max: 100_000 },
    "none: functions of the account share what it has",
    "500",
    "How many of the account's concurrent executions are for this function alone. It can run no more at once.",
);

/// How long logs are kept.
pub(crate) const LOG_RETENTION: KeyDoc = KeyDoc::with_default(
    "log_retention",
    Kind::Duration,
    "14d",
    "How long CloudWatch keeps the function's logs: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545 or 731 days.",
);

/// Tags of the rest.
pub(crate) const FUNCTION_TAGS: KeyDoc = KeyDoc::with_default(
    "tags",
    Kind::List,
    "",
    "Tags that `rustwren setup` puts on the function, its role and its log group, each as `name=value`.",
);
