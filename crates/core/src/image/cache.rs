//! What is remembered of programs between runs: ids, so that an unchanged executable is not hashed again, and
//! packed images, so that it is not compressed again.
//!
//! ```text
//! <folder>/programs/<stamp>     the id of the executable with this stamp
//! <folder>/images/<id>.zst      a packed image, with a checksum in a frame that zstd skips
//! ```
//!
//! Everything in here can be made anew: what is missing, damaged or unwritable costs time and is no error. Files
//! are written beside their place and renamed, so processes may race. Nothing is believed in a folder that
//! another user could write to.

use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use etcetera::BaseStrategy;

use super::ImageId;
use super::hash::Sha256;

/// How many packed images are kept, and how many bytes of them.
const MAX_IMAGES: usize = 20;
const MAX_IMAGE_BYTES: u64 = 1 << 30;
/// How many ids are kept. A debug build leaves one behind each time.
const MAX_PROGRAMS: usize = 200;
/// A temporary file older than this was left behind by a process that died.
const LEFT_BEHIND: Duration = Duration::from_hours(1);
/// Start of a frame that zstd skips, and the size of a SHA-256.
const TRAILER_HEAD: [u8; 8] = [0x50, 0x2a, 0x4d, 0x18, 32, 0, 0, 0];
const TRAILER: usize = TRAILER_HEAD.len() + 32;
const TEMPORARY: &str = ".new-";

/// The folder used when none is configured: `rustwren` in the user's cache folder, where the user has one.
pub fn default_cache_dir() -> Option<PathBuf> {
    Some(etcetera::choose_base_strategy().ok()?.cache_dir().join("rustwren"))
}

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let meta = file.metadata()?;
        Ok(Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }

    /// Whether a later change of the file is sure to change its stamp: its times are older than the grain of
    /// the file system's clock, which is a tick of the kernel, or seconds where there are no fractions.
    fn is_settled(&self, now: SystemTime) -> bool {
        let newest = self.modified.max(self.changed);
        let coarse = self.modified.1 == 0 && self.changed.1 == 0;
        let grain = Duration::from_millis(if coarse { 3000 } else { 20 });
        let (Ok(seconds), Ok(nanos)) = (u64::try_from(newest.0), u32::try_from(newest.1)) else {
            return false;
        };
        let newest = UNIX_EPOCH.checked_add(Duration::new(seconds, nanos.min(999_999_999)));
        newest.and_then(|newest| now.duration_since(newest).ok()).is_some_and(|age| age > grain)
    }

    fn name(&self) -> String {
        let Self { device, inode, size, modified, changed } = self;
        format!(
            "{device:x}-{inode:x}-{size:x}-{:x}.{:x}-{:x}.{:x}",
            modified.0, modified.1, changed.0, changed.1
        )
    }

    /// The whole text of the file that remembers the id: it is believed only if it is exactly this.
    fn record(&self, id: ImageId) -> String {
        let text = format!("rustwren program 1\n{}\n{id}\n", self.name());
        let sum = ImageId(Sha256::of(text.as_bytes()));
        format!("{text}{sum}\n")
    }
}

/// A cache folder.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    programs: PathBuf,
    images: PathBuf,
}

impl Cache {
    /// Opens and if need be makes the folder. `None` where it cannot be used.
    pub(super) fn open(folder: &Path) -> Option<Self> {
        let cache = Self { programs: folder.join("programs"), images: folder.join("images") };
        let made = own_folder(folder)
            .and_then(|()| own_folder(&cache.programs))
            .and_then(|()| own_folder(&cache.images));
        match made {
            Ok(()) => Some(cache),
            Err(error) => {
                tracing::debug!(folder = %folder.display(), %error, "working without a cache of images");
                None
            }
        }
    }

    /// The id of the executable with this stamp, if known.
    pub(super) fn id(&self, stamp: &Stamp) -> Option<ImageId> {
        let text = fs::read_to_string(self.programs.join(stamp.name())).ok()?;
        let id = text.lines().nth(2)?.parse().ok()?;
        (text == stamp.record(id)).then_some(id)
    }

