//! Programs on the disk of a worker, fetched once and kept while there is room.
//!
//! # What is believed
//!
//! A program is started only from a folder that belongs to this user and that nobody else can enter, from a file
//! of the same kind, and only after its hash was found right by this very process. Anything else is replaced.
//!
//! # Sharing
//!
//! Several processes may share a folder. Files are written beside their place and renamed. Whoever uses an image
//! holds a shared `flock` on it (a [`CachedImage`]); whoever wants to evict one needs the exclusive lock. The
//! kernel drops the locks of the dead.
//!
//! # "Text file busy"
//!
//! Linux does not start a file that anyone holds open for writing. The cache has closed its own writer before
//! the file gets its name. But when another thread starts a child at that moment, the child has a copy of the
//! writer from its `fork` to its `exec`, microseconds later, and a start in between fails with `ETXTBSY`. No
//! order of ours can exclude it in a process whose other threads are not ours, so starts survive it instead:
//! start programs of this cache through [`retry_busy`].

use std::collections::HashMap;
use std::fs::{self, File, Metadata, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::image::{ImageId, hash_of, unpack_into, unpacked_size};
use rustwren_core::storage::{Key, Storage};

use crate::private::{Isolation, make_passable};

/// Of images and of their folder: this user's alone.
const MODE: u32 = 0o700;
/// The same where function processes are other users, of a group for each image.
const DIR_MODE: u32 = 0o711;
const FILE_MODE: u32 = 0o750;
const TEMPORARY: &str = ".new-";
/// A temporary file older than this was left behind by a process that died.
const LEFT_BEHIND: Duration = Duration::from_hours(1);
/// How often a file that is evicted while it is opened is looked for again.
const TRIES: usize = 8;

/// Device and inode: which file it is, whatever its name.
type FileId = (u64, u64);

/// What this process knows of one image: the file whose hash it found right. The lock is held while the image is
/// fetched, so that it is fetched once.
type Slot = Arc<tokio::sync::Mutex<Option<FileId>>>;

/// A folder of programs. Cheap to clone; clones share what they know.
#[derive(Debug, Clone)]
pub struct ImageCache {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    max_bytes: u64,
    /// Who starts programs, if that is not this user.
    users: Option<Isolation>,
    /// Every image that was asked for.
    images: Mutex<HashMap<ImageId, Slot>>,
    /// Held while room is made and filled.
    room: Mutex<()>,
}

/// An image on disk that is not evicted while this value or a clone of it lives.
#[derive(Debug, Clone)]
pub struct CachedImage {
    path: PathBuf,
    /// Held for its lock.
    _in_use: Arc<InUse>,
}

/// A file with a shared lock. Unlocked by name: closing alone would leave it locked while a child that another
/// thread is just starting still has a copy of the file.
#[derive(Debug)]
struct InUse(File);

impl InUse {
    /// Where files cannot be locked they cannot be locked for eviction either.
    fn new(file: File, path: &Path) -> Self {
        if let Err(error) = file.lock_shared() {
            tracing::debug!(path = %path.display(), %error, "an image cannot be locked");
        }
        Self(file)
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::debug!(%error, "an image cannot be unlocked");
        }
    }
}

