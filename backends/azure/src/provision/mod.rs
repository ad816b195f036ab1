//! `rustwren setup` on Azure: what is to be there, what is there, and the way between.
//!
//! Azure Resource Manager is called as JSON over HTTP, as its crates have stopped, with the transport and the tokens that
//! storage has anyway. That requests have the published shape is held by tests: the stand-in
//! (`crates/testkit/src/standins/azure_control`) has the models of Microsoft's own packages, and refuses what they do not
//! have.

mod account;
mod app;
mod arm;
mod child;
mod component;
mod elsewhere;
mod factory;
mod grant;
mod group;
mod key;
mod logs;
mod operation;
mod package;
mod place;
mod plan;
mod provisioner;
mod published;
mod refusal;
mod spec;
mod workspace;

pub use factory::AzureProvisionerFactory;
