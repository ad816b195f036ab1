//! Reading and writing objects below the root directory: blocking, relative to open directories, never through
//! a symbolic link.

use std::fs::{File, Metadata};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::storage::{Key, PutOutcome, StorageResult};

use super::errors::{errno, fault, root_fault};
use super::gate::Gate;
use super::names::ObjectPath;
use super::temp::Temp;

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// How often a write looks for its directory again when others keep removing it. Each round means that another
/// client has made progress.
const ROUNDS: usize = 1_000;

/// What a write does with an object that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    Replace,
    Keep,
}

/// The directory that holds the objects.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
}

impl Tree {
    /// The tree below an existing directory.
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Opens the root, anew each time: it may have been unmounted, removed or made again.
    pub(super) fn open_root(&self) -> StorageResult<OwnedFd> {
        let flags = DIRECTORY.difference(OFlags::NOFOLLOW);
        rustix::fs::openat(CWD, &self.root, flags, Mode::empty()).map_err(|e| root_fault(e, &self.root))
    }

    pub(super) fn fault(&self, errno: Errno, what: &str) -> BackendError {
        fault(errno, what, &self.root)
    }

    /// Opens an object for reading.
    pub(super) fn read(&self, key: &Key) -> StorageResult<(File, Metadata)> {
        let path = ObjectPath::of(key);
        let root = self.open_root()?;
        // NONBLOCK: opening a named pipe that someone put there must not wait for its writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let found = walk(&root, &path.dirs).and_then(|dir| match dir {
            Some(dir) => present(rustix::fs::openat(dir, &path.file, flags, Mode::empty())),
            None => Ok(None),
        });
        let file = found.map_err(|e| self.fault(e, &format!("read object {key}")))?;
        let file = File::from(file.ok_or_else(|| self.absent(key))?);
        let metadata = file.metadata().map_err(|e| self.fault(errno(&e), &format!("read object {key}")))?;
        if metadata.is_file() { Ok((file, metadata)) } else { Err(self.absent(key)) }
    }

    /// What is known of an object.
    pub(super) fn stat(&self, key: &Key) -> StorageResult<Stat> {
        let path = ObjectPath::of(key);
        let root = self.open_root()?;
        let found = walk(&root, &path.dirs).and_then(|dir| match dir {
            Some(dir) => stat_object(&dir, &path.file),
            None => Ok(None),
        });
        found.map_err(|e| self.fault(e, &format!("look up object {key}")))?.ok_or_else(|| self.absent(key))
    }

    fn absent(&self, key: &Key) -> BackendError {
        BackendError::new(ErrorClass::NotFound, format!("no object {key} in {}", self.root.display()))
    }

    /// Writes an object. If the gate is shut before the object has its name, nothing happens.
    pub(super) fn write(
        &self,
        key: &Key,
        data: &[u8],
        existing: Existing,
        gate: &Gate,
    ) -> StorageResult<PutOutcome> {
        let path = ObjectPath::of(key);
        let root = self.open_root()?;
        let failed = |e| self.fault(e, &format!("write object {key}"));
        // A look before the work: a lost race should not cost a written file.
        if let Some(dir) = walk(&root, &path.dirs).or_else(absent_if_not_a_directory).map_err(failed)?
            && occupied(&dir, &path.file).map_err(failed)?
            && existing == Existing::Keep
        {
            return Ok(PutOutcome::Exists);
        }
        let mut temp = Temp::create(&root, data).map_err(failed)?;
        for _ in 0..ROUNDS {
            let dir = match walk_or_create(&root, &path.dirs) {
                // Another client found the directory empty and removed it.
                Err(Errno::NOENT) => continue,
                dir => dir.map_err(failed)?,
            };
            let named = gate.pass(|| match existing {
                Existing::Replace => temp.replace(&dir, &path.file).map(|()| true),
                Existing::Keep => temp.create_as(&dir, &path.file),
            });
            let cancelled = || {
                BackendError::new(ErrorClass::Cancelled, format!("the write of object {key} was cancelled"))
            };
            match named.ok_or_else(cancelled)? {
                Err(Errno::NOENT) => {}
                Err(e) => return Err(failed(e)),
                Ok(true) => {
                    sync_directory(&dir).map_err(failed)?;
                    return Ok(PutOutcome::Created);
                }
                Ok(false) => {
                    // What is there may be no object, or gone by now: both mean that this call did not create it.
                    occupied(&dir, &path.file).map_err(failed)?;
                    return Ok(PutOutcome::Exists);
                }
            }
        }
        let message = format!(
            "cannot write object {key} in {}: its directory or its temporary file keeps being removed",
            self.root.display()
        );
        Err(BackendError::new(ErrorClass::Transient, message))
    }

    /// Removes an object, and the directories that are empty without it.
    pub(super) fn delete(&self, key: &Key) -> StorageResult<()> {
        let path = ObjectPath::of(key);
        let root = self.open_root()?;
        let failed = |e| self.fault(e, &format!("delete object {key}"));
        let Some(dir) = walk(&root, &path.dirs).map_err(failed)? else {
            return Ok(());
        };
        if stat_object(&dir, &path.file).map_err(failed)?.is_none() {
            return Ok(());
        }
        match rustix::fs::unlinkat(&dir, &path.file, AtFlags::empty()) {
            Ok(()) => sync_directory(&dir).map_err(failed)?,
            Err(Errno::NOENT) => return Ok(()),
            Err(e) => return Err(failed(e)),
        }
        for depth in (0..path.dirs.len()).rev() {
            let removed = walk(&root, &path.dirs[..depth]).and_then(|parent| match parent {
                Some(parent) => rustix::fs::unlinkat(parent, &path.dirs[depth], AtFlags::REMOVEDIR),
                None => Ok(()),
            });
            match removed {
                Ok(()) => {}
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => break,
                Err(e) => {
                    // The object is gone, as was asked. An empty directory does no harm.
                    tracing::debug!(root = %self.root.display(), error = %e, "cannot remove an empty directory");
                    break;
                }
            }
        }
        Ok(())
    }

    /// Removes temporary files that were last written more than `age` ago: their writers have died.
    #[expect(clippy::disallowed_methods, reason = "the dates of files are wall time")]
    pub(super) fn clean(&self, age: Duration) -> StorageResult<()> {
        let root = self.open_root()?;
        let now = SystemTime::now();
        let cleaned = Temp::folder(&root).and_then(|folder| {
            let Some(folder) = folder else { return Ok(()) };
            for entry in Dir::read_from(&folder)? {
                let entry = entry?;
                let Some(stat) = stat_object(&folder, entry.file_name())? else {
                    continue;
                };
                let old = modified(&stat).and_then(|time| now.duration_since(time).ok());
                if old.is_some_and(|old| old > age) {
                    present(rustix::fs::unlinkat(&folder, entry.file_name(), AtFlags::empty()))?;
                }
            }
            Ok(())
        });
        cleaned.map_err(|e| self.fault(e, "remove old temporary files"))
    }
}

