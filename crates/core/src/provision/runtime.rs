//! The runtime's executable as setup deploys it: where it is found, whether it can run there, and the archive that is made of
//! it.
//!
//! The bytes of an archive depend on what is in it alone, so that their hash says whether there is anything to upload.

use std::fmt::{self, Write as _};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bytes::Bytes;
use ring::digest::{SHA256, digest};

use crate::config::units::format_size;
use crate::error::{Error, ErrorKind, Result};
use crate::image::{ElfInfo, Platform, check, strip};

/// The name of the runtime's executable.
pub const RUNTIME: &str = "rustwren-runtime";

/// An archive that is ready to be uploaded.
#[derive(Clone, PartialEq, Eq)]
pub struct Package {
    /// The archive.
    pub bytes: Bytes,
    /// Its SHA-256.
    pub sha256: [u8; 32],
}

impl Package {
    fn of(bytes: Vec<u8>) -> Self {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest(&SHA256, &bytes).as_ref());
        Self { bytes: bytes.into(), sha256 }
    }

    /// The first bytes of its SHA-256, in two hexadecimal digits each.
    pub fn hash(&self, bytes: usize) -> String {
        self.sha256.iter().take(bytes).fold(String::new(), |mut text, byte| {
            // Writing to a string does not fail.
            write!(text, "{byte:02x}").unwrap_or_default();
            text
        })
    }
}

/// Not the bytes.
impl fmt::Debug for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Package").field("sha256", &self.hash(32)).finish_non_exhaustive()
    }
}

/// Where the executable comes from, and what it is to run on.
#[derive(Debug)]
pub struct RuntimeSource {
    given: Option<PathBuf>,
    platform: Platform,
    build: String,
    packed: OnceLock<Package>,
}

impl RuntimeSource {
    /// What was `given`, or else what lies beside this program. `build` is the command that builds it for the platform, for
    /// hints.
    pub fn new(given: Option<PathBuf>, platform: Platform, build: impl Into<String>) -> Self {
        Self { given, platform, build: build.into(), packed: OnceLock::new() }
    }

    /// The archive that `pack` makes of the stripped executable on first use: only setup needs it. An error where it cannot
    /// run on the platform, or the archive has more than `most` bytes, which is what this `provider` takes.
    pub fn package<E: std::error::Error + Send + Sync + 'static>(
        &self,
        provider: &str,
        most: usize,
        pack: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
    ) -> Result<&Package> {
        if let Some(packed) = self.packed.get() {
            return Ok(packed);
        }
        let program = std::env::current_exe().ok();
        let path = self.file(program.as_deref().and_then(Path::parent))?;
        let archive = pack(&strip(&self.read(&path)?)).map_err(|error| {
            Error::new(ErrorKind::Internal, format!("the runtime {} cannot be packed", path.display()))
                .with_source(error)
        })?;
        if archive.len() > most {
            let (size, most) = (format_size(archive.len() as u64), format_size(most as u64));
            let message =
                format!("the runtime {} has {size} when packed; {provider} takes {most}", path.display());
            return Err(Error::new(ErrorKind::Incompatible, message)
                .with_hint(format!("build it in the release profile: {}", self.build)));
        }
        Ok(self.packed.get_or_init(|| Package::of(archive)))
    }

    /// The executable: what was given, or what lies in `beside`, the folder of this program; there one that names the machine
    /// goes before one that does not.
    fn file(&self, beside: Option<&Path>) -> Result<PathBuf> {
        if let Some(given) = &self.given {
            return Ok(given.clone());
        }
        let names = [format!("{RUNTIME}-{}", self.platform.arch), RUNTIME.to_owned()];
        let found = beside.into_iter().flat_map(|folder| names.iter().map(|name| folder.join(name)));
        found.into_iter().find(|path| path.is_file()).ok_or_else(|| {
            let folder = beside.map(|folder| format!(" in {}", folder.display())).unwrap_or_default();
            Error::new(ErrorKind::Config, format!("there is no {} and no {}{folder}", names[0], names[1]))
                .with_hint(format!("build it, and name it by --runtime: {}", self.build))
        })
    }

    /// Its bytes, where they can run on the platform.
    fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let bytes = fs::read(path).map_err(|error| {
            Error::new(ErrorKind::Config, format!("the runtime {} cannot be read", path.display()))
                .with_source(error)
                .with_hint(format!("name another by --runtime, or build it: {}", self.build))
        })?;
        let runs = ElfInfo::read(&bytes).and_then(|info| check(&info, &self.platform));
        runs.map_err(|error| {
            error.context(&format!("the runtime {} cannot be deployed", path.display())).with_hint(format!(
                "build it for {}, and name it by --runtime: {}",
                self.platform.name, self.build
            ))
        })?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;
