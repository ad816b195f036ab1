//! What a function is made of: the runtime's executable, in a zip, under the name that Lambda starts.
//!
//! The zip is made here, so that nobody needs a tool for it, and its bytes depend on the executable alone: its hash,
//! which Lambda tells of what it has, says whether there is anything to upload.

use std::fs;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bytes::Bytes;
use ring::digest::{SHA256, digest};
use rustwren_core::config::units::format_size;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::image::{ElfInfo, Platform, check, strip};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// What Lambda starts in a zip for a runtime of its user's own.
pub(crate) const BOOTSTRAP: &str = "bootstrap";

/// The runtime's executable, as cargo names it.
const RUNTIME: &str = "rustwren-runtime";

/// The largest zip that is taken in a call, by Lambda's limits.
const MAX_ZIP: usize = 50 * 1024 * 1024;

/// A zip that is ready to be uploaded.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) zip: Bytes,
    /// As Lambda tells it of the code that it has: SHA-256 of the zip, in base64.
    pub(crate) sha256: String,
}

/// Not the bytes.
impl std::fmt::Debug for Package {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Package").field("len", &self.zip.len()).field("sha256", &self.sha256).finish()
    }
}

/// The executable that is to be packed, and what it is to run on.
#[derive(Debug)]
pub(crate) struct Source {
    given: Option<PathBuf>,
    platform: Platform,
    packed: OnceLock<Package>,
}

impl Source {
    /// What was `given`, or else what lies beside this program.
    pub(crate) fn new(given: Option<PathBuf>, platform: Platform) -> Self {
        Self { given, platform, packed: OnceLock::new() }
    }

    /// The package, made on first use: only setup needs it.
    pub(crate) fn package(&self) -> Result<&Package> {
        if let Some(packed) = self.packed.get() {
            return Ok(packed);
        }
        let program = std::env::current_exe().ok();
        let beside = program.as_deref().and_then(Path::parent);
        let packed = pack(&runtime(self.given.as_deref(), beside, &self.platform)?, &self.platform, MAX_ZIP)?;
        Ok(self.packed.get_or_init(|| packed))
    }
}

/// Where the runtime's executable is: what was `given`, or what lies in `beside`, the folder of this program; there one
/// that names the machine goes before one that does not.
fn runtime(given: Option<&Path>, beside: Option<&Path>, platform: &Platform) -> Result<PathBuf> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    let names = [format!("{RUNTIME}-{}", platform.arch), RUNTIME.to_owned()];
    let found = beside.into_iter().flat_map(|folder| names.iter().map(|name| folder.join(name)));
    found.into_iter().find(|path| path.is_file()).ok_or_else(|| {
        let folder = beside.map(|folder| format!(" in {}", folder.display())).unwrap_or_default();
        Error::new(ErrorKind::Config, format!("there is no {} and no {}{folder}", names[0], names[1]))
            .with_hint(format!("build it, and name it by --runtime: {}", build(platform)))
    })
}

