//! Steps in this process.

use std::any::{Any, type_name};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::error::{Error, ErrorKind, Result};
use crate::executor::decode::output;
use crate::executor::feeder::Inputs;
use crate::protocol::records::split_input;

/// What a sequential step gives.
pub(super) struct Given {
    /// The items for the next step.
    pub(super) inputs: Inputs,
    /// How many items it got.
    pub(super) came_in: u64,
    /// How many it gave.
    pub(super) came_out: u64,
}

/// A sequential step's function, its types out of sight.
type Apply = Box<dyn FnOnce(&[Bytes]) -> Result<Given> + Send>;

/// A step that sees the whole list.
pub(super) struct Sequential {
    pub(super) label: String,
    apply: Apply,
}

impl Sequential {
    pub(super) fn new<F, I, O>(f: F) -> Self
    where
        F: FnOnce(Vec<I>) -> Vec<O> + Send + 'static,
        I: DeserializeOwned,
        O: Serialize + Send + 'static,
    {
        let name = type_name::<F>();
        let label = name.rsplit("::").next().unwrap_or(name).to_owned();
        let apply = move |blocks: &[Bytes]| {
            let items = decode(blocks)?;
            let came_in = items.len() as u64;
            let items = f(items);
            let came_out = items.len() as u64;
            Ok(Given { inputs: Inputs::new(items.into_iter()), came_in, came_out })
        };
        Self { label, apply: Box::new(apply) }
    }

    /// Applies the function on a thread of its own: it may take long. A panic in it is passed on.
    pub(super) async fn run(self, blocks: Vec<Bytes>) -> Result<Given> {
        type Outcome = Result<Result<Given>, Box<dyn Any + Send>>;
        let (send, receive) = oneshot::channel::<Outcome>();
        let apply = self.apply;
        let work = move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| apply(&blocks)));
            // Whoever waited has gone: so be it.
            drop(send.send(outcome));
        };
        std::thread::Builder::new().name("rustwren-step".to_owned()).spawn(work).map_err(|error| {
            let message = format!("no thread could be started for step {}", self.label);
            Error::new(ErrorKind::Unavailable, message).with_source(error)
        })?;
        match receive.await {
            Ok(Ok(given)) => given,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Err(Error::new(ErrorKind::Internal, format!("step {} did not end", self.label))),
        }
    }
}

/// The values of input records.
pub(super) fn decode<I: DeserializeOwned>(blocks: &[Bytes]) -> Result<Vec<I>> {
    let mut items = Vec::new();
    for block in blocks {
        let mut rest = &block[..];
        while !rest.is_empty() {
            let (body, len) = split_input(rest)
                .map_err(|error| Error::new(ErrorKind::Internal, format!("between two steps: {error}")))?;
            items.push(output(items.len() as u64, body)?);
            rest = &rest[len..];
        }
    }
    Ok(items)
}
