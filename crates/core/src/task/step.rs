//! The functions of a pipeline's steps, and the function process's side of running several of them in a row.
//!
//! A step takes items and gives any number of items for them. Items are passed on as input records, so that they can
//! be cut apart and sent to the next step without anybody in between knowing their type.

mod chain;
mod course;
mod kinds;

use std::pin::Pin;

use serde::Serialize;

use crate::codec;
use crate::failure::{FailureKind, TaskFailure};
use crate::protocol::records::append_input;

pub(crate) use chain::CHAIN;
pub use chain::{Chain, Leg, chain};
pub use course::Course;
pub use kinds::{flat_map, list, map, map_async, try_map, try_map_async};

/// Items on their way to the next step.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Items {
    /// As many input records as there are items.
    pub records: Vec<u8>,
    /// How many there are.
    pub count: u32,
}

impl Items {
    /// Adds one.
    fn push<O: Serialize>(&mut self, item: &O) -> Result<(), TaskFailure> {
        append_input(&mut self.records, |out| codec::encode(item, out)).map_err(|error| {
            let name = std::any::type_name::<O>();
            TaskFailure::new(FailureKind::Output, format!("a {name} cannot be encoded: {error}"))
        })?;
        self.count += 1;
        Ok(())
    }
}

/// What an async step gives.
pub type ItemsFuture = Pin<Box<dyn Future<Output = Result<Items, TaskFailure>>>>;

/// A step's function, its types out of sight.
#[derive(Clone, Copy)]
pub enum Step {
    /// Takes one item.
    Each(fn(&[u8], &mut Items) -> Result<(), TaskFailure>),
    /// Takes one item, and takes its time without a thread.
    EachAsync(fn(&[u8]) -> Result<ItemsFuture, TaskFailure>),
    /// Takes many items at once.
    List(fn(&[&[u8]], &mut Items) -> Result<(), TaskFailure>),
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Each(_) => "Each",
            Self::EachAsync(_) => "EachAsync",
            Self::List(_) => "List",
        })
    }
}
