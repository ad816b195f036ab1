//! The bucket: private, encrypted, and rid of what jobs left behind after some time.

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::types::{
    BucketLocationConstraint, CreateBucketConfiguration, PublicAccessBlockConfiguration,
    ServerSideEncryption, ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration,
    ServerSideEncryptionRule, Tag, Tagging,
};
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::course::{Patience, Planned, Removal, Resource};
use rustwren_core::provision::{Change, Step};

use super::arn::Account;
use super::call::{Refusal, call, if_there, unbuildable};
use super::mark::{self, Tags};
use super::spec::BucketSpec;

mod empty;
mod lifecycle;

/// The region that buckets are in when nobody says one, and that may not be said.
const CLASSIC: &str = "us-east-1";

const ABOUT: &str = "public access blocked, encrypted";

/// The bucket, as it is and as it should be.
#[derive(Debug)]
pub(crate) struct Bucket {
    client: Client,
    region: String,
    spec: BucketSpec,
}

/// How a bucket is.
struct Found {
    tags: Tags,
    blocked: bool,
    encrypted: bool,
    rules: lifecycle::Rules,
}

impl Bucket {
    pub(crate) fn new(client: Client, region: String, spec: BucketSpec) -> Self {
        Self { client, region, spec }
    }

    fn name(&self) -> &str {
        &self.spec.objects.bucket
    }

    /// Whether the bucket is there, in this account and region.
    pub(crate) async fn is_there(&self, account: &Account) -> Result<bool> {
        let name = self.name();
        let sent = self.client.head_bucket().bucket(name).expected_bucket_owner(&account.id).send();
        match if_there(call("s3:ListBucket", format!("looking for the bucket {name}"), sent).await) {
            Ok(found) => Ok(found.is_some()),
            Err(refusal) => Err(self.elsewhere(refusal)),
        }
    }

    /// Why the bucket cannot be looked at.
    fn elsewhere(&self, refusal: Refusal) -> Error {
        let name = self.name();
        match (refusal.failure.status, refusal.failure.region.clone()) {
            (Some(301 | 400), Some(region)) if region != self.region => {
                let message = format!("the bucket {name} is in {region}, and not in {}", self.region);
                Error::new(ErrorKind::Config, message)
                    .with_hint(format!("set `region = \"{region}\"` in [storage], or another `bucket`"))
            }
            (Some(403), _) => Error::from(refusal).and_hint(&format!(
                "or {name} belongs to another account, for names of buckets are shared by all: then set another `bucket` in \
                 [storage]"
            )),
            _ => refusal.into(),
        }
    }

    /// The bucket's state, for people.
    pub(crate) async fn state(&self, account: &Account) -> Result<String> {
        let name = self.name();
        if !self.is_there(account).await? {
            return Err(Error::new(ErrorKind::Config, format!("the bucket {name} is not there"))
                .with_hint("run `rustwren setup`, or set another `bucket` in [storage]"));
        }
        // As jobs use it.
        let list = self.client.list_objects_v2().bucket(name).prefix(&self.spec.objects.prefix).max_keys(1);
        call("s3:ListBucket", format!("listing s3://{name}/{}", self.spec.objects.prefix), list.send())
            .await?;
        Ok(format!("s3://{name}/{}, {}", self.spec.objects.prefix, self.region))
    }