/// Packs the runtime's executable, unless it cannot run on `platform` or the zip would have more than `most` bytes.
fn pack(path: &Path, platform: &Platform, most: usize) -> Result<Package> {
    let bytes = fs::read(path).map_err(|error| {
        Error::new(ErrorKind::Config, format!("the runtime {} cannot be read", path.display()))
            .with_source(error)
            .with_hint(format!("name another by --runtime, or build it: {}", build(platform)))
    })?;
    let runs = ElfInfo::read(&bytes).and_then(|info| check(&info, platform));
    runs.map_err(|error| {
        error.context(&format!("the runtime {} cannot be deployed", path.display())).with_hint(format!(
            "build it for {}: {}",
            platform.name,
            build(platform)
        ))
    })?;
    let zip = zip(&strip(&bytes)).map_err(|error| {
        Error::new(ErrorKind::Internal, format!("the runtime {} cannot be packed", path.display()))
            .with_source(error)
    })?;
    if zip.len() > most {
        let (size, most) = (format_size(zip.len() as u64), format_size(most as u64));
        let message = format!("the runtime {} has {size} when packed; Lambda takes {most}", path.display());
        return Err(Error::new(ErrorKind::Incompatible, message)
            .with_hint(format!("build it in the release profile: {}", build(platform))));
    }
    let sha256 = aws_smithy_types::base64::encode(digest(&SHA256, &zip));
    Ok(Package { zip: zip.into(), sha256 })
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

    use super::*;

    fn platform(arch: &str) -> Platform {
        Platform {
            name: "AWS Lambda (provided.al2023)".to_owned(),
            arch: arch.to_owned(),
            glibc: Some((2, 34)),
        }
    }

    /// A program in a file of its own.
    fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runtime");
        fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    /// The smallest program for a machine of 64 bits that contains all it needs: a header and one segment.
    fn small(machine: u64) -> Vec<u8> {
        let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0];
        elf.resize(16, 0);
        let header = [(2, 2), (2, machine), (4, 1), (8, 0x40_0078), (8, 64), (8, 0), (4, 0)];
        let sizes = [(2, 64), (2, 56), (2, 1), (2, 64), (2, 0), (2, 0)];
        let segment = [(4, 1), (4, 5), (8, 0), (8, 0x40_0000), (8, 0x40_0000), (8, 128), (8, 128), (8, 4096)];
        for (size, value) in [&header[..], &sizes, &segment, &[(8, 0x90)]].concat() {
            elf.extend_from_slice(&u64::to_le_bytes(value)[..size]);
        }
        elf
    }

    const X86_64: u64 = 62;
    const AARCH64: u64 = 183;

    /// The running test as if it had been built against this version of glibc.
    fn built_against(minor: u8) -> Vec<u8> {
        let mut bytes = fs::read(std::env::current_exe().unwrap()).unwrap();
        let name = b"GLIBC_2.";
        // What the loader reads is at the beginning.
        for at in 0..bytes.len().min(4 << 20) - name.len() - 3 {
            let [a, b, end] = [0, 1, 2].map(|i| bytes[at + name.len() + i]);
            if bytes[at..].starts_with(name) && a.is_ascii_digit() && b.is_ascii_digit() && end == 0 {
                bytes[at + name.len()] = b'0' + minor / 10;
                bytes[at + name.len() + 1] = b'0' + minor % 10;
            }
        }
        bytes
    }

    #[test]
    fn a_zip_holds_the_stripped_runtime_as_an_executable_named_bootstrap() {
        let (_folder, path) = file(&small(X86_64));
        let package = pack(&path, &platform("x86_64"), MAX_ZIP).unwrap();
        let mut archive = zip::ZipArchive::new(Cursor::new(&package.zip)).unwrap();
        assert_eq!(archive.len(), 1);
        let mut file = archive.by_name(BOOTSTRAP).unwrap();
        assert_eq!(file.unix_mode().map(|mode| mode & 0o777), Some(0o755));
        let mut unpacked = Vec::new();
        file.read_to_end(&mut unpacked).unwrap();
        assert!(unpacked == *strip(&small(X86_64)), "the bytes differ");
    }

    #[test]
    fn the_same_runtime_gives_the_same_bytes() {
        let ((_one, path), (_two, copy)) = (file(&small(X86_64)), file(&small(X86_64)));
        let platform = platform("x86_64");
        let (first, second) =
            (pack(&path, &platform, MAX_ZIP).unwrap(), pack(&copy, &platform, MAX_ZIP).unwrap());
        assert!(first == second);
        assert_eq!(first.sha256.len(), 44);
        assert!(!format!("{first:?}").contains("zip:"));
    }

    #[test]
    fn a_newer_c_library_is_refused_with_the_command_that_mends_it() {
        let (_folder, path) = file(&built_against(39));
        let error = pack(&path, &platform(std::env::consts::ARCH), MAX_ZIP).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incompatible);
        let text = error.to_string();
        assert!(
            text.contains("needs glibc 2.39 or newer; AWS Lambda (provided.al2023) has glibc 2.34"),
            "{text}"
        );
        assert!(text.contains("`cargo zigbuild --release -p rustwren-worker --target "), "{text}");
        assert!(text.contains("-unknown-linux-gnu.2.34`"), "{text}");
    }

    #[test]
    fn another_machine_is_refused_with_the_command_that_mends_it() {
        let (_folder, path) = file(&small(AARCH64));
        pack(&path, &platform("aarch64"), MAX_ZIP).unwrap();
        let text = pack(&path, &platform("x86_64"), MAX_ZIP).unwrap_err().to_string();
        assert!(text.contains("is built for aarch64") && text.contains("--target x86_64-unknown"), "{text}");
    }

    #[test]
    fn what_is_no_program_is_refused() {
        let (_folder, path) = file(b"#!/bin/sh\n");
        let error = pack(&path, &platform("x86_64"), MAX_ZIP).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incompatible);
        let missing = pack(&path.with_extension("gone"), &platform("x86_64"), MAX_ZIP).unwrap_err();
        assert!(missing.hint().is_some_and(|hint| hint.contains("--runtime")), "{missing}");
    }

    #[test]
    fn a_runtime_that_does_not_fit_is_refused() {
        let (_folder, path) = file(&small(X86_64));
        let len = pack(&path, &platform("x86_64"), MAX_ZIP).unwrap().zip.len();
        pack(&path, &platform("x86_64"), len).unwrap();
        let error = pack(&path, &platform("x86_64"), len - 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incompatible);
        assert!(error.message().contains(&format!("has {len}B when packed")), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("release")), "{error}");
    }

    #[test]
    fn the_runtime_lies_beside_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let beside = Some(folder.path());
        let arm = platform("aarch64");
        let error = runtime(None, beside, &arm).unwrap_err();
        assert!(
            error.message().contains("no rustwren-runtime-aarch64 and no rustwren-runtime in "),
            "{error}"
        );
        assert!(error.hint().is_some_and(|hint| hint.contains("aarch64-unknown-linux-gnu.2.34")), "{error}");
        for name in ["rustwren-runtime", "rustwren-runtime-aarch64"] {
            fs::write(folder.path().join(name), "").unwrap();
            assert_eq!(runtime(None, beside, &arm).unwrap(), folder.path().join(name));
        }
        assert_eq!(runtime(Some(Path::new("/x")), beside, &arm).unwrap(), Path::new("/x"));
    }
}
