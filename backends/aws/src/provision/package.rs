//! What a function is made of: the runtime's executable, in a zip, under the name that Lambda starts.
//!
//! The zip is made here, so that nobody needs a tool for it, and its bytes depend on the executable alone: its hash,
//! which Lambda tells of what it has, says whether there is anything to upload.

use std::io::{Cursor, Write as _};
use std::path::PathBuf;

use rustwren_core::error::Result;
use rustwren_core::image::Platform;
use rustwren_core::provision::{Package, RuntimeSource};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// What Lambda starts in a zip for a runtime of its user's own.
pub(crate) const BOOTSTRAP: &str = "bootstrap";

/// The largest zip that is taken in a call, by Lambda's limits.
const MAX_ZIP: usize = 50 * 1024 * 1024;

/// Where the runtime comes from: what was `given`, or else what lies beside this program.
pub(crate) fn source(given: Option<PathBuf>, platform: Platform) -> RuntimeSource {
    let build = build(&platform);
    RuntimeSource::new(given, platform, build)
}

/// What is to be uploaded.
pub(crate) fn package(source: &RuntimeSource) -> Result<&Package> {
    source.package("Lambda", MAX_ZIP, zip)
}

/// The hash of a zip as Lambda tells it of the code that it has: SHA-256, in base64.
pub(crate) fn code_sha256(package: &Package) -> String {
    aws_smithy_types::base64::encode(package.sha256)
}

/// A zip with one executable file, the same for the same bytes.
fn zip(bootstrap: &[u8]) -> zip::result::ZipResult<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(9))
        .last_modified_time(DateTime::DEFAULT)
        .unix_permissions(0o755);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file(BOOTSTRAP, options)?;
    writer.write_all(bootstrap)?;
    Ok(writer.finish()?.into_inner())
}

/// The command that builds a runtime for a platform.
fn build(platform: &Platform) -> String {
    let version = platform.glibc.map(|(major, minor)| format!(".{major}.{minor}")).unwrap_or_default();
    format!(
        "`cargo zigbuild --release -p rustwren-worker --target {}-unknown-linux-gnu{version}` (`cargo install \
         cargo-zigbuild`)",
        platform.arch
    )
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use rustwren_testkit::setup::small_program;

    use super::*;

    fn platform(arch: &str) -> Platform {
        Platform {
            name: "AWS Lambda (provided.al2023)".to_owned(),
            arch: arch.to_owned(),
            glibc: Some((2, 34)),
        }
    }

    #[test]
    fn a_zip_holds_the_runtime_as_an_executable_named_bootstrap() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runtime");
        std::fs::write(&path, small_program(1)).unwrap();
        let source = source(Some(path), platform("x86_64"));
        let package = package(&source).unwrap();
        assert_eq!(code_sha256(package).len(), 44);
        let mut archive = zip::ZipArchive::new(Cursor::new(&package.bytes)).unwrap();
        assert_eq!(archive.len(), 1);
        let mut file = archive.by_name(BOOTSTRAP).unwrap();
        assert_eq!(file.unix_mode().map(|mode| mode & 0o777), Some(0o755));
        let mut unpacked = Vec::new();
        file.read_to_end(&mut unpacked).unwrap();
        assert_eq!(zip(&unpacked).unwrap(), package.bytes, "the same bytes for the same runtime");
    }

    #[test]
    fn a_runtime_for_another_machine_is_refused_with_the_command_that_mends_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runtime");
        std::fs::write(&path, small_program(1)).unwrap();
        let source = source(Some(path), platform("aarch64"));
        let text = package(&source).unwrap_err().to_string();
        assert!(text.contains("`cargo zigbuild --release -p rustwren-worker --target "), "{text}");
        assert!(text.contains("aarch64-unknown-linux-gnu.2.34`"), "{text}");
    }
}
