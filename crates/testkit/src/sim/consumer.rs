//! Whoever takes a simulated job's results.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustwren_core::clock::Clock;
use rustwren_core::error::Error;
use rustwren_core::failure::{FailureKind, TaskError};
use rustwren_core::protocol::records::{ResultTag, split_result};
use rustwren_core::scheduler::outbox::{Delivery, Outbox};

use super::clock::{SimClock, lock};
use super::ledger::Ledger;
use super::work::{input_of, list_of, output_of};

/// How results are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consumer {
    /// As they come, with this much work on each delivery.
    Stream(Duration),
    /// In input order: what comes early is held.
    Ordered,
    /// All are held, and looked at when the job has ended.
    HoldAll,
}

/// Takes and checks the results of one job.
pub(super) struct Collector {
    pub(super) job: String,
    pub(super) seed: u64,
    pub(super) padding: usize,
    /// Whether its results may be those of lists.
    pub(super) lists: bool,
    pub(super) outbox: Outbox,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) clock: SimClock,
    pub(super) got: Vec<u64>,
    pub(super) outputs: u64,
    pub(super) failed: u64,
    pub(super) deliveries: u64,
}

impl Collector {
    fn violation(&self, what: &str) {
        lock(&self.ledger).violation(format!("{}: {what}", self.job));
    }

    async fn next(&mut self) -> Option<Result<Delivery, Error>> {
        poll_fn(|cx| self.outbox.poll_next(cx)).await
    }

    /// Takes everything. How the job ended.
    pub(super) async fn collect(&mut self, how: Consumer) -> Result<(), Error> {
        match how {
            Consumer::Stream(_) | Consumer::Ordered => {}
            Consumer::HoldAll => {
                lock(&self.ledger).account(&self.job).unbounded = true;
                self.outbox.hold_all();
                poll_fn(|cx| self.outbox.poll_watch(cx, |_, ended| ended)).await;
            }
        }
        let mut early: BTreeMap<u64, Delivery> = BTreeMap::new();
        let mut wanted = 0;
        while let Some(delivery) = self.next().await {
            let delivery = delivery?;
            self.deliveries += 1;
            match how {
                Consumer::Stream(work) => {
                    self.clock.sleep(work).await;
                    self.take(&delivery);
                }
                Consumer::HoldAll => self.take(&delivery),
                Consumer::Ordered => {
                    early.insert(delivery.first(), delivery);
                    while let Some(delivery) = early.remove(&wanted) {
                        wanted += u64::from(delivery.count());
                        self.take(&delivery);
                    }
                }
            }
        }
        if !early.is_empty() {
            self.violation(&format!("element {wanted} is missing before {:?}", early.keys().next()));
        }
        Ok(())
    }

    fn take(&mut self, delivery: &Delivery) {
        match delivery {
            Delivery::Results { first, count, records } => {
                let mut at = 0;
                let mut index = *first;
                while at < records.len() {
                    let Ok((tag, body, len)) = split_result(&records[at..]) else {
                        self.violation("unreadable results");
                        break;
                    };
                    let output = |index| output_of(&input_of(self.seed, index, self.padding));
                    let mut expected = output(index);
                    let left = first + u64::from(*count) - index;
                    if self.lists && *count > 1 && body != expected {
                        // The first of a list has the result of all, and the others have none.
                        let list = body.first().map_or(0, |len| u64::from(*len)).min(left);
                        expected = list_of(&(index..index + list).map(output).collect::<Vec<_>>());
                        let others = records[at + len..].get(..list.saturating_sub(1) as usize);
                        if list < 2 || others.is_none_or(|others| others.iter().any(|other| *other != 0)) {
                            self.violation(&format!("a list of {list} from element {index} is not whole"));
                        }
                        // All but the last, which is counted below.
                        let more = list.saturating_sub(1);
                        self.got.extend(index..index + more);
                        (index, at) = (index + more, at + more as usize);
                    }
                    if tag != ResultTag::Output || body != expected {
                        self.violation(&format!("wrong result of element {index}"));
                    }
                    self.got.push(index);
                    (at, index) = (at + len, index + 1);
                }
                if index != first + u64::from(*count) {
                    self.violation(&format!("{count} results announced, {} delivered", index - first));
                }
                self.outputs += u64::from(*count);
                lock(&self.ledger).released(&self.job, records.len());
            }
            Delivery::Failed(error) => {
                self.got.push(error.index);
                self.failed += 1;
                self.failure(error);
            }
        }
        self.outbox.release(delivery.weight());
    }

    /// Checks that an element had to fail, and that its history is what happened.
    pub(super) fn failure(&self, error: &TaskError) {
        let attempts: Vec<FailureKind> = error.attempts.iter().map(|failure| failure.kind.clone()).collect();
        let mut ledger = lock(&self.ledger);
        let element = ledger.account(&self.job).elements.get(&error.index).cloned().unwrap_or_default();
        let right = match attempts.split_last() {
            Some((FailureKind::Cancelled, before)) => {
                element.cancelled && element.charged.starts_with(before)
            }
            _ => element.concluded && element.charged == attempts,
        };
        if !right {
            let index = error.index;
            let charged = &element.charged;
            let job = &self.job;
            let what = format!(
                "{job}: element {index} failed with history {attempts:?} but was charged {charged:?}"
            );
            ledger.violation(what);
        }
    }
}
