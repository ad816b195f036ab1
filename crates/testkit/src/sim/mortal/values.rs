//! What goes into a mortal client's job, and what comes out.

use bytes::Bytes;
use rustwren_core::protocol::records::{append_input, split_result};
use rustwren_core::scheduler::input::{Block, InputSource, Ready};
use rustwren_core::scheduler::outbox::Delivery;

use super::book::{Value, input};
use super::plan::MortalPlan;

/// Elements of a block of inputs.
const BLOCK: u64 = 100;

/// What a delivery says of each of its elements.
pub(super) fn values(delivery: &Delivery) -> Vec<(u64, Value)> {
    match delivery {
        Delivery::Failed(error) => vec![(error.index, Value::Failed(error.clone()))],
        Delivery::Results { first, records, .. } => {
            let (mut at, mut index, mut out) = (0, *first, Vec::new());
            while let Ok((_, body, len)) = split_result(&records[at..]) {
                out.push((index, Value::Output(body.to_vec())));
                (at, index) = (at + len, index + 1);
            }
            out
        }
    }
}

/// All inputs of a plan.
pub(super) fn source(plan: &MortalPlan) -> impl InputSource + use<> {
    let blocks = (0..plan.size).step_by(BLOCK as usize).map(|first| {
        let mut bytes = Vec::new();
        let last = plan.size.min(first + BLOCK);
        for index in first..last {
            let body = input(plan, index);
            let done = append_input(&mut bytes, |out| {
                out.extend_from_slice(&body);
                Ok::<(), std::convert::Infallible>(())
            });
            match done {
                Ok(()) => {}
                Err(never) => match never {},
            }
        }
        Block { count: (last - first) as u32, bytes: Bytes::from(bytes) }
    });
    Ready::new(blocks)
}
