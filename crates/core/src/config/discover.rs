//! Which file is the configuration.

use std::fs::{self, File};
use std::io::{ErrorKind as IoErrorKind, Read as _};
use std::path::{Path, PathBuf};

use super::LoadOptions;
use super::error::ConfigError;
use crate::env;

/// The name of configuration files.
pub const FILE_NAME: &str = "rustwren.toml";

/// More than any configuration has; keeps a wrong path (a device, an image) from filling memory.
const MAX_BYTES: u64 = 1 << 20;

/// What the search found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) file: Option<PathBuf>,
    /// Places that were looked at in vain, first to last.
    pub(crate) searched: Vec<PathBuf>,
}

/// Explicit path, else `RUSTWREN_CONFIG`, else the working directory and its parents, else the user's folder.
pub(crate) fn discover(options: &LoadOptions) -> Result<Found, ConfigError> {
    if let Some(path) = &options.file {
        return must_exist(options.absolute(path), "the configuration file that was asked for");
    }
    if let Some(path) = env::CONFIG.get_in(&options.environment) {
        let what = format!("the configuration file that {} names", env::CONFIG.name);
        return must_exist(options.absolute(Path::new(path)), &what);
    }
    let mut found = Found::default();
    if !options.search {
        return Ok(found);
    }
    let parents = options.working_dir.iter().flat_map(|dir| dir.ancestors()).map(|dir| dir.join(FILE_NAME));
    let user = options.user_config_dir.iter().map(|dir| dir.join("rustwren").join(FILE_NAME));
    for path in parents.chain(user) {
        match fs::metadata(&path) {
            Ok(metadata) if !metadata.is_dir() => {
                found.file = Some(path);
                return Ok(found);
            }
            Ok(_) => {}
            Err(error) if matches!(error.kind(), IoErrorKind::NotFound | IoErrorKind::NotADirectory) => {}
            Err(error) => {
                let text =
                    format!("cannot tell whether there is a configuration file {}: {error}", path.display());
                return Err(ConfigError::new(text)
                    .with_hint(format!("name the configuration file with {}", env::CONFIG.name)));
            }
        }
        found.searched.push(path);
    }
    Ok(found)
}

fn must_exist(path: PathBuf, what: &str) -> Result<Found, ConfigError> {
    match fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => {
            Err(ConfigError::new(format!("{what} is a directory: {}", path.display()))
                .with_hint(format!("name the file in it: {}", path.join(FILE_NAME).display())))
        }
        Ok(_) => Ok(Found { file: Some(path), searched: Vec::new() }),
        Err(error) if error.kind() == IoErrorKind::NotFound => {
            Err(ConfigError::new(format!("{what} does not exist: {}", path.display()))
                .with_hint("`rustwren init PATH` writes one"))
        }
        Err(error) => Err(ConfigError::new(format!("cannot read {what}: {}: {error}", path.display()))),
    }
}

/// Reads a configuration file.
pub(crate) fn read(path: &Path) -> Result<String, ConfigError> {
    let failed = |error| ConfigError::new(format!("cannot read {}: {error}", path.display()));
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ConfigError::new(format!(
            "{} is larger than any configuration: over 1 MiB",
            path.display()
        )));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.split(|byte| *byte == b'\n').count();
        ConfigError::new(format!("{}:{line}: not valid UTF-8", path.display()))
            .with_hint("save the file as UTF-8")
    })
}
