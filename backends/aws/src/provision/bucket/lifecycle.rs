//! The rule by which S3 removes what jobs left behind. Rules that somebody else added to the bucket stay.

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, ExpirationStatus, LifecycleExpiration,
    LifecycleRule, LifecycleRuleFilter,
};
use rustwren_core::error::Result;
use rustwren_core::provision::course::Patience;

use super::super::call::{call, unbuildable};
use super::super::spec::BucketSpec;
use super::{absent, still_going};

/// The name of the rule that is ours, for each prefix.
const RULE: &str = "rustwren-jobs";

/// Where jobs keep what they store, below the prefix. Images are not removed: a program may be run for years.
const JOBS: &str = "jobs/";

/// After how many days parts of an object that was never finished are removed.
const ABORT_DAYS: i32 = 2;

/// The rule as it should be.
pub(super) struct Wanted {
    /// Below which keys.
    prefix: String,
    /// None where data of jobs are kept for ever.
    days: Option<i32>,
}

impl Wanted {
    pub(super) fn of(spec: &BucketSpec) -> Self {
        Self { prefix: format!("{}{JOBS}", spec.objects.prefix), days: spec.keep_days }
    }

    /// For people.
    pub(super) fn kept(&self) -> String {
        kept(self.days)
    }
}

/// The rules of a bucket.
pub(super) struct Rules(Vec<LifecycleRule>);

impl Rules {
    fn ours(&self) -> Option<&LifecycleRule> {
        self.0.iter().find(|rule| rule.id.as_deref() == Some(RULE))
    }

    pub(super) fn fit(&self, wanted: &Wanted) -> bool {
        match (self.ours(), wanted.days) {
            (None, None) => true,
            (Some(rule), Some(days)) => {
                let prefix = rule.filter.as_ref().and_then(|filter| filter.prefix.as_deref());
                let abort = rule.abort_incomplete_multipart_upload.as_ref();
                rule.status == ExpirationStatus::Enabled
                    && prefix == Some(wanted.prefix.as_str())
                    && rule.expiration.as_ref().and_then(|expiration| expiration.days) == Some(days)
                    && abort.and_then(|abort| abort.days_after_initiation) == Some(ABORT_DAYS)
            }
            _ => false,
        }
    }

    /// For people.
    pub(super) fn kept(&self) -> String {
        let enabled = self.ours().filter(|rule| rule.status == ExpirationStatus::Enabled);
        kept(enabled.and_then(|rule| rule.expiration.as_ref()?.days))
    }
}

fn kept(days: Option<i32>) -> String {
    days.map_or_else(|| "kept for ever".to_owned(), |days| format!("kept for {days} days"))
}

pub(super) async fn read(client: &Client, bucket: &str) -> Result<Rules> {
    let sent = client.get_bucket_lifecycle_configuration().bucket(bucket).send();
    let what = format!("reading the lifecycle rules of the bucket {bucket}");
    let found =
        absent(call("s3:GetLifecycleConfiguration", what, sent).await, "NoSuchLifecycleConfiguration")?;
    Ok(Rules(found.and_then(|found| found.rules).unwrap_or_default()))
}

pub(super) async fn write(
    client: &Client,
    bucket: &str,
    found: &Rules,
    wanted: &Wanted,
    patience: Patience<'_>,
) -> Result<()> {
    let mut rules: Vec<_> = found.0.iter().filter(|rule| rule.id.as_deref() != Some(RULE)).cloned().collect();
    if let Some(days) = wanted.days {
        let abort = AbortIncompleteMultipartUpload::builder().days_after_initiation(ABORT_DAYS).build();
        let rule = LifecycleRule::builder()
            .id(RULE)
            .status(ExpirationStatus::Enabled)
            .filter(LifecycleRuleFilter::builder().prefix(&wanted.prefix).build())
            .expiration(LifecycleExpiration::builder().days(days).build())
            .abort_incomplete_multipart_upload(abort)
            .build()
            .map_err(unbuildable)?;
        rules.push(rule);
    }
    let what = format!("setting the lifecycle rules of the bucket {bucket}");
    if rules.is_empty() {
        let remove = || {
            let sent = client.delete_bucket_lifecycle().bucket(bucket).send();
            call("s3:PutLifecycleConfiguration", what.clone(), sent)
        };
        patience.until_done(still_going, remove).await?;
        return Ok(());
    }
    let rules =
        BucketLifecycleConfiguration::builder().set_rules(Some(rules)).build().map_err(unbuildable)?;
    let put = || {
        let put = client.put_bucket_lifecycle_configuration().bucket(bucket);
        call("s3:PutLifecycleConfiguration", what.clone(), put.lifecycle_configuration(rules.clone()).send())
    };
    patience.until_done(still_going, put).await?;
    Ok(())
}
