//! From deliveries to values.

use std::any::type_name;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::codec;
use crate::error::{Error, ErrorKind};
use crate::failure::TaskError;
use crate::protocol::records::split_result;
use crate::scheduler::outbox::Delivery;

/// One delivery, element by element.
#[derive(Debug)]
pub(super) struct Elements {
    first: u64,
    left: u32,
    body: Body,
    weight: usize,
}

#[derive(Debug)]
enum Body {
    Results { records: Bytes, at: usize },
    Failed(Option<TaskError>),
}

/// What became of one element: its index, and its encoded output or why there is none.
pub(super) type Outcome<'a> = (u64, Result<&'a [u8], TaskError>);

impl Elements {
    pub(super) fn new(delivery: Delivery) -> Self {
        let (first, left, weight) = (delivery.first(), delivery.count(), delivery.weight());
        let body = match delivery {
            Delivery::Results { records, .. } => Body::Results { records, at: 0 },
            Delivery::Failed(error) => Body::Failed(Some(error)),
        };
        Self { first, left, body, weight }
    }

    /// The index of the next element.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// How many elements are left.
    pub(super) fn left(&self) -> u32 {
        self.left
    }

    /// The next element's outcome.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Result<Outcome<'_>, Error>> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let index = self.first;
        self.first += 1;
        match &mut self.body {
            Body::Results { records, at } => match split_result(&records[*at..]) {
                Ok((_, body, len)) => {
                    *at += len;
                    Some(Ok((index, Ok(body))))
                }
                Err(error) => {
                    self.left = 0;
                    Some(Err(Error::new(ErrorKind::Internal, format!("result {index}: {error}"))))
                }
            },
            Body::Failed(error) => error.take().map(|error| Ok((index, Err(error)))),
        }
    }
}

/// Decodes one output.
#[inline]
pub(super) fn output<O: DeserializeOwned>(index: u64, body: &[u8]) -> Result<O, Error> {
    codec::decode(body).map_err(|error| {
        let message = format!("the output of task {index} is not a {}: {error}", type_name::<O>());
        Error::new(ErrorKind::Internal, message)
            .with_hint("does its Deserialize read what its Serialize writes? Non-self-describing formats need both to agree")
    })
}

/// The error of a job that failed because one of its tasks did.
pub(super) fn task_failed(error: TaskError) -> Error {
    Error::from_task(error)
}
