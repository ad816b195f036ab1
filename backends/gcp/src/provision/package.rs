//! What is deployed: the runtime's executable, in a `tar.gz` for Cloud Run, or in a zip with the shim for a function.
//!
//! The bytes depend on what is in them alone, so that their hash says whether there is anything to upload.

use std::io::{Cursor, Write as _};
use std::path::PathBuf;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use rustwren_core::error::Result;
use rustwren_core::image::Platform;
use rustwren_core::provision::{Package, RUNTIME, RuntimeSource};
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

/// How much of an archive's SHA-256 tells it from others, in bytes: as long as a label may be.
const HASH: usize = 20;
/// The command that builds a runtime.
const BUILD: &str =
    "`cargo build --release -p rustwren-worker --no-default-features --features gcp` on Linux on x86-64";

/// What is to be uploaded, by its route.
#[derive(Debug)]
pub(super) struct Source {
    runtime: RuntimeSource,
    route: Route,
}

impl Source {
    pub(super) fn new(given: Option<PathBuf>, route: Route, platform: Platform) -> Self {
        Self { runtime: RuntimeSource::new(given, platform, BUILD), route }
    }

    /// The archive, made on first use: only setup needs it.
    pub(super) fn bytes(&self) -> Result<&Bytes> {
        Ok(&self.package()?.bytes)
    }

    /// The beginning of its hash.
    pub(super) fn hash(&self) -> Result<String> {
        Ok(self.package()?.hash(HASH))
    }

    fn package(&self) -> Result<&Package> {
        match self.route {
            Route::Functions => self.runtime.package("Google", LARGEST[0], zip),
            Route::Run => self.runtime.package("Google", LARGEST[1], tar_gz),
        }
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
