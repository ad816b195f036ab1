//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use rustwren_core::config::LoadOptions;

use crate::config::NAME;

/// Runs RustWren's tasks on this machine for clients elsewhere.
#[derive(Debug, Parser)]
#[command(name = "rustwren-runtime", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serves invocations over HTTP, alone or as one of a fleet behind a load balancer.
    ///
    /// Everything can be set in a configuration file or by environment variables as well: `workers = 4` under `[compute]` in
    /// the file is `RUSTWREN__COMPUTE__WORKERS=4` in the environment. `config/runtime.toml` has all keys with defaults.
    /// The shared secret comes from `secret_file` or the environment variable `RUSTWREN_HTTP_SECRET`; there must be
    /// one, except with `--platform-auth`. SIGTERM ends it when what is running is done or handed back.
    Serve(ServeArgs),
}

/// What `serve` can be told.
#[derive(Debug, Default, Args)]
pub struct ServeArgs {
    /// Configuration file; none is searched for (environment variable: `RUSTWREN_CONFIG`).
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address and port to listen on (`compute.listen`; default: `127.0.0.1:8080`).
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// How many invocations run at once (`compute.workers`; default: one for each CPU core).
    #[arg(long, value_name = "N")]
    pub workers: Option<u64>,
    /// Keep objects in this folder, and serve them to clients and other runtimes (`storage.root`, `compute.serve_storage`).
    #[arg(long, value_name = "DIR")]
    pub storage: Option<PathBuf>,
    /// File with the shared secret (`compute.secret_file`).
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// Take every call: something in front of this runtime, Google Cloud Run for instance, lets nobody else through
    /// (`compute.platform_auth`).
    #[arg(long, conflicts_with = "secret_file")]
    pub platform_auth: bool,
    /// End when the process of this number is gone, which must be the one that has started this.
    #[arg(long, value_name = "PID")]
    pub parent: Option<i32>,
    /// Any other key, as in `--set compute.max_duration=15m`. Repeatable.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = pair)]
    pub set: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("there is no `=` in it")?;
    Ok((key.to_owned(), value.to_owned()))
}

impl ServeArgs {
    /// Where the configuration comes from: a file that was named, the environment, and on top what was said here.
    pub fn load_options(&self) -> LoadOptions {
        let mut options = LoadOptions::of_process().search(false);
        if let Some(file) = &self.config {
            options = options.file(file);
        }
        options = options.set("compute.backend", NAME);
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        if let Some(listen) = &self.listen {
            options = options.set("compute.listen", listen.as_str());
        }
        if let Some(workers) = self.workers {
            options = options.set("compute.workers", workers);
        }
        if let Some(folder) = &self.storage {
            options = options
                .set("storage.backend", "local")
                .set("storage.root", text(folder))
                .set("compute.serve_storage", true);
        }
        if self.platform_auth {
            options = options.set("compute.platform_auth", true);
        }
        if let Some(file) = &self.secret_file {
            options = options.set("compute.secret_file", text(file));
        }
        self.set.iter().fold(options, |options, (key, value)| options.set(key.as_str(), value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
        assert!(Cli::try_parse_from(["x", "serve", "--set", "compute.workers"]).is_err());
    }
}
