//! The loop that runs a chunk of a function over lists.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Chunk;
use super::chunk::{Inputs, malformed};
use super::current::{self, monotonic_nanos};
use super::panics;
use crate::failure::TaskFailure;
use crate::protocol::message::MAX_RECORDS;
use crate::protocol::records::{ResultTag, append_list};
use crate::raw::page::PARKED;

impl Chunk<'_> {
    /// Runs the elements as lists of neighbours. `apply` gets the inputs of several and appends one encoded output, which
    /// is the result of them all.
    ///
    /// Where it fails for several, or its output is too long, each is run once more by itself: so one bad element fails alone. Where it takes the
    /// process with it, all of the list are suspects, and the scheduler does the same.
    pub fn run_lists<G>(&self, apply: G)
    where
        G: Fn(&[&[u8]], &mut Vec<u8>) -> Result<(), TaskFailure>,
    {
        let mut inputs = Inputs::new(self.run);
        let mut scratch = Vec::new();
        let mut list: Vec<(u32, Option<&[u8]>)> = Vec::new();
        loop {
            list.clear();
            while list.len() < PARKED
                && let Some(element) = self.host.control.claim()
            {
                list.push((element, inputs.get(element)));
            }
            if list.is_empty() {
                return;
            }
            self.list(&list, &apply, &mut scratch);
        }
    }

    fn list<G>(&self, list: &[(u32, Option<&[u8]>)], apply: &G, scratch: &mut Vec<u8>)
    where
        G: Fn(&[&[u8]], &mut Vec<u8>) -> Result<(), TaskFailure>,
    {
        let page = &self.host.page;
        let Some(&(first, _)) = list.first() else { return };
        page.set_started_alone(list.last().map_or(0, |(element, _)| element + 1));
        let bodies: Option<Vec<&[u8]>> = list.iter().map(|(_, input)| *input).collect();
        if let Some(bodies) = bodies {
            // Under way together: none of them is at fault more than the others.
            list.iter().enumerate().for_each(|(place, (element, _))| page.park(place, *element));
            let since = monotonic_nanos();
            let result = self.apply(first, since, &bodies, apply, scratch);
            (0..list.len()).for_each(|place| page.unpark(place));
            // The outputs of fewer inputs at once may not be too long.
            if list.len() == 1 || result.is_ok() && scratch.len() <= MAX_RECORDS {
                self.finish_list(None, (first, list.len() as u32), since, result, scratch);
                return;
            }
        }
        for (element, input) in list {
            let since = monotonic_nanos();
            page.enter(0, *element, since);
            let result = match input {
                Some(input) => self.apply(*element, since, &[input], apply, scratch),
                None => Err(malformed()),
            };
            self.finish(Some(0), *element, since, result, scratch);
        }
    }

    /// Runs the user's code for a list that begins with this element.
    fn apply<G>(
        &self,
        element: u32,
        since: u64,
        bodies: &[&[u8]],
        apply: &G,
        scratch: &mut Vec<u8>,
    ) -> Result<(), TaskFailure>
    where
        G: Fn(&[&[u8]], &mut Vec<u8>) -> Result<(), TaskFailure>,
    {
        current::enter(self.run.first + u64::from(element), self.run.attempt, since);
        scratch.clear();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            append_list(scratch, bodies.len() as u32, ResultTag::Output, |out| apply(bodies, out))
        }));
        current::leave();
        let result = outcome.unwrap_or_else(|payload| Err(panics::failure(payload)));
        if result.is_err() {
            scratch.clear();
        }
        result
    }
}
