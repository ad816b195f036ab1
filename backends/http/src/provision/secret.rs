//! The file of shared secrets on this machine.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use ring::rand::{SecureRandom as _, SystemRandom};
use rustwren_core::auth::Secrets;
use rustwren_core::error::{Error, ErrorKind, Result};

use super::files::{failed, fill, hex, in_folder_of};

const HEAD: &str = "\
# Shared secrets of RustWren's HTTP workers, written by rustwren setup. One on each line: calls are signed with the first,
# and runtimes accept calls that are signed with any. Keep this file from others.
";
/// Only its owner reads it.
const MODE: u32 = 0o600;

/// What is at the file's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    Secrets {
        /// How many are in it.
        count: usize,
        /// Its mode, where others may read it.
        open_mode: Option<u32>,
        /// Whether setup has written it.
        ours: bool,
    },
}

/// Looks at the file. One in which no secrets are is an error: it must not be overwritten, nor used.
pub(super) fn look(path: &Path) -> Result<Found> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(failed("read", path, error)),
    };
    let secrets = Secrets::parse(&text).map_err(|error| error.context(&path.display().to_string()))?;
    let mode = fs::metadata(path).map_err(|error| failed("read", path, error))?.permissions().mode() & 0o777;
    Ok(Found::Secrets {
        count: secrets.iter().count(),
        open_mode: (mode & 0o077 != 0).then_some(mode),
        ours: text.starts_with(HEAD),
    })
}

/// Makes the file with one secret. One that is there by now is left alone.
pub(super) fn create(path: &Path) -> Result<()> {
    let text = format!("{HEAD}{}\n", fresh()?);
    let file = fill(in_folder_of(path)?, path, text.as_bytes(), MODE)?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed("write", path, error.error)),
    }
}

/// Keeps others from reading the file.
pub(super) fn close(path: &Path) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(MODE)).map_err(|error| failed("close", path, error))
}

/// Takes the next step of a rotation. One secret gets a second behind it, which runtimes can be given while calls are
/// still signed with the first. Of several, the last one is kept, with which calls are signed from then on.
pub(super) fn rotate(path: &Path) -> Result<()> {
    let text = fs::read_to_string(path).map_err(|error| failed("read", path, error))?;
    let secrets: Vec<&str> = Secrets::words(&text).collect();
    let kept = match secrets[..] {
        [one] => format!("{one}\n{}\n", fresh()?),
        [.., last] => format!("{last}\n"),
        [] => return Err(Error::new(ErrorKind::Config, format!("there is no secret in {}", path.display()))),
    };
    let file = fill(in_folder_of(path)?, path, format!("{HEAD}{kept}").as_bytes(), MODE)?;
    file.persist(path).map_err(|error| failed("write", path, error.error))?;
    Ok(())
}

/// 256 random bits.
fn fresh() -> Result<String> {
    let mut bytes = [0; 32];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Error::new(ErrorKind::Unavailable, "the system gives no random numbers for a secret"))?;
    Ok(hex(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(path: &Path) -> Vec<String> {
        Secrets::words(&fs::read_to_string(path).unwrap()).map(ToOwned::to_owned).collect()
    }

    #[test]
    fn a_secret_is_made_once_and_for_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets");
        assert_eq!(look(&path).unwrap(), Found::Nothing);
        create(&path).unwrap();
        let first = secrets(&path);
        assert_eq!((first.len(), first[0].len()), (1, 64));
        assert_eq!(look(&path).unwrap(), Found::Secrets { count: 1, open_mode: None, ours: true });
        create(&path).unwrap();
        assert_eq!(secrets(&path), first, "what is there is kept");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(look(&path).unwrap(), Found::Secrets { count: 1, open_mode: Some(0o644), ours: true });
        close(&path).unwrap();
        assert_eq!(look(&path).unwrap(), Found::Secrets { count: 1, open_mode: None, ours: true });
    }

    #[test]
    fn a_rotation_adds_and_then_drops() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets");
        create(&path).unwrap();
        let old = secrets(&path);
        rotate(&path).unwrap();
        let both = secrets(&path);
        assert_eq!((both.len(), &both[0]), (2, &old[0]), "calls are still signed with the old one");
        rotate(&path).unwrap();
        assert_eq!(secrets(&path), both[1..], "and now with the new one");
        assert_eq!(look(&path).unwrap(), Found::Secrets { count: 1, open_mode: None, ours: true });
    }

    #[test]
    fn a_file_without_secrets_is_neither_used_nor_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets");
        for text in ["", "short", "# only this\n"] {
            fs::write(&path, text).unwrap();
            let error = look(&path).unwrap_err();
            assert!(error.to_string().contains("secrets"), "{error}");
        }
        fs::write(&path, "a".repeat(32)).unwrap();
        let Found::Secrets { count: 1, ours: false, .. } = look(&path).unwrap() else {
            panic!("it is no longer ours")
        };
    }
}
