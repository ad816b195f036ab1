//! Zips, unpacked by other code than packs them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Unpacks with the permissions that are in the zip: what is not executable there does not start in a cloud either.
const UNPACK: &str = "\
import os, sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
for member in archive.infolist():
    os.chmod(archive.extract(member, sys.argv[2]), member.external_attr >> 16)
";

/// The folder, below this one, with what is in a zip.
#[expect(clippy::panic, reason = "what cannot be unpacked fails the test")]
pub(super) fn unpack(zip: &[u8], below: &Path) -> PathBuf {
    let (archive, unpacked) = (below.join("package.zip"), below.join("unpacked"));
    std::fs::write(&archive, zip).unwrap_or_else(|error| panic!("{}: {error}", archive.display()));
    let status = Command::new("python3").args(["-c", UNPACK]).arg(&archive).arg(&unpacked).status();
    assert!(status.is_ok_and(|status| status.success()), "{} cannot be unpacked", archive.display());
    unpacked
}
