//! `rustwren setup` on Google Cloud: what is to be there, what is there, and the way between.
//!
//! Two routes lead to workers, and the configuration chooses: a Cloud Run service that is deployed from an archive without
//! a build, and a function, whose source has a small shim in front of the runtime. Both are services of Cloud Run in the
//! end, and so share what lets callers in and workers at their objects.
//!
//! The APIs are called as JSON over HTTP. Google's crates for these control planes would add minutes to every build of
//! the command for nine calls (`docs/decisions/0012-google-control-plane.md`).

mod access;
mod account;
mod archive;
mod bucket;
mod factory;
mod fields;
mod function;
mod logs;
mod operation;
mod package;
mod provisioner;
mod resource;
mod service;
mod spec;

pub use factory::GcpProvisionerFactory;
