//! What is deployed: the runtime's executable, in a `tar.gz` for Cloud Run, or in a zip with the shim for a function.
//!
//! The bytes depend on what is in them alone, so that their hash says whether there is anything to upload.

use std::fmt::Write as _;
use std::fs;
use std::io::{Cursor, Write as _};
use std::path::PathBuf;
use std::sync::OnceLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use ring::digest::{SHA256, digest};
use rustwren_core::config::units::format_size;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::image::{ElfInfo, Platform, check, strip};
use rustwren_core::provision::{RUNTIME, SetupOptions};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::config::functions::Route;

/// The program of Node that starts the runtime in a function, and what Google needs to know of it.
const SHIM: [(&str, &str); 2] = [
    ("index.js", include_str!("../../shim/index.js")),
    ("package.json", include_str!("../../shim/package.json")),
];
/// The largest source of a function, and the largest archive that Cloud Run takes without a build.
const LARGEST: [usize; 2] = [100_000_000, 250 << 20];

/// An archive that is ready to be uploaded.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) bytes: Vec<u8>,
    /// The beginning of its SHA-256, as long as a label may be.
    pub(super) hash: String,
}

/// Not the bytes.
impl std::fmt::Debug for Package {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Package").field("len", &self.bytes.len()).field("hash", &self.hash).finish()
    }
}

/// Where it comes from.
#[derive(Debug)]
pub(super) struct Source {
    given: Option<PathBuf>,
    route: Route,
    platform: Platform,
    packed: OnceLock<Package>,
}

impl Source {
    pub(super) fn new(given: Option<PathBuf>, route: Route, platform: Platform) -> Self {
        Self { given, route, platform, packed: OnceLock::new() }
    }

    /// The package, made on first use: only setup needs it.
    pub(super) fn package(&self) -> Result<&Package> {
        if let Some(packed) = self.packed.get() {
            return Ok(packed);
        }
        let packed = self.pack()?;
        Ok(self.packed.get_or_init(|| packed))
    }

    fn pack(&self) -> Result<Package> {
        let mut options = SetupOptions::default();
        options.runtime.clone_from(&self.given);
        let path = options.runtime_file()?;
        let build = "build it for Linux on x86-64, and name it by --runtime: `cargo build --release -p rustwren-worker \
                     --no-default-features --features gcp`";
        let bytes = fs::read(&path).map_err(|error| {
            Error::new(ErrorKind::Config, format!("the runtime {} cannot be read", path.display()))
                .with_source(error)
                .with_hint(build)
        })?;
        let runs = ElfInfo::read(&bytes).and_then(|info| check(&info, &self.platform));
        runs.map_err(|error| {
            error.context(&format!("the runtime {} cannot be deployed", path.display())).with_hint(build)
        })?;
        let runtime = strip(&bytes);
        let (packed, largest) = match self.route {
            Route::Functions => (zip(&runtime).map_err(std::io::Error::other), LARGEST[0]),
            Route::Run => (tar_gz(&runtime), LARGEST[1]),
        };
        let packed = packed.map_err(|error| {
            Error::new(ErrorKind::Internal, format!("the runtime {} cannot be packed", path.display()))
                .with_source(error)
        })?;
        if packed.len() > largest {
            let (size, most) = (format_size(packed.len() as u64), format_size(largest as u64));
            let message =
                format!("the runtime {} has {size} when packed; Google takes {most}", path.display());
            return Err(Error::new(ErrorKind::Incompatible, message).with_hint(build));
        }
        let hash = digest(&SHA256, &packed);
        let hash = hash.as_ref().iter().take(20).fold(String::new(), |mut text, byte| {
            // Writing to a string does not fail.
            write!(text, "{byte:02x}").unwrap_or_default();
            text
        });
        Ok(Package { bytes: packed, hash })
    }
}

fn zip(runtime: &[u8]) -> zip::result::ZipResult<Vec<u8>> {
    let options = |mode| {
        SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::DEFAULT)
            .unix_permissions(mode)
    };
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in SHIM {
        writer.start_file(name, options(0o644))?;
        writer.write_all(content.as_bytes())?;
    }
    writer.start_file(RUNTIME, options(0o755))?;
    writer.write_all(runtime)?;
    Ok(writer.finish()?.into_inner())
}

fn tar_gz(runtime: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    let mut header = tar::Header::new_gnu();
    header.set_size(runtime.len() as u64);
    header.set_mode(0o755);
    header.set_mtime(0);
    archive.append_data(&mut header, RUNTIME, runtime)?;
    archive.into_inner()?.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_functions_source_has_the_shim_and_a_program_that_can_be_started() {
        let bytes = zip(b"program").unwrap();
        assert_eq!(bytes, zip(b"program").unwrap(), "the same for the same bytes");
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        let names: Vec<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
        assert_eq!(names.len(), 3, "{names:?}");
        let mut file = archive.by_name(RUNTIME).unwrap();
        assert_eq!(file.unix_mode().map(|mode| mode & 0o777), Some(0o755));
        let mut content = String::new();
        file.read_to_string(&mut content).unwrap();
        assert_eq!(content, "program");
        drop(file);
        let mut shim = String::new();
        archive.by_name("index.js").unwrap().read_to_string(&mut shim).unwrap();
        assert!(shim.contains("exports.rustwren"));
    }

    #[test]
    fn an_archive_for_cloud_run_has_the_program_alone() {
        let bytes = tar_gz(b"program").unwrap();
        assert_eq!(bytes, tar_gz(b"program").unwrap(), "the same for the same bytes");
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&bytes[..]));
        let mut entries = archive.entries().unwrap();
        let mut entry = entries.next().unwrap().unwrap();
        assert_eq!(entry.path().unwrap().to_str(), Some(RUNTIME));
        assert_eq!(entry.header().mode().unwrap(), 0o755);
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        assert_eq!(content, "program");
        assert!(entries.next().is_none());
    }
}
