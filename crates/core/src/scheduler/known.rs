//! Results that earlier runs of a program have recorded, found again by what their inputs are.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};

use super::input::Block;
use super::outbox::Delivery;
use crate::durable::{CommittedByIdentity, Identities, Identity, Store};
use crate::error::{Error, ErrorKind};
use crate::protocol::records::split_input;

/// Most results, and bytes of results unless one is larger, that are read at once.
const READ_RESULTS: usize = 16 << 10;
const READ_BYTES: u64 = 8 << 20;

type Reading = Pin<Box<dyn Future<Output = Result<Vec<Delivery>, Error>> + Send>>;

/// Knows which inputs have results, and brings them.
pub(super) struct Known {
    store: Store,
    committed: Arc<CommittedByIdentity>,
    identities: Identities,
    /// Elements whose results are still to be read.
    wanted: VecDeque<(u64, Identity)>,
    reading: Option<Reading>,
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").field("committed", &self.committed.len()).finish_non_exhaustive()
    }
}

/// Consecutive elements of a block that was looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sifted {
    /// Their results are known, and will come.
    Known(u32),
    /// They are to be run.
    Unknown(Vec<Identity>, Bytes),
}

impl Known {
    pub(super) fn new(store: Store, committed: CommittedByIdentity) -> Self {
        Self {
            store,
            committed: Arc::new(committed),
            identities: Identities::default(),
            wanted: VecDeque::new(),
            reading: None,
        }
    }

    /// Looks at the inputs that come next, of which `first` is the first. Each must be shown once, in order.
    pub(super) fn sift(&mut self, first: u64, block: &Block) -> Result<Vec<Sifted>, Error> {
        let mut sifted: Vec<Sifted> = Vec::new();
        let (mut at, mut from) = (0, 0);
        for index in (first..).take(block.count as usize) {
            let (body, len) = split_input(&block.bytes[at..]).map_err(|error| {
                Error::new(ErrorKind::Internal, format!("input {index} cannot be read: {error}"))
            })?;
            let identity = self.identities.next(body);
            if self.committed.contains(&identity) {
                close(&mut sifted, &block.bytes, from..at);
                from = at + len;
                self.wanted.push_back((index, identity));
                match sifted.last_mut() {
                    Some(Sifted::Known(count)) => *count += 1,
                    _ => sifted.push(Sifted::Known(1)),
                }
            } else {
                match sifted.last_mut() {
                    Some(Sifted::Unknown(identities, _)) => identities.push(identity),
                    _ => sifted.push(Sifted::Unknown(vec![identity], Bytes::new())),
                }
            }
            at += len;
        }
        close(&mut sifted, &block.bytes, from..at);
        Ok(sifted)
    }

    /// Whether enough results are still to come that more inputs need not be looked at.
    pub(super) fn is_busy(&self) -> bool {
        self.wanted.len() >= READ_RESULTS
    }

    /// Whether all results that are known of inputs seen so far have been brought.
    pub(super) fn is_through(&self) -> bool {
        self.wanted.is_empty() && self.reading.is_none()
    }

    /// The next results. `Pending` as well where nothing is left to bring.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<Delivery>, Error>> {
        if self.reading.is_none() && !self.wanted.is_empty() {
            self.reading = Some(self.read());
        }
        let Some(reading) = &mut self.reading else { return Poll::Pending };
        let came = std::task::ready!(reading.as_mut().poll(cx));
        self.reading = None;
        Poll::Ready(came)
    }

    fn read(&mut self) -> Reading {
        let mut bytes = 0;
        let fits = self.wanted.iter().take(READ_RESULTS).take_while(|(_, identity)| {
            let first = bytes == 0;
            bytes += self.committed.size(identity).max(1);
            first || bytes <= READ_BYTES
        });
        let count = fits.count();
        let batch: Vec<(u64, Identity)> = self.wanted.drain(..count).collect();
        let (store, committed) = (self.store.clone(), Arc::clone(&self.committed));
        Box::pin(async move {
            let identities: Vec<Identity> = batch.iter().map(|(_, identity)| *identity).collect();
            let records = committed.read(&store, &identities).await?;
            deliveries(&batch, records)
        })
    }
}

/// Gives the last run, if it is one of inputs to be run, its input records.
fn close(sifted: &mut [Sifted], bytes: &Bytes, range: std::ops::Range<usize>) {
    if let Some(Sifted::Unknown(_, records)) = sifted.last_mut()
        && records.is_empty()
    {
        *records = bytes.slice(range);
    }
}

/// One delivery for each run of consecutive elements.
fn deliveries(batch: &[(u64, Identity)], records: Vec<Option<Bytes>>) -> Result<Vec<Delivery>, Error> {
    let mut out = Vec::new();
    let mut records = records.into_iter();
    for run in batch.chunk_by(|(a, _), (b, _)| a + 1 == *b) {
        let Some((first, _)) = run.first() else { continue };
        let mut joined = BytesMut::new();
        let mut only = None;
        for (index, _) in run {
            let Some(record) = records.next().flatten() else {
                let message = format!("the recorded result of input {index} is not there any more");
                return Err(Error::new(ErrorKind::Internal, message));
            };
            if run.len() == 1 {
                only = Some(record);
            } else {
                joined.extend_from_slice(&record);
            }
        }
        let records = only.unwrap_or_else(|| joined.freeze());
        out.push(Delivery::Results { first: *first, count: run.len() as u32, records });
    }
    Ok(out)
}
