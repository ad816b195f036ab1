//! Messages, as they are received.

use std::time::SystemTime;

use azure_storage_queue::models::{PeekedMessage, ReceivedMessage};
use bytes::Bytes;

use super::moment;

/// A message that nobody else sees for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its identifier.
    pub id: String,
    /// What this receiver removes it by.
    pub receipt: String,
    /// As it was sent; base64 where [`Queue::send`](super::Queue::send) has sent it.
    pub text: String,
    /// How often it was received, this time included.
    pub count: u64,
    /// When it was sent.
    pub inserted: Option<SystemTime>,
    /// When it goes away unreceived.
    pub expires: Option<SystemTime>,
    /// When others see it again.
    pub visible: Option<SystemTime>,
}

impl Message {
    pub(super) fn of(message: ReceivedMessage) -> Option<Self> {
        Some(Self {
            id: message.message_id.filter(|id| !id.is_empty())?,
            receipt: message.pop_receipt?,
            text: message.message_text.unwrap_or_default(),
            count: message.dequeue_count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0),
            inserted: moment(message.insertion_time),
            expires: moment(message.expiration_time),
            visible: moment(message.time_next_visible),
        })
    }

    /// What it holds; none where that is not base64, so that somebody else has sent it.
    pub fn body(&self) -> Option<Bytes> {
        super::body(&self.text)
    }
}

/// A message that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peeked {
    /// Its identifier.
    pub id: String,
    /// As it was sent.
    pub text: String,
    /// How often it was received until now.
    pub count: u64,
    /// When it was sent.
    pub inserted: Option<SystemTime>,
}

impl Peeked {
    pub(super) fn of(message: PeekedMessage) -> Self {
        Self {
            id: message.message_id.unwrap_or_default(),
            text: message.message_text.unwrap_or_default(),
            count: message.dequeue_count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0),
            inserted: moment(message.insertion_time),
        }
    }

    /// What it holds; none where that is not base64, so that somebody else has sent it.
    pub fn body(&self) -> Option<Bytes> {
        super::body(&self.text)
    }
}
