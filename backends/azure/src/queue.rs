//! Storage queues: messages that are seen by one receiver at a time until it removes them.
//!
//! Delivery is at least once: a message whose answer is lost may be sent twice, and one whose receiver does not remove
//! it in time comes again, with a higher count.

use std::fmt;
use std::time::{Duration, SystemTime};

use azure_storage_queue::models::{
    QueueClientGetPropertiesResultHeaders as _, QueueClientPeekMessagesOptions,
    QueueClientReceiveMessagesOptions, QueueClientSendMessageOptions, QueueMessage,
};
use azure_storage_queue::{QueueClient, QueueClientOptions};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use rustwren_core::error::{BackendError, Error, ErrorClass, ErrorKind, Result};
use rustwren_core::storage::remote::{Pace, Tries};

use crate::client::{Access, Service, VERSION};
use crate::error::{Cause, Failure};
use crate::tries::Requests as _;

mod errors;
mod message;

pub use message::{Message, Peeked};

/// What a message may hold: 64 KiB, in base64.
pub const MAX_BODY: usize = 48 << 10;

/// Azure gives no more messages at once.
const MOST_AT_ONCE: i32 = 32;

/// The result of an operation on a queue.
pub type QueueResult<T> = std::result::Result<T, BackendError>;

/// A queue of a storage account. It belongs to the async runtime on which it is used first.
pub struct Queue {
    client: QueueClient,
    url: String,
    pace: Pace,
}

/// Without the URL of the SDK's client, which may hold a signature.
impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("url", &self.url).finish_non_exhaustive()
    }
}

/// How a message is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SendOptions {
    /// How long nobody sees it, up to 7 days.
    pub delay: Duration,
    /// How long it is kept; 7 days unless set.
    pub keep: Option<Duration>,
}

