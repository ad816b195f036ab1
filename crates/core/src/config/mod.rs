//! Configuration: found, read, merged and checked, every value with where it came from.
//!
//! ```toml
//! provider = "local"      # shorthand for `backend` in both sections below
//!
//! [storage]               # where images, inputs and results travel; keys depend on the backend
//! [compute]               # what runs the tasks; keys depend on the backend
//! [image]                 # the program that workers run, where it is another build
//! [job]                   # defaults of every job
//! [client]                # what the program that starts jobs shows
//! ```
//!
//! - [`RawConfig`] is one layer as it was found; [`Config`] is the outcome of all of them.
//! - What keys there are is data ([`KeyDoc`]), declared by each backend and collected in a [`Registry`]. Checking,
//!   `rustwren config show`, the reference and the test of the annotated files all read the same declarations.
//! - A backend may stand around another ([`WRAPS`]): then both have their keys in the same section, and each gets the
//!   [`Settings`] of its own.
//! - What a value means to a backend is the backend's business: it gets its [`Settings`].
//!
//! Why layers are merged here and not by a library: `docs/decisions/0002-config-merge.md`.

mod carry;
mod chosen;
mod discover;
mod endpoint;
mod error;
mod key;
mod load;
mod merge;
mod origin;
mod raw;
pub mod reference;
mod registry;
mod sections;
mod settings;
mod setup;
pub mod units;
mod value;
mod wrap;

#[cfg(test)]
mod tests;

pub use carry::Carried;
pub use discover::FILE_NAME;
pub use key::{BackendKeys, KeyDefault, KeyDoc, Kind, Section, WRAPS};
pub use load::{Config, LoadOptions};
pub use origin::Origin;
pub use raw::RawConfig;
pub use registry::{InvokerFactory, Registry, StorageFactory};
pub use sections::{ClientConfig, ImageConfig, JobDefaults, Logs, Progress};
pub use settings::{Settings, ShownValue};
pub use setup::{ProvisionerFactory, Setup};
pub use value::{RawValue, Value};
pub use wrap::{InvokerWrapper, StorageWrapper};
