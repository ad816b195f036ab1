//! What the scheduler does when the job's holder says so.

use std::task::Context;

use super::commands::Command;
use super::run::JobRun;
use super::stats::Progress;
use crate::error::{Error, ErrorKind};

impl JobRun {
    /// Follows the orders of the job's holder.
    pub(super) fn obey(&mut self, cx: &Context<'_>) -> Result<(), Error> {
        for command in self.outbox.commands().take(cx) {
            match command {
                Command::Cancel => {
                    let Progress { done, .. } = self.progress;
                    let message = format!("job {} was cancelled after {done} results", self.spec.label);
                    return Err(Error::new(ErrorKind::Cancelled, message));
                }
                Command::Leave => {
                    self.keep.leaving = true;
                    let message = format!("job {} is no longer run by this program", self.spec.label);
                    return Err(Error::new(ErrorKind::Cancelled, message));
                }
                Command::CancelElement(index) => self.cancel_element(index),
                Command::Announce => {
                    let started = self.flights.values().filter(|flight| flight.started.is_some());
                    if let Some(observer) = self.outbox.observer() {
                        started.for_each(|flight| observer.running(flight.chunk.first, flight.chunk.count));
                    }
                }
            }
        }
        Ok(())
    }

    fn cancel_element(&mut self, index: u64) {
        if self.progress.total.is_some_and(|total| index >= total) || self.done.contains(index) {
            return;
        }
        if index >= self.backlog.end() && self.progress.total.is_none() {
            // Whether there is such an element shows when it is read.
            self.cancelled_early.insert(index);
        } else {
            self.give_up(index);
        }
    }
}
