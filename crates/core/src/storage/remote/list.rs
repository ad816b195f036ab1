//! Listing, page by page, in the order of keys.

use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};

use super::may_begin_a_key;
use super::service::{Operation, Order, Page, Service};
use crate::error::{BackendError, ErrorClass};
use crate::storage::{Key, ObjectMeta, StorageResult};

/// Where a listing stands.
enum Next {
    First,
    After(String),
    End,
}

/// From here on the order of UTF-16 is another than that of bytes.
const OTHER_ORDER: char = '\u{e000}';

/// All objects whose keys begin with this, in ascending order of their keys.
pub(super) fn list<'a, S: Service>(service: &'a S, prefix: &str) -> BoxStream<'a, StorageResult<ObjectMeta>> {
    if !may_begin_a_key(prefix) {
        return stream::empty().boxed();
    }
    let prefix = prefix.to_owned();
    let pages = stream::try_unfold((Next::First, None), move |(next, last)| {
        let prefix = prefix.clone();
        async move { next_in_order(service, &prefix, next, last).await }
    });
    pages.map_ok(|page| stream::iter(page.into_iter().map(Ok))).try_flatten().boxed()
}

/// The next objects, where the listing stands after them, and the last key until then.
async fn next_in_order<S: Service>(
    service: &S,
    prefix: &str,
    next: Next,
    last: Option<Key>,
) -> StorageResult<Option<(Vec<ObjectMeta>, (Next, Option<Key>))>> {
    let Some((objects, next)) = next_page(service, prefix, next).await? else { return Ok(None) };
    let is_other =
        |object: &ObjectMeta| S::ORDER == Order::Utf16 && object.key.as_str().contains(|c| c >= OTHER_ORDER);
    let (objects, next) = match objects.iter().position(is_other) {
        Some(first) => (put_in_order(service, prefix, objects, first, next).await?, Next::End),
        None => (objects, next),
    };
    let last = check_order(service, prefix, last, &objects)?;
    Ok(Some((objects, (next, last))))
}

/// All that is left of a listing, from the first object on whose place among the others is another in the order of
/// bytes. Everything before it comes first in either.
async fn put_in_order<S: Service>(
    service: &S,
    prefix: &str,
    mut objects: Vec<ObjectMeta>,
    first: usize,
    mut next: Next,
) -> StorageResult<Vec<ObjectMeta>> {
    while let Some((more, after)) = next_page(service, prefix, next).await? {
        objects.extend(more);
        next = after;
    }
    objects[first..].sort_unstable_by(|a, b| a.key.cmp(&b.key));
    Ok(objects)
}

/// The last key, where all are in ascending order.
fn check_order<S: Service>(
    service: &S,
    prefix: &str,
    mut last: Option<Key>,
    objects: &[ObjectMeta],
) -> StorageResult<Option<Key>> {
    for ObjectMeta { key, .. } in objects {
        if last.as_ref().is_some_and(|last| last >= key) {
            return Err(out_of_order(service, prefix));
        }
        last = Some(key.clone());
    }
    Ok(last)
}

fn out_of_order<S: Service>(service: &S, prefix: &str) -> BackendError {
    BackendError::new(
        ErrorClass::Misconfigured,
        format!("listing {}: keys do not come in ascending order", service.place(prefix)),
    )
    .with_hint(S::OUT_OF_ORDER)
}

/// The next page, and where the listing stands after it; none after the last.
async fn next_page<S: Service>(
    service: &S,
    prefix: &str,
    next: Next,
) -> StorageResult<Option<(Vec<ObjectMeta>, Next)>> {
    let after = match &next {
        Next::First => None,
        Next::After(after) => Some(after.as_str()),
        Next::End => return Ok(None),
    };
    let page = service.page(&service.common().prefix.object(prefix), after).await;
    let Page { objects, next } = page.map_err(|failure| service.error(failure, Operation::List, prefix))?;
    // Some services have an empty name for the end.
    let next = next.filter(|next| !next.is_empty()).map_or(Next::End, Next::After);
    Ok(Some((objects, next)))
}
