//! Faults on purpose.

pub mod ramp;
