//! Files that setup writes for a person to take further, and finds again.
//!
//! The first line of each is a mark with the hash of what follows. A file with a right mark is ours; one with a mark and
//! another content was edited since, and belongs to whoever did that; one without a mark never was ours.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use ring::digest::{SHA256, digest};
use rustwren_core::error::{Error, ErrorKind, Result};
use tempfile::NamedTempFile;

/// What the mark begins with. A comment in every format that is written.
const MARK: &str = "# Written by rustwren setup; leave this line alone, edit the rest as you like: ";

/// What is at a file's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// Ours, with the wanted content.
    Same,
    /// Ours, with another content.
    Other,
    /// Written by us and edited since.
    Edited,
    /// Somebody else's.
    Foreign,
}

/// Looks at a file that is to have this content below its mark.
pub(super) fn look(path: &Path, wanted: &str) -> Result<Found> {
    let text = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(failed("read", path, error)),
    };
    // What is no text is not ours.
    let Ok(text) = std::str::from_utf8(&text) else { return Ok(Found::Foreign) };
    let Some((mark, rest)) = text.split_once('\n').filter(|(mark, _)| mark.starts_with(MARK)) else {
        return Ok(Found::Foreign);
    };
    Ok(match (mark == self::mark(rest), rest == wanted) {
        (true, true) => Found::Same,
        (true, false) => Found::Other,
        (false, _) => Found::Edited,
    })
}

/// Writes a file with its mark, whole or not at all, and the folders above it.
pub(super) fn write(path: &Path, content: &str) -> Result<()> {
    let text = format!("{}\n{content}", mark(content));
    let file = in_folder_of(path)?;
    fill(file, path, text.as_bytes(), 0o644)?
        .persist(path)
        .map_err(|error| failed("write", path, error.error))?;
    Ok(())
}

/// Removes a file, and its folder if that is empty then. One that is not there is no error.
pub(super) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("delete", path, error)),
        _ => {}
    }
    if let Some(folder) = path.parent() {
        match fs::remove_dir(folder) {
            Ok(()) => {}
            // Something else is in it, or it is somebody else's to remove.
            Err(error) => tracing::debug!(folder = %folder.display(), %error, "the folder stays"),
        }
    }
    Ok(())
}

/// A temporary file beside `path`, whose folder is made if it is not there.
pub(super) fn in_folder_of(path: &Path) -> Result<NamedTempFile> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| failed("make", folder, error))?;
    NamedTempFile::new_in(folder).map_err(|error| failed("write in", folder, error))
}

/// Fills a temporary file and sets its mode.
pub(super) fn fill(mut file: NamedTempFile, path: &Path, bytes: &[u8], mode: u32) -> Result<NamedTempFile> {
    use std::os::unix::fs::PermissionsExt as _;
    let filled = file.write_all(bytes).and_then(|()| {
        file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
        file.as_file().sync_all()
    });
    filled.map_err(|error| failed("write", path, error))?;
    Ok(file)
}

pub(super) fn failed(verb: &str, path: &Path, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied => ErrorKind::Denied,
        _ => ErrorKind::Config,
    };
    Error::new(kind, format!("cannot {verb} {}", path.display())).with_source(error)
}

fn mark(content: &str) -> String {
    format!("{MARK}{}", hex(digest(&SHA256, content.as_bytes()).as_ref()))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string does not fail.
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b.yaml");
        assert_eq!(look(&path, "x: 1\n").unwrap(), Found::Nothing);
        write(&path, "x: 1\n").unwrap();
        assert_eq!(look(&path, "x: 1\n").unwrap(), Found::Same);
        assert_eq!(look(&path, "x: 2\n").unwrap(), Found::Other);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("x: 1", "x: 3")).unwrap();
        assert_eq!(look(&path, "x: 1\n").unwrap(), Found::Edited);
        for foreign in [&b"x: 1\n"[..], b"", b"\xff\n", b"# Written by rustwren setup"] {
            fs::write(&path, foreign).unwrap();
            assert_eq!(look(&path, "x: 1\n").unwrap(), Found::Foreign);
        }
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(!dir.path().join("a").exists(), "the empty folder goes");
    }

    #[test]
    fn a_folder_in_which_something_else_is_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        write(&path, "").unwrap();
        fs::write(dir.path().join("a/notes"), "mine").unwrap();
        remove(&path).unwrap();
        assert!(dir.path().join("a/notes").exists());
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("occupied"), "").unwrap();
        let error = write(&dir.path().join("occupied/b"), "").unwrap_err();
        assert!(error.to_string().contains("occupied"), "{error}");
    }
}