    async fn look(&self, account: &Account) -> Result<Option<Found>> {
        if !self.is_there(account).await? {
            return Ok(None);
        }
        let name = self.name();
        let what = |what: &str| format!("reading the {what} of the bucket {name}");
        let sent = self.client.get_bucket_tagging().bucket(name).send();
        let tags = absent(call("s3:GetBucketTagging", what("tags"), sent).await, "NoSuchTagSet")?;
        let tags = tags.map(|tags| tags.tag_set.into_iter().map(|tag| (tag.key, tag.value)).collect());

        let sent = self.client.get_public_access_block().bucket(name).send();
        let block = call("s3:GetBucketPublicAccessBlock", what("public access block"), sent).await;
        let block = absent(block, "NoSuchPublicAccessBlockConfiguration")?;
        let block = block.and_then(|block| block.public_access_block_configuration);

        let sent = self.client.get_bucket_encryption().bucket(name).send();
        let encryption = call("s3:GetEncryptionConfiguration", what("encryption"), sent).await;
        let encryption = absent(encryption, "ServerSideEncryptionConfigurationNotFoundError")?;
        // By which key is the owner's to say.
        let rules = encryption.and_then(|found| found.server_side_encryption_configuration);
        let encrypted = rules.is_some_and(|all| {
            all.rules.iter().any(|rule| rule.apply_server_side_encryption_by_default.is_some())
        });
        Ok(Some(Found {
            tags: tags.unwrap_or_default(),
            blocked: block.is_some_and(|block| block == no_public_access()),
            encrypted,
            rules: lifecycle::read(&self.client, name).await?,
        }))
    }

    /// What is there, if it is ours.
    async fn look_at_ours(&self, account: &Account) -> Result<Option<Found>> {
        let found = self.look(account).await?;
        match found {
            Some(found) if !mark::is_ours(&found.tags) => {
                let error = mark::not_ours("bucket", self.name(), "bucket");
                Err(error.and_hint("or set `make_bucket = false` in [storage] to use it as it is"))
            }
            found => Ok(found),
        }
    }

    fn step(&self, found: Option<&Found>) -> Step {
        let step = Step::new("bucket", self.name(), Change::None);
        let keep =
            self.spec.keep_days.map_or(String::new(), |days| format!(", data of jobs kept for {days} days"));
        let step = step.about(format!("{ABOUT}{keep}"));
        let Some(found) = found else {
            return Step { change: Change::Create, ..step };
        };
        let yes_or_no = |yes: bool| if yes { "yes" } else { "no" };
        let mut step = mark::compare(step, &found.tags, &self.spec.tags);
        for (what, is) in [("public access blocked", found.blocked), ("encrypted", found.encrypted)] {
            step = step.compare(what, Some(&yes_or_no(is)), &"yes");
        }
        let wanted = lifecycle::Wanted::of(&self.spec);
        if !found.rules.fit(&wanted) {
            step = step.differs("data of jobs", Some(found.rules.kept()), Some(wanted.kept()));
        }
        step.update_if_different()
    }