impl Queue {
    /// The queue of this name, in the account whose queue service `access` names. No request is sent.
    pub fn open(access: &Access, name: &str) -> Result<Self> {
        let is_name = (3..=63).contains(&name.len())
            && !name.contains(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'))
            && !(name.starts_with('-') || name.ends_with('-') || name.contains("--"));
        if !is_name {
            let message = format!("no queue can have the name {name:?}");
            return Err(Error::new(ErrorKind::Config, message).with_hint(
                "names of queues have 3 to 63 lower-case letters, digits and single dashes between them",
            ));
        }
        let connection = access.connect(Service::Queue)?;
        let url = format!("{}/{name}", connection.endpoint);
        let options =
            QueueClientOptions { version: VERSION.to_owned(), client_options: connection.options.clone() };
        let client =
            QueueClient::new(connection.url(name)?, connection.token, Some(options)).map_err(|error| {
                Error::new(ErrorKind::Config, format!("there can be no client for {url}")).with_source(error)
            })?;
        Ok(Self { client, url, pace: Pace::default() })
    }

    /// The SDK's client, for what there are no words for here.
    pub fn client(&self) -> &QueueClient {
        &self.client
    }

    /// Where it is, for people.
    pub fn location(&self) -> &str {
        &self.url
    }

    /// Makes the queue; one that is there stays as it is.
    pub async fn create(&self) -> QueueResult<()> {
        self.call("making", || async { self.client.create(None).await.map(drop) }).await
    }

    /// Removes the queue with all that is in it; none that is there is no error.
    pub async fn remove(&self) -> QueueResult<()> {
        let removed = self.attempts(|| async { self.client.delete(None).await.map(drop) }).await;
        match removed {
            Err((failure, _)) if failure.code() == "QueueNotFound" => Ok(()),
            removed => removed.map_err(|(failure, _)| errors::error(failure, &self.url, "removing")),
        }
    }

    /// Appends a message, of up to [`MAX_BODY`] bytes.
    pub async fn send(&self, body: &[u8], options: SendOptions) -> QueueResult<()> {
        if body.len() > MAX_BODY {
            let message =
                format!("a message for {} of {} bytes: at most {MAX_BODY} fit", self.url, body.len());
            return Err(BackendError::new(ErrorClass::Invalid, message));
        }
        let text = BASE64_STANDARD.encode(body);
        self.call("sending to", || async {
            let message = QueueMessage { message_text: Some(text.clone()) };
            let options = QueueClientSendMessageOptions {
                visibility_timeout: (!options.delay.is_zero()).then(|| seconds(options.delay)),
                message_time_to_live: options.keep.map(seconds),
                ..QueueClientSendMessageOptions::default()
            };
            self.client.send_message(message.try_into()?, Some(options)).await.map(drop)
        })
        .await
    }

    /// Takes up to `most` messages (at most 32), none where none are there: nobody else sees them for `hidden`.
    pub async fn receive(&self, most: usize, hidden: Duration) -> QueueResult<Vec<Message>> {
        let received = self
            .call("receiving from", || async {
                let options = QueueClientReceiveMessagesOptions {
                    number_of_messages: Some(at_once(most)),
                    visibility_timeout: Some(seconds(hidden).max(1)),
                    ..QueueClientReceiveMessagesOptions::default()
                };
                self.client.receive_messages(Some(options)).await?.into_model()
            })
            .await?;
        let messages = received.items.unwrap_or_default().into_iter().map(Message::of);
        messages.collect::<Option<Vec<_>>>().ok_or_else(|| {
            let failure = Failure::ours(Cause::Broken, "a message without an identifier or a receipt");
            errors::error(failure, &self.url, "receiving from")
        })
    }

    /// Looks at up to `most` messages (at most 32) that could be received now, and leaves them as they are.
    pub async fn peek(&self, most: usize) -> QueueResult<Vec<Peeked>> {
        let peeked = self
            .call("peeking into", || async {
                let options = QueueClientPeekMessagesOptions {
                    number_of_messages: Some(at_once(most)),
                    ..QueueClientPeekMessagesOptions::default()
                };
                self.client.peek_messages(Some(options)).await?.into_model()
            })
            .await?;
        Ok(peeked.items.unwrap_or_default().into_iter().map(Peeked::of).collect())
    }

    /// Removes a message that was received. `false` where it is no longer this receiver's: it was hidden for too
    /// short a time, and another one has it or has removed it.
    pub async fn delete(&self, message: &Message) -> QueueResult<bool> {
        let deleted = self
            .attempts(|| async {
                self.client.delete_message(&message.id, &message.receipt, None).await.map(drop)
            })
            .await;
        match deleted {
            Ok(()) => Ok(true),
            // Where an earlier attempt may have removed it, it has.
            Err((failure, uncertain)) if errors::is_lost(&failure) => Ok(uncertain),
            Err((failure, _)) => Err(errors::error(failure, &self.url, "deleting from")),
        }
    }

    /// Keeps a message that was received hidden for so long from now; none at all gives it back. `false` as for
    /// [`delete`](Self::delete).
    pub async fn hide(&self, message: &mut Message, hidden: Duration) -> QueueResult<bool> {
        let updated = self
            .attempts(|| async {
                let answer = self.client.update_message(&message.id, &message.receipt, seconds(hidden), None);
                let answer = answer.await?;
                Ok(answer.headers().get_optional_string(&"x-ms-popreceipt".into()))
            })
            .await;
        match updated {
            Ok(receipt) => {
                if let Some(receipt) = receipt {
                    message.receipt = receipt;
                }
                Ok(true)
            }
            Err((failure, _)) if errors::is_lost(&failure) => Ok(false),
            Err((failure, _)) => Err(errors::error(failure, &self.url, "updating a message of")),
        }
    }

    /// About how many messages there are, those that are hidden included; never fewer.
    pub async fn length(&self) -> QueueResult<u64> {
        let count = self
            .call("looking at", || async {
                self.client.get_properties(None).await?.approximate_messages_count()
            })
            .await?;
        Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
    }

    async fn call<T: Send, R>(&self, verb: &str, request: impl Fn() -> R + Send) -> QueueResult<T>
    where
        R: Future<Output = azure_core::Result<T>> + Send,
    {
        self.attempts(request).await.map_err(|(failure, _)| errors::error(failure, &self.url, verb))
    }

    /// Tries a request as often as it is worth while. With the failure that is left comes whether an attempt may have
    /// been carried out all the same.
    async fn attempts<T: Send, R>(
        &self,
        request: impl Fn() -> R + Send,
    ) -> std::result::Result<T, (Failure, bool)>
    where
        R: Future<Output = azure_core::Result<T>> + Send,
    {
        let mut tries = Tries::new(&self.pace);
        loop {
            let failure = match tries.send(0, request()).await {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            let uncertain = tries.uncertain;
            tries.again(failure).await.map_err(|failure| (failure, uncertain))?;
        }
    }
}

/// As many messages as Azure gives at once, or fewer.
fn at_once(most: usize) -> i32 {
    i32::try_from(most).unwrap_or(MOST_AT_ONCE).clamp(1, MOST_AT_ONCE)
}

/// Whole seconds, as Azure wants them: a part of one counts as one.
fn seconds(time: Duration) -> i32 {
    let whole = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    i32::try_from(whole).unwrap_or(i32::MAX)
}

fn moment(time: Option<azure_core::time::OffsetDateTime>) -> Option<SystemTime> {
    time.map(Into::into)
}

/// What a message holds, where it is base64.
fn body(text: &str) -> Option<Bytes> {
    BASE64_STANDARD.decode(text).ok().map(Bytes::from)
}