    /// Remembers the id of an executable, unless it was changed so lately that its stamp means nothing.
    pub(super) fn put_id(&self, stamp: &Stamp, id: ImageId, now: SystemTime) {
        if !stamp.is_settled(now) {
            return;
        }
        let path = self.programs.join(stamp.name());
        log("an id", write(&path, &[stamp.record(id).as_bytes()]));
        log("old ids", prune(&self.programs, &path, MAX_PROGRAMS, u64::MAX, now));
    }

    /// A packed image, if it is here and undamaged.
    pub(super) fn packed(&self, id: ImageId) -> Option<Bytes> {
        let path = self.image_path(id);
        let mut bytes = fs::read(&path).ok()?;
        let body = bytes.len().checked_sub(TRAILER)?;
        let (packed, trailer) = bytes.split_at(body);
        let sound = trailer[..TRAILER_HEAD.len()] == TRAILER_HEAD
            && trailer[TRAILER_HEAD.len()..] == Sha256::of(packed);
        if !sound {
            tracing::debug!(path = %path.display(), "a packed image in the cache is damaged");
            return None;
        }
        // Used lately means worth keeping.
        let touched = File::open(&path).and_then(|file| file.set_modified(now()));
        log("the time of a packed image", touched);
        bytes.truncate(body);
        Some(bytes.into())
    }

    /// Keeps a packed image, and drops old ones.
    pub(super) fn put_packed(&self, id: ImageId, packed: &[u8], now: SystemTime) {
        let path = self.image_path(id);
        log("a packed image", write(&path, &[packed, &TRAILER_HEAD, &Sha256::of(packed)]));
        log("old packed images", prune(&self.images, &path, MAX_IMAGES, MAX_IMAGE_BYTES, now));
    }

    fn image_path(&self, id: ImageId) -> PathBuf {
        self.images.join(format!("{id}.zst"))
    }
}

/// What file times are compared with and set to.
#[expect(clippy::disallowed_methods, reason = "times of files are wall times")]
pub(super) fn now() -> SystemTime {
    SystemTime::now()
}

fn log(what: &str, result: io::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "{what} could not be written to the cache");
    }
}

/// Makes a folder for this user alone, or makes sure that an existing one can be written by nobody else.
fn own_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let meta = fs::metadata(path)?;
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user"));
    }
    if meta.mode() & 0o022 != 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "other users can write to it"));
    }
    Ok(())
}

/// Writes a file that is there whole or not at all.
fn write(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(folder)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.persist(path)?;
    Ok(())
}

/// Removes the oldest files of a folder until at most `count` files of `bytes` in all are left, and what dead
/// processes left behind. The file just written stays.
fn prune(folder: &Path, written: &Path, count: usize, bytes: u64, now: SystemTime) -> io::Result<()> {
    let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // Gone since: another process prunes, too.
        let Ok(meta) = fs::metadata(&path) else { continue };
        let modified = modified(&meta);
        if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(TEMPORARY.as_bytes())) {
            if now.duration_since(modified).is_ok_and(|age| age > LEFT_BEHIND) {
                remove(&path)?;
            }
        } else if meta.is_file() && path != written {
            files.push((modified, meta.len(), path));
        }
    }
    files.sort_by(|a, b| b.cmp(a));
    let (mut kept, mut total) = (1, fs::metadata(written).map_or(0, |meta| meta.len()));
    for (_, len, path) in files {
        if kept < count && total.saturating_add(len) <= bytes {
            kept += 1;
            total += len;
        } else {
            remove(&path)?;
        }
    }
    Ok(())
}