impl CachedImage {
    /// The executable. Start it through [`retry_busy`].
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl ImageCache {
    /// A cache in this folder, which is made when it is first needed. `max_bytes` bounds the unpacked images
    /// in it, apart from those in use; a single larger one is refused.
    pub fn new(dir: impl Into<PathBuf>, max_bytes: u64) -> Self {
        Self::with_users(dir.into(), max_bytes, None)
    }

    /// The same for function processes that are users of their own: they may enter the folder, and of its files read and
    /// start the one that is their program.
    pub fn shared_with(isolation: &Isolation, dir: impl Into<PathBuf>, max_bytes: u64) -> Self {
        Self::with_users(dir.into(), max_bytes, isolation.separates_users().then(|| isolation.clone()))
    }

    fn with_users(dir: PathBuf, max_bytes: u64, users: Option<Isolation>) -> Self {
        let shared = Shared { dir, max_bytes, users, images: Mutex::default(), room: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// The image as a file, fetched from `key` in `storage` unless it is here already.
    ///
    /// Any number of calls for one image fetch it once. Cancelling a call is safe at any point. What fails on
    /// this machine's disk is [`ErrorClass::Misconfigured`], an object that is not the image
    /// [`ErrorClass::Internal`]; errors of `storage` are passed on.
    pub async fn ensure(
        &self,
        storage: &dyn Storage,
        id: ImageId,
        key: &Key,
    ) -> Result<CachedImage, BackendError> {
        let slot = lock(&self.shared.images).entry(id).or_default().clone();
        let mut verified = slot.lock().await;
        let known = *verified;
        let found = self.blocking(move |shared| shared.find(id, known)).await?;
        let (image, file) = if let Some(found) = found {
            found
        } else {
            let packed = storage.get(key).await?;
            self.blocking(move |shared| shared.add(id, &packed)).await?
        };
        *verified = Some(file);
        Ok(image)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, BackendError> + Send + 'static,
    ) -> Result<T, BackendError> {
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || work(&shared)).await.map_err(|error| {
            BackendError::new(ErrorClass::Internal, "the image cache stopped").with_source(error)
        })?
    }
}

impl Shared {
    fn path(&self, id: ImageId) -> PathBuf {
        self.dir.join(id.to_string())
    }

    /// Makes the folder, and makes sure that it is this user's alone.
    fn prepare(&self) -> Result<(), BackendError> {
        let dir = &self.dir;
        if self.users.is_some() {
            make_passable(dir).map_err(|e| disk("make", dir, e))?;
        }
        fs::DirBuilder::new().recursive(true).mode(MODE).create(dir).map_err(|e| disk("make", dir, e))?;
        let meta = fs::metadata(dir).map_err(|e| disk("look at", dir, e))?;
        if meta.uid() != rustix::process::geteuid().as_raw() {
            let message = format!("the image cache {} belongs to another user", dir.display());
            return Err(BackendError::new(ErrorClass::Misconfigured, message)
                .with_hint("name a folder of this user's as the image cache, or remove that one"));
        }
        let mode = if self.users.is_some() { DIR_MODE } else { MODE };
        if meta.mode() & 0o777 & !mode != 0 {
            // What others may have put there before is found out file by file.
            fs::set_permissions(dir, Permissions::from_mode(mode)).map_err(|e| disk("close", dir, e))?;
        }
        Ok(())
    }

    /// The group that may start an image.
    fn group(&self, id: ImageId) -> Option<u32> {
        self.users.as_ref()?.group(id)
    }

    /// Whether a file is a program that only this user can have written, and that those can start who are to.
    fn is_ours(&self, id: ImageId, meta: &Metadata) -> bool {
        let mode = meta.mode() & 0o7777;
        let right = match self.group(id) {
            Some(group) => mode == FILE_MODE && meta.gid() == group,
            None => mode == MODE,
        };
        right && meta.is_file() && meta.uid() == rustix::process::geteuid().as_raw()
    }

    /// The image in the folder, locked and verified. Without a sound one, there is no file of its name after.
    fn find(
        &self,
        id: ImageId,
        known: Option<FileId>,
    ) -> Result<Option<(CachedImage, FileId)>, BackendError> {
        self.prepare()?;
        let path = self.path(id);
        for _ in 0..TRIES {
            let file = match open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                // A symbolic link, for one: not made here.
                Err(_) => break,
            };
            let file = InUse::new(file, &path);
            let meta = file.0.metadata().map_err(|e| disk("look at", &path, e))?;
            let identity = (meta.dev(), meta.ino());
            if fs::symlink_metadata(&path).ok().map(|now| (now.dev(), now.ino())) != Some(identity) {
                // Evicted or replaced between opening and locking.
                continue;
            }
            if !self.is_ours(id, &meta) {
                break;
            }
            if known != Some(identity) && hash_of(&file.0).map_err(|e| disk("read", &path, e))? != id {
                break;
            }
            touch(&file.0, &path);
            return Ok(Some((CachedImage { path, _in_use: Arc::new(file) }, identity)));
        }
        tracing::warn!(path = %path.display(), "an image in the cache is not what it should be; fetching it again");
        remove(&path)?;
        Ok(None)
    }

    /// Unpacks an image into the folder.
    fn add(&self, id: ImageId, packed: &Bytes) -> Result<(CachedImage, FileId), BackendError> {
        let path = self.path(id);
        let size = unpacked_size(packed).unwrap_or(self.max_bytes);
        if size > self.max_bytes {
            let message = format!(
                "image {id} has {size} bytes, and the image cache {} is to hold {}",
                self.dir.display(),
                self.max_bytes
            );
            return Err(BackendError::new(ErrorClass::Misconfigured, message)
                .with_hint("raise the bound of the image cache, or make the program smaller"));
        }
        let _room = lock(&self.room);
        self.make_room(size)?;
        let mut file = tempfile::Builder::new()
            .prefix(TEMPORARY)
            .tempfile_in(&self.dir)
            .map_err(|e| disk("write to", &self.dir, e))?;
        // Set, not asked for at creation: whatever the process's umask.
        let group = self.group(id);
        let mode = if group.is_some() { FILE_MODE } else { MODE };
        let whose = group.map_or(Ok(()), |group| fchown(file.as_file(), None, Some(group)));
        whose
            .and_then(|()| file.as_file().set_permissions(Permissions::from_mode(mode)))
            .map_err(|e| disk("make executable", file.path(), e))?;
        unpack_into(packed, id, size, file.as_file_mut())?;
        // The lock is there before the name is, so nobody evicts the image before it was used. It needs a file
        // of its own: the writer must be closed before anyone can start the program.
        let reader = open(file.path()).map_err(|e| disk("open", file.path(), e))?;
        let reader = InUse::new(reader, &path);
        let meta = reader.0.metadata().map_err(|e| disk("look at", file.path(), e))?;
        let written = file.into_temp_path();
        written.persist(&path).map_err(|e| disk("write", &path, e.error))?;
        Ok((CachedImage { path, _in_use: Arc::new(reader) }, (meta.dev(), meta.ino())))
    }

    /// Evicts the least recently used images until `size` more bytes fit, and what dead processes left.
    fn make_room(&self, size: u64) -> Result<(), BackendError> {
        let dir = &self.dir;
        let (mut images, mut total) = (Vec::new(), 0_u64);
        for entry in fs::read_dir(dir).map_err(|e| disk("list", dir, e))? {
            let entry = entry.map_err(|e| disk("list", dir, e))?;
            // Gone since: another process evicts, too.
            let Ok(meta) = entry.metadata() else { continue };
            let used = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if name.starts_with(TEMPORARY) {
                if now().duration_since(used).is_ok_and(|age| age > LEFT_BEHIND) {
                    remove(&entry.path())?;
                }
            } else if name.parse::<ImageId>().is_ok() {
                total = total.saturating_add(meta.len());
                images.push((used, meta.len(), entry.path()));
            }
        }
        images.sort();
        for (_, len, path) in images {
            if total.saturating_add(size) <= self.max_bytes {
                return Ok(());
            }
            let Ok(file) = open(&path) else { continue };
            match file.try_lock() {
                Ok(()) => {
                    // Under the exclusive lock: nobody can begin to use it without noticing that it is gone.
                    remove(&path)?;
                    total = total.saturating_sub(len);
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => {
                    tracing::debug!(path = %path.display(), %error, "an image cannot be locked");
                }
            }
        }
        if total.saturating_add(size) > self.max_bytes {
            tracing::warn!(dir = %dir.display(), total, size, "images in use leave too little room in the cache");
        }
        Ok(())
    }
}

/// Starts a program of the cache, again and again while its file is busy; see the module's documentation.
///
/// Only that error is retried, for about half a second in all. Needs a tokio runtime with time enabled.
pub async fn retry_busy<T>(mut start: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut pause = Duration::from_millis(1);
    loop {
        match start() {
            Err(error)
                if error.kind() == io::ErrorKind::ExecutableFileBusy
                    && pause <= Duration::from_millis(256) =>
            {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            other => return other,
        }
    }
}

/// What file times are compared with and set to.
#[expect(clippy::disallowed_methods, reason = "times of files are wall times")]
fn now() -> SystemTime {
    SystemTime::now()
}

/// Opens a file to read, but not what a symbolic link leads to, and without waiting for the other end of a pipe.
fn open(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

/// Notes that an image was used now.
fn touch(file: &File, path: &Path) {
    if let Err(error) = file.set_modified(now()) {
        tracing::debug!(path = %path.display(), %error, "the time of an image's use cannot be noted");
    }
}

fn remove(path: &Path) -> Result<(), BackendError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(disk("remove", path, error)),
        _ => Ok(()),
    }
}

fn disk(action: &str, path: &Path, error: io::Error) -> BackendError {
    let message = format!("the image cache cannot {action} {}", path.display());
    let hint = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room there",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "give this user the right to write there"
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => "move away what is there",
        _ => return BackendError::new(ErrorClass::Misconfigured, message).with_source(error),
    };
    BackendError::new(ErrorClass::Misconfigured, message)
        .with_source(error)
        .with_hint(format!("{hint}, or set {} to another folder", rustwren_core::env::CACHE_DIR.name))
}

/// No code that holds these locks leaves things half done when it panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
