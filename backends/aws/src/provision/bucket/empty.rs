//! Removing the bucket: first what is in it, versions and unfinished uploads included, for S3 removes no bucket that
//! holds anything. What lies outside the prefix is not of jobs, and keeps the bucket.

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::course::{Patience, Removal};
use rustwren_core::provision::{Change, Step};

use super::super::call::{call, if_there, unbuildable};
use super::super::policy::Objects;
use super::still_going;

/// The step that removes objects and leaves the bucket.
const OBJECTS: &str = "objects";

/// What the removal would do.
pub(super) async fn removal(client: &Client, objects: &Objects) -> Result<Removal> {
    let Objects { bucket, prefix } = objects;
    let found = first(client, bucket, prefix, None).await?;
    let about = match found.keys {
        0 => "with nothing in it".to_owned(),
        1 => "with one object".to_owned(),
        keys if found.more => format!("with more than {keys} objects"),
        keys => format!("with {keys} objects"),
    };
    if !others(client, objects).await? {
        return Ok(Removal::Ours(Step::new("bucket", bucket, Change::Delete).about(about)));
    }
    if found.keys == 0 {
        let note = format!(
            "the bucket {bucket} stays: it holds objects outside `{prefix}`, which are not RustWren's"
        );
        return Ok(Removal::Stays(note));
    }
    let step = Step::new(OBJECTS, format!("{bucket}/{prefix}"), Change::Delete);
    Ok(Removal::Ours(
        step.about("the bucket stays: it holds objects outside the prefix, which are not RustWren's"),
    ))
}

/// What a first page of a listing says.
struct First {
    keys: usize,
    more: bool,
    /// Whether its first key is another's.
    foreign: bool,
}

async fn first(client: &Client, bucket: &str, prefix: &str, after: Option<String>) -> Result<First> {
    let list = client.list_objects_v2().bucket(bucket);
    let list = match after {
        // One key tells.
        Some(after) => list.max_keys(1).set_start_after(Some(after).filter(|after| !after.is_empty())),
        None => list.prefix(prefix),
    };
    let page = call("s3:ListBucket", format!("listing the bucket {bucket}"), list.send()).await?;
    let keys = page.contents();
    Ok(First {
        keys: keys.len(),
        more: page.is_truncated == Some(true),
        foreign: keys.first().and_then(|object| object.key()).is_some_and(|key| !key.starts_with(prefix)),
    })
}

/// Whether there are objects outside the prefix: before it in the order of names, or after it.
async fn others(client: &Client, Objects { bucket, prefix }: &Objects) -> Result<bool> {
    if prefix.is_empty() {
        return Ok(false);
    }
    let before = first(client, bucket, prefix, Some(String::new())).await?;
    let after = first(client, bucket, prefix, Some(format!("{prefix}\u{10ffff}"))).await?;
    Ok(before.foreign || after.keys > 0)
}

/// Removes what is below the prefix, and the bucket unless the step leaves it.
pub(super) async fn remove(
    client: &Client,
    objects: &Objects,
    step: &Step,
    patience: Patience<'_>,
) -> Result<()> {
    remove_objects(client, objects).await?;
    remove_uploads(client, objects).await?;
    if step.kind == OBJECTS {
        return Ok(());
    }
    let bucket = &objects.bucket;
    let remove = || async {
        let sent = client.delete_bucket().bucket(bucket).send();
        let removed = call("s3:DeleteBucket", format!("removing the bucket {bucket}"), sent).await;
        if_there(removed).map(drop)
    };
    match patience.until_done(still_going, remove).await {
        Err(refusal) if refusal.is(&["BucketNotEmpty"]) => {
            Err(Error::from(refusal)
                .with_hint("something still writes to it: end the jobs, and run it again"))
        }
        done => Ok(done?),
    }
}

/// Always the first page, until there is none: what was on the one before is gone.
async fn remove_objects(client: &Client, Objects { bucket, prefix }: &Objects) -> Result<()> {
    loop {
        let sent = client.list_object_versions().bucket(bucket).prefix(prefix).send();
        let page = call("s3:ListBucketVersions", format!("listing the bucket {bucket}"), sent).await;
        let Some(page) = if_there(page)? else { return Ok(()) };
        let versions = page.versions().iter().map(|v| (v.key(), v.version_id()));
        let markers = page.delete_markers().iter().map(|m| (m.key(), m.version_id()));
        let found = versions.chain(markers).filter_map(|(key, version)| {
            Some(ObjectIdentifier::builder().key(key?).set_version_id(version.map(str::to_owned)).build())
        });
        let found = found.collect::<std::result::Result<Vec<_>, _>>().map_err(unbuildable)?;
        if found.is_empty() {
            return Ok(());
        }
        remove_batch(client, bucket, found).await?;
    }
}

async fn remove_batch(client: &Client, bucket: &str, found: Vec<ObjectIdentifier>) -> Result<()> {
    let delete = Delete::builder().set_objects(Some(found)).quiet(true).build().map_err(unbuildable)?;
    let sent = client.delete_objects().bucket(bucket).delete(delete).send();
    let answer = call("s3:DeleteObjectVersion", format!("emptying the bucket {bucket}"), sent).await?;
    match answer.errors().first() {
        None => Ok(()),
        Some(error) => {
            let (code, key) = (error.code().unwrap_or_default(), error.key().unwrap_or_default());
            let message = format!("removing {key} from the bucket {bucket}: {code}");
            let kind = if code == "AccessDenied" { ErrorKind::Denied } else { ErrorKind::Unavailable };
            Err(Error::new(kind, message)
                .with_hint("allow s3:DeleteObject and s3:DeleteObjectVersion, and run it again"))
        }
    }
}

async fn remove_uploads(client: &Client, Objects { bucket, prefix }: &Objects) -> Result<()> {
    loop {
        let sent = client.list_multipart_uploads().bucket(bucket).prefix(prefix).send();
        let listing = format!("listing the unfinished uploads of the bucket {bucket}");
        let Some(page) = if_there(call("s3:ListBucketMultipartUploads", listing, sent).await)? else {
            return Ok(());
        };
        if page.uploads().is_empty() {
            return Ok(());
        }
        for found in page.uploads() {
            let (Some(key), Some(id)) = (found.key(), found.upload_id()) else { continue };
            let sent = client.abort_multipart_upload().bucket(bucket).key(key).upload_id(id).send();
            let aborted = call("s3:AbortMultipartUpload", format!("ending the upload of {key}"), sent).await;
            // Somebody else may have ended it.
            if_there(aborted)?;
        }
    }
}
