//! How a function is named across processes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::image::ImageId;

/// Which function of which program an invocation runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The program that the client runs and the worker must run, too.
    pub image: ImageId,
    /// The function within it.
    pub target: Target,
}

/// The name of the function that drives a detached job, the same in every program.
pub const DRIVE: &str = "rustwren::drive";

impl Entry {
    /// Whether it drives a job: it stores, and calls workers, as the client would.
    pub fn drives(&self) -> bool {
        matches!(&self.target, Target::Named { name, .. } if name == DRIVE)
    }
}

/// A function within a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// A closure or plain function: where its descriptor lies, relative to a fixed anchor. Only has a meaning
    /// within one image.
    Offset {
        /// Bytes from the anchor to the descriptor.
        offset: i64,
        /// The function's type, checked against the descriptor's.
        type_name: String,
    },
    /// A `#[remote]` function by its full path and the way it is called (`map`, `try_map`, ...): found in any
    /// image that contains it.
    Named {
        /// `crate::module::function`.
        name: String,
        /// The calling convention.
        call: Call,
    },
}

/// How a function is applied to an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Call {
    /// `Fn(I) -> O`
    Map,
    /// `Fn(I) -> Result<O, E>`
    TryMap,
    /// `Fn(I) -> impl Future<Output = O>`
    MapAsync,
    /// `Fn(I) -> impl Future<Output = Result<O, E>>`
    TryMapAsync,
    /// `Fn(&S, I) -> O`
    MapWith,
    /// `Fn(&S, I) -> Result<O, E>`
    TryMapWith,
    /// A step of a pipeline: `Fn(I) -> O`
    StepMap,
    /// A step: `Fn(I) -> Result<O, E>`
    StepTryMap,
    /// A step: `Fn(I) -> impl IntoIterator<Item = O>`
    StepFlatMap,
    /// A step: `Fn(I) -> impl Future<Output = O>`
    StepMapAsync,
    /// A step: `Fn(I) -> impl Future<Output = Result<O, E>>`
    StepTryMapAsync,
    /// A step: `Fn(Vec<I>) -> Vec<O>`
    StepList,
    /// Steps of a pipeline, one after the other: `Fn(&Steps, I) -> items`
    Steps,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Map => "map",
            Self::TryMap => "try_map",
            Self::MapAsync => "map_async",
            Self::TryMapAsync => "try_map_async",
            Self::MapWith => "map_with",
            Self::TryMapWith => "try_map_with",
            Self::StepMap => "pipeline step map",
            Self::StepTryMap => "pipeline step try_map",
            Self::StepFlatMap => "pipeline step flat_map",
            Self::StepMapAsync => "pipeline step map_async",
            Self::StepTryMapAsync => "pipeline step try_map_async",
            Self::StepList => "pipeline step parallel",
            Self::Steps => "pipeline",
        })
    }
}