    async fn create(&self, patience: Patience<'_>) -> Result<()> {
        let name = self.name();
        let tags = tag_set(&self.spec.tags)?;
        let region = (self.region != CLASSIC).then(|| BucketLocationConstraint::from(self.region.as_str()));
        let with =
            CreateBucketConfiguration::builder().set_location_constraint(region).set_tags(Some(tags)).build();
        let create = || {
            let sent =
                self.client.create_bucket().bucket(name).create_bucket_configuration(with.clone()).send();
            call("s3:CreateBucket", format!("making the bucket {name}"), sent)
        };
        match patience.until_done(still_going, create).await {
            Ok(_) => Ok(()),
            // By an earlier run of ours, a moment ago.
            Err(refusal) if refusal.is(&["BucketAlreadyOwnedByYou"]) => Ok(()),
            Err(refusal) if refusal.is(&["BucketAlreadyExists"]) => Err(Error::from(refusal).with_hint(
                "names of buckets are shared by all users of AWS, and this one is taken: set another `bucket` in [storage]",
            )),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Sets what differs. Tags first: a server that made the bucket without them has made one that is not ours.
    async fn settle(&self, found: &Found, patience: Patience<'_>) -> Result<()> {
        let name = self.name();
        let what = |what: &str| format!("setting the {what} of the bucket {name}");
        if self.spec.tags.iter().any(|(key, value)| found.tags.get(key) != Some(value)) {
            let mut tags = found.tags.clone();
            tags.extend(self.spec.tags.clone());
            let tagging =
                Tagging::builder().set_tag_set(Some(tag_set(&tags)?)).build().map_err(unbuildable)?;
            let put = || {
                let sent = self.client.put_bucket_tagging().bucket(name).tagging(tagging.clone()).send();
                call("s3:PutBucketTagging", what("tags"), sent)
            };
            patience.until_done(still_going, put).await?;
        }
        if !found.blocked {
            let put = || {
                let put = self.client.put_public_access_block().bucket(name);
                let sent = put.public_access_block_configuration(no_public_access()).send();
                call("s3:PutBucketPublicAccessBlock", what("public access block"), sent)
            };
            patience.until_done(still_going, put).await?;
        }
        if !found.encrypted {
            let with = encryption()?;
            let put = || {
                let put = self.client.put_bucket_encryption().bucket(name);
                let sent = put.server_side_encryption_configuration(with.clone()).send();
                call("s3:PutEncryptionConfiguration", what("encryption"), sent)
            };
            patience.until_done(still_going, put).await?;
        }
        let wanted = lifecycle::Wanted::of(&self.spec);
        if !found.rules.fit(&wanted) {
            lifecycle::write(&self.client, name, &found.rules, &wanted, patience).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Resource<Account> for Bucket {
    async fn plan(&self, account: &Account) -> Result<Planned> {
        Ok(self.step(self.look_at_ours(account).await?.as_ref()).into())
    }

    async fn apply(&self, account: &Account, step: &Step, patience: Patience<'_>) -> Result<()> {
        if step.change == Change::Create {
            self.create(patience).await?;
        }
        let found = self.look(account).await?;
        let made = found.ok_or_else(|| {
            Error::new(
                ErrorKind::Unavailable,
                format!("the bucket {} was made and is not there", self.name()),
            )
            .with_hint("run `rustwren setup` again")
        })?;
        self.settle(&made, patience).await
    }

    async fn removal(&self, account: &Account) -> Result<Removal> {
        let name = self.name();
        match self.look(account).await? {
            None => Ok(Removal::Nothing),
            Some(found) if mark::is_ours(&found.tags) => {
                empty::removal(&self.client, &self.spec.objects).await
            }
            Some(_) => {
                Ok(Removal::Stays(format!("the bucket {name} stays: it was not made by `rustwren setup`")))
            }
        }
    }

    async fn remove(&self, _account: &Account, step: &Step, patience: Patience<'_>) -> Result<()> {
        empty::remove(&self.client, &self.spec.objects, step, patience).await
    }
}

/// The answer, or none where the service says by this code that nothing is set.
fn absent<T>(answer: Result<T, Refusal>, code: &str) -> Result<Option<T>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(refusal) if refusal.is(&[code]) => Ok(None),
        Err(refusal) => Err(refusal.into()),
    }
}

/// A bucket that has just been made or removed is not known everywhere at once.
fn still_going(refusal: &Refusal) -> Option<&'static str> {
    refusal.is(&["OperationAborted", "NoSuchBucket"]).then_some("S3 is still busy with the bucket")
}

fn no_public_access() -> PublicAccessBlockConfiguration {
    PublicAccessBlockConfiguration::builder()
        .block_public_acls(true)
        .ignore_public_acls(true)
        .block_public_policy(true)
        .restrict_public_buckets(true)
        .build()
}

fn encryption() -> Result<ServerSideEncryptionConfiguration> {
    let default = ServerSideEncryptionByDefault::builder()
        .sse_algorithm(ServerSideEncryption::Aes256)
        .build()
        .map_err(unbuildable)?;
    let rule = ServerSideEncryptionRule::builder().apply_server_side_encryption_by_default(default).build();
    ServerSideEncryptionConfiguration::builder().rules(rule).build().map_err(unbuildable)
}

fn tag_set(tags: &Tags) -> Result<Vec<Tag>> {
    let tag =
        |(key, value): (&String, &String)| Tag::builder().key(key).value(value).build().map_err(unbuildable);
    tags.iter().map(tag).collect()
}
