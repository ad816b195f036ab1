//! Stored objects, for clients and runtimes that have no storage but this one's.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use hyper::body::Incoming;
use hyper::{Method, StatusCode};
use rustwren_core::auth::BodyCheck;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::protocol::calls::{ObjectCall, PAGE, append_object, append_page_end};
use rustwren_core::storage::{PutOutcome, Storage, StorageResult};

use super::reply::Reply;
use super::{Shared, body};

/// Calls at once: each holds an object in memory.
pub(super) const AT_ONCE: usize = 64;
/// How long one may wait for its turn.
pub(super) const WAIT: Duration = Duration::from_secs(2);

/// Answers a call with this query.
pub(super) async fn answer(
    shared: &Shared,
    method: &Method,
    query: &str,
    body: Incoming,
    check: Option<BodyCheck>,
) -> Reply {
    let Some(call) = ObjectCall::parse(method.as_str(), query) else {
        return Reply::error(&BackendError::new(ErrorClass::Invalid, "no such call about objects"));
    };
    let Some(_place) = shared.object_slots.take().await else {
        shared.metrics.throttled.count();
        let class = ErrorClass::Throttled { retry_after: Some(Duration::from_secs(1)) };
        return Reply::error(&BackendError::new(class, "too many calls about objects at once"));
    };
    shared.metrics.object_calls.count();
    let data = match body::read(shared, body, check).await {
        Ok(data) => data,
        Err(reply) => return reply,
    };
    let storage = &**shared.host.storage();
    let done = async {
        Ok::<_, BackendError>(match call {
            ObjectCall::Put(key) => {
                storage.put(&key, data).await?;
                Reply::text(StatusCode::CREATED, "")
            }
            ObjectCall::PutIfAbsent(key) => match storage.put_if_absent(&key, data).await? {
                PutOutcome::Created => Reply::text(StatusCode::CREATED, ""),
                PutOutcome::Exists => Reply::text(StatusCode::PRECONDITION_FAILED, ""),
            },
            ObjectCall::Get(key) => Reply::bytes(StatusCode::OK, storage.get(&key).await?),
            ObjectCall::GetRange { key, offset, len } => {
                let end = offset.saturating_add(len);
                Reply::bytes(StatusCode::OK, storage.get_range(&key, offset..end).await?)
            }
            ObjectCall::Head(key) => {
                let mut line = String::new();
                append_object(&mut line, &storage.head(&key).await?);
                Reply::text(StatusCode::OK, line)
            }
            ObjectCall::Delete(key) => {
                storage.delete(&key).await?;
                Reply::text(StatusCode::OK, "")
            }
            ObjectCall::List { prefix, after } => {
                Reply::text(StatusCode::OK, page(storage, &prefix, &after).await?)
            }
        })
    };
    done.await.unwrap_or_else(|error| Reply::error(&error))
}

/// The objects behind `after`, as many as a page has.
async fn page(storage: &dyn Storage, prefix: &str, after: &str) -> StorageResult<String> {
    let mut objects = storage.list(prefix);
    let mut page = String::new();
    let mut count = 0;
    while let Some(object) = objects.try_next().await? {
        if object.key.as_str() <= after {
            continue;
        }
        if count == PAGE {
            append_page_end(&mut page, true);
            return Ok(page);
        }
        append_object(&mut page, &object);
        count += 1;
    }
    append_page_end(&mut page, false);
    Ok(page)
}
