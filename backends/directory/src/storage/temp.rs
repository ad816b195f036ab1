//! Temporary files: objects that have no name yet.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::errors::errno;
use super::tree::{make_directory, open_directory, present, rename_new};

/// Below the root, so that a file can be moved from here to any object's place in one step. No key has this
/// name: a leading dot is escaped.
const FOLDER: &str = ".rustwren-tmp";

/// A written file that is not an object yet. It is removed with this value, unless it became one.
#[derive(Debug)]
pub(super) struct Temp {
    folder: OwnedFd,
    name: String,
    there: bool,
}

impl Temp {
    /// The folder of temporary files, if there is one.
    pub(super) fn folder(root: impl AsFd) -> Result<Option<OwnedFd>, Errno> {
        present(open_directory(root, FOLDER))
    }

    /// Writes a file whose content survives a crash.
    pub(super) fn create(root: &OwnedFd, data: &[u8]) -> Result<Self, Errno> {
        let folder = if let Some(folder) = Self::folder(root)? {
            folder
        } else {
            make_directory(root, FOLDER)?;
            open_directory(root, FOLDER)?
        };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        loop {
            let name = format!("{}-{:016x}", std::process::id(), fastrand::u64(..));
            let fd = match rustix::fs::openat(&folder, &name, flags, Mode::from_raw_mode(0o666)) {
                Err(Errno::EXIST) => continue,
                opened => opened?,
            };
            let temp = Self { folder, name, there: true };
            let mut file = File::from(fd);
            file.write_all(data).and_then(|()| file.sync_all()).map_err(|e| errno(&e))?;
            return Ok(temp);
        }
    }

    /// Makes the file the object `name` in `dir`, in place of one that is there. `NOENT` if `dir` is gone.
    pub(super) fn replace(&mut self, dir: impl AsFd, name: &str) -> Result<(), Errno> {
        rustix::fs::renameat(&self.folder, &self.name, dir, name)?;
        self.there = false;
        Ok(())
    }

    /// Makes the file the object `name` in `dir`; `false` if there is one. `NOENT` if `dir` is gone.
    pub(super) fn create_as(&mut self, dir: impl AsFd, name: &str) -> Result<bool, Errno> {
        match rename_new(&self.folder, &self.name, &dir, name) {
            Ok(created) => {
                self.there = !created;
                Ok(created)
            }
            // Network file systems know links but not this kind of rename.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => self.link_as(dir, name),
            Err(e) => Err(e),
        }
    }

    fn link_as(&self, dir: impl AsFd, name: &str) -> Result<bool, Errno> {
        match rustix::fs::linkat(&self.folder, &self.name, dir, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            // NFS may have made the link, lost its answer and asked again: then the file has two names.
            Err(Errno::EXIST) => {
                Ok(rustix::fs::statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW)?.st_nlink == 2)
            }
            Err(e) => Err(e),
        }
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if self.there
            && let Err(error) = present(rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::empty()))
        {
            tracing::warn!(file = self.name, %error, "cannot remove a temporary file; it will be removed when it is old");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_there_is_no_such_rename_links_do() {
        let root = tempfile::tempdir().unwrap();
        let dir = OwnedFd::from(File::open(root.path()).unwrap());
        let names = || std::fs::read_dir(root.path().join(FOLDER)).unwrap().count();
        let first = Temp::create(&dir, b"first").unwrap();
        assert!(first.link_as(&dir, "k").unwrap());
        // Asked again, as after a lost answer.
        assert!(first.link_as(&dir, "k").unwrap());
        let second = Temp::create(&dir, b"second").unwrap();
        assert!(!second.link_as(&dir, "k").unwrap());
        assert_eq!(names(), 2);
        drop((first, second));
        assert_eq!(names(), 0);
        assert_eq!(std::fs::read(root.path().join("k")).unwrap(), b"first");
    }
}
