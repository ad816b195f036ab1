//! What each subcommand does.

pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod init;
pub(crate) mod jobs;
pub(crate) mod logs;
pub(crate) mod repro;
pub(crate) mod setup;
pub(crate) mod teardown;
