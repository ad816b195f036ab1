//! `rustwren setup` on Google Cloud: what is to be there, what is there, and the way between.
//!
//! Two routes lead to workers, and the configuration chooses: a Cloud Run service that is deployed from an archive without
//! a build, and a function, whose source has a small shim in front of the runtime. Both are services of Cloud Run in the
//! end, and so share what lets callers in and workers at their objects.
//!
//! Control planes are called by Google's own clients (`clients.rs`), and operations are waited for by their pollers. Buckets
//! and objects have JSON calls of our own, since Google's crate calls them by gRPC
//! (`docs/decisions/0013-google-clients.md`).

mod access;
mod account;
mod archive;
mod bucket;
mod clients;
mod drift;
mod factory;
mod fields;
mod function;
mod logs;
mod marks;
mod operation;
mod package;
mod provisioner;
mod service;
mod spec;

pub use factory::GcpProvisionerFactory;