fn modified(meta: &Metadata) -> SystemTime {
    meta.modified().unwrap_or(UNIX_EPOCH)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn later() -> SystemTime {
        now() + Duration::from_secs(10)
    }

    fn cache() -> (tempfile::TempDir, Cache) {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(&dir.path().join("new/rustwren")).unwrap();
        (dir, cache)
    }

    fn stamp() -> Stamp {
        Stamp { device: 1, inode: 2, size: 3, modified: (1000, 5), changed: (1001, 6) }
    }

    #[test]
    fn an_id_is_remembered_for_its_stamp_only() {
        let (_dir, cache) = cache();
        let id = ImageId([7; 32]);
        assert_eq!(cache.id(&stamp()), None);
        cache.put_id(&stamp(), id, later());
        assert_eq!(cache.id(&stamp()), Some(id));
        for other in [
            Stamp { device: 9, ..stamp() },
            Stamp { inode: 9, ..stamp() },
            Stamp { size: 9, ..stamp() },
            Stamp { modified: (1000, 9), ..stamp() },
            Stamp { changed: (1001, 9), ..stamp() },
        ] {
            assert_eq!(cache.id(&other), None);
        }
    }

    #[test]
    fn a_damaged_id_is_not_believed() {
        let (_dir, cache) = cache();
        cache.put_id(&stamp(), ImageId([7; 32]), later());
        let path = cache.programs.join(stamp().name());
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert_eq!(cache.id(&stamp()), None, "byte {at}");
            fs::write(&path, &good[..at]).unwrap();
            assert_eq!(cache.id(&stamp()), None, "cut at {at}");
        }
        // And written anew.
        cache.put_id(&stamp(), ImageId([8; 32]), later());
        assert_eq!(cache.id(&stamp()), Some(ImageId([8; 32])));
    }

    #[test]
    fn a_fresh_file_is_not_remembered() {
        let (_dir, cache) = cache();
        let at = |millis| UNIX_EPOCH + Duration::from_millis(millis);
        cache.put_id(&stamp(), ImageId([7; 32]), at(1_001_015));
        assert_eq!(cache.id(&stamp()), None);
        cache.put_id(&stamp(), ImageId([7; 32]), at(1_001_100));
        assert!(cache.id(&stamp()).is_some());
        let coarse = Stamp { modified: (1000, 0), changed: (1001, 0), ..stamp() };
        cache.put_id(&coarse, ImageId([7; 32]), at(1_003_000));
        assert_eq!(cache.id(&coarse), None);
    }

    #[test]
    fn a_damaged_packed_image_is_not_used() {
        let (_dir, cache) = cache();
        let id = ImageId([7; 32]);
        let packed = zstd::bulk::compress(b"a program", 3).unwrap();
        assert_eq!(cache.packed(id), None);
        cache.put_packed(id, &packed, later());
        assert_eq!(cache.packed(id).unwrap(), packed);
        let path = cache.image_path(id);
        let good = fs::read(&path).unwrap();
        // The file is zstd all through, checksum included.
        assert_eq!(zstd::stream::decode_all(&good[..]).unwrap(), b"a program");
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert_eq!(cache.packed(id), None, "byte {at}");
        }
        fs::write(&path, b"").unwrap();
        assert_eq!(cache.packed(id), None);
    }

    #[test]
    fn old_images_are_dropped_and_temporary_files_of_the_dead() {
        let (_dir, cache) = cache();
        let now = later();
        for n in 0..25_u8 {
            cache.put_packed(ImageId([n; 32]), &[n], now);
            let file = File::open(cache.image_path(ImageId([n; 32]))).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(n.into())).unwrap();
        }
        let dead = cache.images.join(".new-dead");
        let alive = cache.images.join(".new-alive");
        fs::write(&alive, b"").unwrap();
        File::create(&dead).unwrap().set_modified(UNIX_EPOCH).unwrap();
        cache.put_packed(ImageId([99; 32]), &[99], now);
        assert!(!dead.exists() && alive.exists());
        assert_eq!(cache.packed(ImageId([5; 32])), None);
        assert!(cache.packed(ImageId([6; 32])).is_some());
        assert!(cache.packed(ImageId([99; 32])).is_some());
    }

    #[test]
    fn bytes_are_bounded_too_but_the_newest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = |n: u8| dir.path().join(n.to_string());
        for n in 0..4 {
            fs::write(path(n), [0; 10]).unwrap();
            File::open(path(n)).unwrap().set_modified(UNIX_EPOCH + Duration::from_secs(n.into())).unwrap();
        }
        prune(dir.path(), &path(0), 100, 25, later()).unwrap();
        assert_eq!([0, 1, 2, 3].map(|n| path(n).exists()), [true, false, false, true]);
        prune(dir.path(), &path(0), 100, 1, later()).unwrap();
        assert!(path(0).exists() && !path(3).exists());
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Cache::open(dir.path()).is_none());
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(Cache::open(dir.path()).is_some());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_no_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Cache::open(&file.path().join("below/a/file")).is_none());
    }
}
