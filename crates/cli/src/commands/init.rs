//! `rustwren init`

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;

use rustwren::__cli::config::FILE_NAME;
use rustwren::__cli::error::{Error, ErrorKind};

use crate::args::Provider;
use crate::failure::Failure;
use crate::output;

/// Writes an annotated configuration.
pub(crate) fn run(provider: Provider, force: bool, path: &Path) -> Result<(), Failure> {
    let text = match provider {
        Provider::Local => include_str!("../../../../config/local.toml"),
        Provider::Http => include_str!("../../../../config/http.toml"),
        Provider::Chaos => include_str!("../../../../config/chaos.toml"),
        Provider::Aws => include_str!("../../../../config/aws.toml"),
        Provider::Gcp => include_str!("../../../../config/gcp.toml"),
        Provider::Azure => include_str!("../../../../config/azure.toml"),
    };
    let path = if path.is_dir() { path.join(FILE_NAME) } else { path.to_owned() };
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true);
    } else {
        // Decided by the system in one step: nothing that is there is ever overwritten.
        options.create_new(true);
    }
    options
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| failed(&path, error))?;
    output::note(&format!("wrote {}", path.display()));
    Ok(())
}

fn failed(path: &Path, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Error::new(ErrorKind::Config, format!("{} is there already", path.display()))
                .with_hint("--force replaces it")
        }
        io::ErrorKind::PermissionDenied => {
            Error::new(ErrorKind::Denied, format!("cannot write {}", path.display())).with_source(error)
        }
        _ => Error::new(ErrorKind::Config, format!("cannot write {}", path.display())).with_source(error),
    }
}
