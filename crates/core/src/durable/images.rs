//! Programs in storage: keeping one for a job, and removing those that no job needs any more.
//!
//! Images are shared by jobs and named by content, so one that was removed comes back under the same name. That a job
//! finds an image which a clean is about to remove is kept from happening by two looks that cross:
//!
//! - A job gives its sign of life, which names the image, **then** looks for a mark beside the image, and only where
//!   there is none for the image itself. Where there is a mark it waits until that is gone.
//! - A clean puts the marks, **then** looks at the signs of life and manifests of all jobs, and only then removes images
//!   that none of them names; at last it takes the marks away.
//!
//! Whoever is first, one of them sees the other. A mark whose clean has died is taken away by whoever has seen it
//! unchanged for a minute; a clean removes nothing later than half a minute after it has put its marks.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{StreamExt, TryStreamExt, iter};

use super::beat::Beat;
use super::capsule::Capsule;
use super::id::{JOBS, JobId};
use super::jobs::stored::{Stored, listed, storage_now};
use super::manifest::Manifest;
use super::store::Store;
use crate::error::{Error, ErrorKind, Result};
use crate::image::{ImageId, image_key};
use crate::storage::{Key, StorageResult};

const IMAGES: &str = "images/";
/// What an image's key ends with, and its mark's.
const IMAGE: &str = ".zst";
const MARK: &str = ".clean";
/// A mark that has not changed for so long was left by a clean that has died.
const MARK_HOLDS: Duration = Duration::from_mins(1);
/// A clean removes images for so long after it has put its marks.
const REMOVES: Duration = Duration::from_secs(30);
/// How often a mark is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Jobs looked at at once.
const LOOKS: usize = 16;

fn mark_key(image: ImageId) -> StorageResult<Key> {
    Key::new(format!("{IMAGES}{image}{MARK}"))
}

/// Makes sure that an image stays in storage as long as a sign of life or a manifest names it, which must have been
/// written before. Whether it is there: if not, it is to be uploaded now.
pub async fn hold_image(store: &Store, image: ImageId) -> Result<bool> {
    let mark = mark_key(image)?;
    let mut seen: Option<(Bytes, Duration)> = None;
    while let Some(found) = store.get_opt(&mark).await? {
        let now = store.clock().now();
        match &seen {
            Some((before, since)) if *before == found => {
                if now.saturating_sub(*since) >= MARK_HOLDS {
                    store.delete(&mark).await?;
                    break;
                }
            }
            _ => seen = Some((found, now)),
        }
        store.clock().sleep(LOOK).await;
    }
    Ok(store.head_opt(&image_key(image)?).await?.is_some())
}

/// Removes the images that no job needs. Jobs in `gone` are taken for removed, as a dry run takes them.
pub(super) async fn clean(store: &Store, dry_run: bool, gone: &[&JobId]) -> Result<Vec<ImageId>> {
    let now = storage_now(store).await?;
    let objects = store.list(IMAGES).await?;
    let name = |key: &Key| key.as_str().strip_prefix(IMAGES).map(str::to_owned);
    let mut images = BTreeSet::new();
    let mut old_marks = Vec::new();
    for object in &objects {
        let Some(name) = name(&object.key) else { continue };
        if let Some(image) = name.strip_suffix(IMAGE).and_then(|id| id.parse::<ImageId>().ok()) {
            images.insert(image);
        } else if name.strip_suffix(MARK).is_some_and(|id| id.parse::<ImageId>().is_ok()) {
            old_marks.push(object);
        }
    }
    if !dry_run {
        for mark in old_marks {
            let age = now.zip(mark.modified).and_then(|(now, then)| now.duration_since(then).ok());
            if age.is_some_and(|age| age >= MARK_HOLDS) {
                store.delete(&mark.key).await?;
            }
        }
    }
    let Some(needed) = needed(store, gone).await? else {
        return Ok(Vec::new());
    };
    images.retain(|image| !needed.contains(image));
    if dry_run || images.is_empty() {
        return Ok(images.into_iter().collect());
    }
    let marked = store.clock().now();
    let mut ours = Vec::new();
    for image in images {
        let random = format!("{:032x}\n", fastrand::u128(..));
        // Another clean's mark is left to it, and so is the image.
        if let super::store::Created::Ours = store.create(&mark_key(image)?, random.into()).await? {
            ours.push(image);
        }
    }
    let removed = remove(store, &ours, marked).await;
    for image in ours {
        store.delete(&mark_key(image)?).await?;
    }
    removed
}

/// Removes those of the marked images that still nobody needs.
async fn remove(store: &Store, marked: &[ImageId], since: Duration) -> Result<Vec<ImageId>> {
    let Some(needed) = needed(store, &[]).await? else {
        return Ok(Vec::new());
    };
    let mut removed = Vec::new();
    for &image in marked.iter().filter(|image| !needed.contains(image)) {
        if store.clock().now().saturating_sub(since) >= REMOVES {
            break;
        }
        // Not tried again: that would take its time, and the next clean does it as well.
        store.storage().delete(&image_key(image)?).await?;
        removed.push(image);
    }
    Ok(removed)
}

/// The images that jobs name; `None` when somebody works on a job that may need any of them.
async fn needed(store: &Store, gone: &[&JobId]) -> Result<Option<BTreeSet<ImageId>>> {
    let (jobs, _) = listed(store, JOBS).await?;
    let looks = jobs
        .into_iter()
        .filter(|(id, _)| !gone.contains(&id))
        .map(|(id, stored)| async move { named(store, &id, &stored).await });
    let named: Vec<Named> = iter(looks).buffer_unordered(LOOKS).try_collect().await?;
    let mut images = BTreeSet::new();
    for named in named {
        match named {
            Named::Nothing => {}
            Named::These(these) => images.extend(these),
            Named::Any => return Ok(None),
        }
    }
    Ok(Some(images))
}

/// The images that a job names.
enum Named {
    /// It needs none.
    Nothing,
    These(Vec<ImageId>),
    /// It does not say.
    Any,
}

async fn named(store: &Store, id: &JobId, stored: &Stored) -> Result<Named> {
    let unreadable = |error: &Error| matches!(error.kind(), ErrorKind::Internal | ErrorKind::Incompatible);
    let mut images = Vec::new();
    // Looked for anew: both may have been written since the listing.
    match Beat::read(store, id).await {
        Ok(None) => {}
        Ok(Some(Beat { image: Some(image), .. })) => images.push(image),
        Ok(Some(Beat { image: None, .. })) => return Ok(Named::Any),
        Err(error) if unreadable(&error) => return Ok(Named::Any),
        Err(error) => return Err(error),
    }
    match Manifest::read_opt(store, id).await {
        Ok(manifest) => images.extend(manifest.map(|manifest| manifest.image)),
        Err(error) if unreadable(&error) => return Ok(Named::Any),
        Err(error) => return Err(error),
    }
    if images.is_empty() && stored.capsules > 0 {
        // All failed elements of a connected job are of one program.
        for index in Capsule::list(store, id).await?.into_iter().take(1) {
            match Capsule::read(store, id, index).await {
                Ok(capsule) => images.push(capsule.spec.entry.image),
                Err(error) if unreadable(&error) => return Ok(Named::Any),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(if images.is_empty() { Named::Nothing } else { Named::These(images) })
}