/// Absence as `None`.
pub(super) fn present<T>(result: Result<T, Errno>) -> Result<Option<T>, Errno> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e),
    }
}

/// When a write finds a file where it needs a directory, `walk_or_create` says so; the look before must not.
fn absent_if_not_a_directory(error: Errno) -> Result<Option<OwnedFd>, Errno> {
    if error == Errno::NOTDIR { Ok(None) } else { Err(error) }
}

/// Opens one directory in another. A symbolic link is `LOOP`.
pub(super) fn open_directory(parent: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    match rustix::fs::openat(&parent, name, DIRECTORY, Mode::empty()) {
        // Which of the two a symbolic link gives depends on the system.
        Err(Errno::NOTDIR | Errno::LOOP) => {
            let stat = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
            Err(if file_type(&stat) == FileType::Symlink { Errno::LOOP } else { Errno::NOTDIR })
        }
        opened => opened,
    }
}

/// Opens a directory below `root`; `None` if it is not there, so that nothing can be in it.
pub(super) fn walk(root: impl AsFd, dirs: &[String]) -> Result<Option<OwnedFd>, Errno> {
    let mut dir = root.as_fd().try_clone_to_owned().map_err(|e| errno(&e))?;
    for name in dirs {
        dir = match open_directory(&dir, name) {
            Ok(dir) => dir,
            // A file of someone else's: it holds no objects.
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(e) => return Err(e),
        };
    }
    Ok(Some(dir))
}

/// Opens a directory below `root`, making what is missing of it.
fn walk_or_create(root: impl AsFd, dirs: &[String]) -> Result<OwnedFd, Errno> {
    let mut dir = root.as_fd().try_clone_to_owned().map_err(|e| errno(&e))?;
    for name in dirs {
        dir = match open_directory(&dir, name) {
            Err(Errno::NOENT) => {
                make_directory(&dir, name)?;
                open_directory(&dir, name)?
            }
            opened => opened?,
        };
    }
    Ok(dir)
}

/// Makes a directory that survives a crash, unless it is there.
pub(super) fn make_directory(parent: impl AsFd, name: &str) -> Result<(), Errno> {
    match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o777)) {
        Ok(()) => sync_directory(parent),
        Err(Errno::EXIST) => Ok(()),
        Err(e) => Err(e),
    }
}

/// Makes the names in a directory survive a crash, where the file system can do that.
pub(super) fn sync_directory(dir: impl AsFd) -> Result<(), Errno> {
    match rustix::fs::fsync(dir) {
        Err(Errno::INVAL) => Ok(()),
        synced => synced,
    }
}

/// What is known of a regular file; `None` for what is not there or is no file. A symbolic link is `LOOP`.
pub(super) fn stat_object(dir: impl AsFd, name: impl rustix::path::Arg) -> Result<Option<Stat>, Errno> {
    let Some(stat) = present(rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW))? else {
        return Ok(None);
    };
    match file_type(&stat) {
        FileType::RegularFile => Ok(Some(stat)),
        FileType::Symlink => Err(Errno::LOOP),
        _ => Ok(None),
    }
}

/// Whether an object has this name. Anything else that has it is an error.
fn occupied(dir: impl AsFd, name: &str) -> Result<bool, Errno> {
    let Some(stat) = present(rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW))? else {
        return Ok(false);
    };
    match file_type(&stat) {
        FileType::RegularFile => Ok(true),
        FileType::Symlink => Err(Errno::LOOP),
        FileType::Directory => Err(Errno::ISDIR),
        _ => Err(Errno::EXIST),
    }
}

fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// When a file was last written.
pub(super) fn modified(stat: &Stat) -> Option<SystemTime> {
    let nanos = Duration::from_nanos(stat.st_mtime_nsec);
    let whole = Duration::from_secs(stat.st_mtime.unsigned_abs());
    let second = if stat.st_mtime < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(whole)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(whole)
    };
    second?.checked_add(nanos)
}

/// Renames without replacing; `false` if the name is taken.
pub(super) fn rename_new(from: impl AsFd, name: &str, to: impl AsFd, new_name: &str) -> Result<bool, Errno> {
    match rustix::fs::renameat_with(from, name, to, new_name, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(e) => Err(e),
    }
}
