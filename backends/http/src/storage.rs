//! Objects at a runtime that serves its storage.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::protocol::calls::{ObjectCall, parse_object, parse_page};
use rustwren_core::storage::{Key, ObjectMeta, PutOutcome, Storage, StorageResult};
use tokio::time::timeout;

use crate::client::{Chain, Client};

/// Objects at a runtime.
#[derive(Debug)]
pub struct HttpStorage {
    client: Client,
    timeout: Duration,
}

impl HttpStorage {
    /// The storage that is served there. A call may take so long.
    pub fn new(client: Client, timeout: Duration) -> Self {
        Self { client, timeout }
    }

    /// Makes a call. Statuses other than these are errors.
    async fn call(
        &self,
        call: &ObjectCall,
        data: Bytes,
        expected: &[StatusCode],
    ) -> StorageResult<(StatusCode, Bytes)> {
        let (method, target) = call.target();
        let whole = async {
            let response = self.client.call(method, &target, data).await?;
            let status = response.status();
            if !expected.contains(&status) {
                return Err(self.client.refused(response).await);
            }
            let body = response.into_body().collect().await.map_err(|error| {
                let message = format!("an answer of {} broke off", self.client.place());
                BackendError::new(ErrorClass::Transient, message).with_source(Chain(error))
            })?;
            Ok((status, body.to_bytes()))
        };
        timeout(self.timeout, whole).await.unwrap_or_else(|_| {
            let message = format!("{} did not answer within {:?}", self.client.place(), self.timeout);
            Err(BackendError::new(ErrorClass::Transient, message))
        })
    }

    async fn read(&self, call: &ObjectCall) -> StorageResult<Bytes> {
        Ok(self.call(call, Bytes::new(), &[StatusCode::OK]).await?.1)
    }

    /// An answer in another form than it should be.
    fn odd(&self) -> BackendError {
        let message = format!("an answer of {} about objects cannot be read", self.client.place());
        BackendError::new(ErrorClass::Internal, message)
    }

    /// The objects of a page, and where the next one begins, if there is one.
    async fn page(&self, prefix: &str, after: String) -> StorageResult<(Vec<ObjectMeta>, Option<String>)> {
        let body = self.read(&ObjectCall::List { prefix: prefix.to_owned(), after }).await?;
        let page = std::str::from_utf8(&body).ok().and_then(parse_page);
        let (objects, more) = page.ok_or_else(|| self.odd())?;
        let last = objects.last().map(|object| object.key.as_str().to_owned());
        match (more, last) {
            (false, _) => Ok((objects, None)),
            (true, Some(last)) => Ok((objects, Some(last))),
            (true, None) => Err(self.odd()),
        }
    }
}

#[async_trait]
impl Storage for HttpStorage {
    fn location(&self) -> String {
        self.client.place().to_owned()
    }

    async fn put(&self, key: &Key, data: Bytes) -> StorageResult<()> {
        self.call(&ObjectCall::Put(key.clone()), data, &[StatusCode::CREATED]).await?;
        Ok(())
    }

    async fn put_if_absent(&self, key: &Key, data: Bytes) -> StorageResult<PutOutcome> {
        let expected = [StatusCode::CREATED, StatusCode::PRECONDITION_FAILED];
        let (status, _) = self.call(&ObjectCall::PutIfAbsent(key.clone()), data, &expected).await?;
        Ok(if status == StatusCode::CREATED { PutOutcome::Created } else { PutOutcome::Exists })
    }

    async fn get(&self, key: &Key) -> StorageResult<Bytes> {
        self.read(&ObjectCall::Get(key.clone())).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> StorageResult<Bytes> {
        let len = range.end.saturating_sub(range.start);
        self.read(&ObjectCall::GetRange { key: key.clone(), offset: range.start, len }).await
    }

    async fn head(&self, key: &Key) -> StorageResult<ObjectMeta> {
        let body = self.read(&ObjectCall::Head(key.clone())).await?;
        let line = std::str::from_utf8(&body).ok().and_then(|text| text.strip_suffix('\n'));
        line.and_then(parse_object).filter(|object| object.key == *key).ok_or_else(|| self.odd())
    }

    fn list(&self, prefix: &str) -> BoxStream<'_, StorageResult<ObjectMeta>> {
        let prefix = prefix.to_owned();
        stream::try_unfold(Some(String::new()), move |after| {
            let prefix = prefix.clone();
            async move {
                let Some(after) = after else { return Ok::<_, BackendError>(None) };
                let (objects, next) = self.page(&prefix, after).await?;
                Ok(Some((stream::iter(objects.into_iter().map(Ok)), next)))
            }
        })
        .try_flatten()
        .boxed()
    }

    async fn delete(&self, key: &Key) -> StorageResult<()> {
        self.read(&ObjectCall::Delete(key.clone())).await?;
        Ok(())
    }
}
