//! One program on its way to workers: what it is, its id, and its packed bytes when they are asked for.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::cache::{Cache, Stamp, now};
use super::pack::{self, DEFAULT_LEVEL};
use super::{ElfInfo, ImageId};
use crate::error::{Error, ErrorKind, Result};

/// How often a program that seems to change is read before it is given up.
const READS: usize = 4;

/// A program that can be shipped.
///
/// Making one reads the program once (milliseconds), or not at all when an earlier run left its id in the
/// cache folder. The file stays open: what is packed later is the very file that was hashed, whatever has taken
/// its place on disk since.
pub struct ProgramImage {
    path: PathBuf,
    elf: ElfInfo,
    id: ImageId,
    cache: Option<Cache>,
    state: Mutex<State>,
}

struct State {
    file: File,
    packed: Option<Bytes>,
}

impl ProgramImage {
    /// The program that is running. `cache_dir` is the folder to remember it in; `None` remembers nothing, and
    /// so does a folder that cannot be written.
    pub fn of_this_program(cache_dir: Option<&Path>) -> Result<Self> {
        // The running file itself, even if it was deleted or replaced on disk since.
        let running = if cfg!(target_os = "linux") { File::open("/proc/self/exe").ok() } else { None };
        let path = std::env::current_exe();
        if let Some(file) = running {
            return Self::of_file(file, path.unwrap_or_else(|_| "/proc/self/exe".into()), cache_dir);
        }
        let path = path.map_err(|error| {
            Error::new(ErrorKind::Config, "the running program's file cannot be found").with_source(error)
        })?;
        Self::of_file(pack::open(&path)?, path, cache_dir)
    }

    /// Another build of the program, as `[image] path` in the config names it.
    pub fn from_file(path: &Path, cache_dir: Option<&Path>) -> Result<Self> {
        let hint = "`path` under `[image]` in the config names the program to ship";
        let file = pack::open(path).map_err(|error| error.with_hint(hint))?;
        if !file.metadata().is_ok_and(|meta| meta.is_file()) {
            let message = format!("the program {} is not a file", path.display());
            return Err(Error::new(ErrorKind::Config, message).with_hint(hint));
        }
        Self::of_file(file, path.to_owned(), cache_dir)
    }

    fn of_file(mut file: File, path: PathBuf, cache_dir: Option<&Path>) -> Result<Self> {
        let unreadable = |error| pack::unreadable(&path, error);
        let elf = ElfInfo::of_file(&file)?;
        let stamp = Stamp::of(&file).map_err(unreadable)?;
        let cache = cache_dir.and_then(Cache::open);
        let known = cache.as_ref().and_then(|cache| cache.id(&stamp));
        let id = if let Some(id) = known {
            id
        } else {
            let read = read_settled(|| {
                let before = Stamp::of(&file)?;
                let id = pack::hash(&mut file)?;
                Ok((before, id, Stamp::of(&file)?))
            });
            let (stamp, id) = read.map_err(unreadable)?.ok_or_else(|| changed(&path))?;
            if let Some(cache) = &cache {
                cache.put_id(&stamp, id, now());
            }
            id
        };
        Ok(Self { path, elf, id, cache, state: Mutex::new(State { file, packed: None }) })
    }

    /// The SHA-256 of its shipped bytes.
    pub fn id(&self) -> ImageId {
        self.id
    }

    /// What it needs to run.
    pub fn elf(&self) -> &ElfInfo {
        &self.elf
    }

    /// Where it was found; for messages only, since another file may be there by now.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its packed bytes, for [`unpack`](super::unpack). Packed on first use unless the cache folder has them:
    /// about 10 ms for a megabyte, on the calling thread, so call it where blocking is allowed.
    pub fn packed(&self) -> Result<Bytes> {
        // A panic in here leaves the state as it was before: nothing packed.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(packed) = &state.packed {
            return Ok(packed.clone());
        }
        let kept = self.cache.as_ref().and_then(|cache| cache.packed(self.id));
        let packed = if let Some(packed) = kept {
            packed
        } else {
            let packed = pack::compress(&mut state.file, DEFAULT_LEVEL)
                .map_err(|error| pack::unreadable(&self.path, error))?;
            if packed.id != self.id {
                return Err(changed(&self.path));
            }
            if let Some(cache) = &self.cache {
                cache.put_packed(self.id, &packed.compressed, now());
            }
            packed.compressed
        };
        state.packed = Some(packed.clone());
        Ok(packed)
    }
}

/// Reads a file until it was not changed meanwhile: its stamp stayed, or it was read twice alike. Its stamp alone
/// changes when a cache of images notes that it was used, and that may happen often. `None` if it goes on changing.
fn read_settled(
    mut read: impl FnMut() -> std::io::Result<(Stamp, ImageId, Stamp)>,
) -> std::io::Result<Option<(Stamp, ImageId)>> {
    let mut last = None;
    for _ in 0..READS {
        let (before, id, after) = read()?;
        if before == after || last == Some(id) {
            // What it was before it was read: a change since then has another stamp.
            return Ok(Some((before, id)));
        }
        last = Some(id);
    }
    Ok(None)
}

fn changed(path: &Path) -> Error {
    Error::new(ErrorKind::Config, format!("the program {} changed while it was read", path.display()))
        .with_hint("wait until its build is done, then run this again")
}

impl fmt::Debug for ProgramImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgramImage").field("path", &self.path).field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::UNIX_EPOCH;

    use super::super::testing::{ElfSpec, small_elf, this_executable};
    use super::super::{strip, unpack};
    use super::*;

    fn other(fill: u8) -> Vec<u8> {
        small_elf(&ElfSpec { unloaded: Some((".mine", vec![fill; 1000])), ..ElfSpec::default() })
    }

    #[test]
    fn this_program_is_packed_and_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let first = ProgramImage::of_this_program(Some(dir.path())).unwrap();
        let packed = first.packed().unwrap();
        let stripped = strip(this_executable());
        assert_eq!(unpack(&packed, first.id(), stripped.len() as u64).unwrap(), *stripped);
        // What the second finds is the first's: a mark left in the cache comes back.
        let mark = zstd::bulk::compress(b"mark", 1).unwrap();
        Cache::open(dir.path()).unwrap().put_packed(first.id(), &mark, now());
        let second = ProgramImage::of_this_program(Some(dir.path())).unwrap();
        assert_eq!((second.id(), second.packed().unwrap()), (first.id(), mark.into()));
        assert_eq!(second.elf(), first.elf());
        // Without a cache the same, made anew.
        let third = ProgramImage::of_this_program(None).unwrap();
        assert_eq!((third.id(), third.packed().unwrap()), (first.id(), packed));
    }

    #[test]
    fn a_remembered_id_is_used_while_the_file_is_unchanged() {
        let dir = tempfile::tempdir().unwrap();
        let (path, cache_dir) = (dir.path().join("program"), dir.path().join("cache"));
        fs::write(&path, other(1)).unwrap();
        let id = || ProgramImage::from_file(&path, Some(&cache_dir)).unwrap().id();
        let real = id();
        // A false record shows whether records are read.
        let stamp = Stamp::of(&File::open(&path).unwrap()).unwrap();
        let later = now() + std::time::Duration::from_mins(1);
        Cache::open(&cache_dir).unwrap().put_id(&stamp, ImageId([9; 32]), later);
        assert_eq!(id(), ImageId([9; 32]));
        // The same size and modification time, but another state of the file.
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(dir.path().join("takes the inode"), b"").unwrap();
        fs::write(&path, other(2)).unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        assert!(id() != real && id() != ImageId([9; 32]));
    }

    #[test]
    fn what_is_packed_is_what_was_hashed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        fs::write(&path, other(1)).unwrap();
        let replaced = ProgramImage::from_file(&path, None).unwrap();
        // Replaced, as linkers do it: the old file is still at hand.
        fs::write(dir.path().join("new"), other(2)).unwrap();
        fs::rename(dir.path().join("new"), &path).unwrap();
        assert_eq!(unpack(&replaced.packed().unwrap(), replaced.id(), 10_000).unwrap(), other(1));
        // Overwritten in place: noticed.
        let image = ProgramImage::from_file(&path, None).unwrap();
        fs::write(&path, other(3)).unwrap();
        let error = image.packed().unwrap_err();
        assert!(error.to_string().contains("changed while it was read"), "{error}");
    }

    /// Image caches note a use by the file's time, and the programs in there read themselves to start nested jobs.
    #[test]
    fn a_program_that_is_touched_while_it_is_read_is_the_same_program() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        fs::write(&path, other(1)).unwrap();
        let mut file = File::open(&path).unwrap();
        let (mut reads, mut writes) = (0, 0);
        let mut read = |write: bool| {
            read_settled(|| {
                let before = Stamp::of(&file)?;
                let id = pack::hash(&mut file)?;
                reads += 1;
                file.set_modified(UNIX_EPOCH + std::time::Duration::from_secs(reads))?;
                if write {
                    writes += 1;
                    fs::write(&path, other(1 + writes))?;
                }
                Ok((before, id, Stamp::of(&file)?))
            })
            .unwrap()
        };
        let (stamp, id) = read(false).unwrap();
        assert_eq!(id, ProgramImage::from_file(&path, None).unwrap().id());
        // Its record is never taken for a later state of the file.
        assert_ne!(stamp, Stamp::of(&File::open(&path).unwrap()).unwrap());
        assert_eq!(read(true), None);
        assert_eq!((reads, writes), (2 + READS as u64, READS as u8));
    }

    #[test]
    fn an_unusable_cache_folder_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        fs::write(&path, other(1)).unwrap();
        File::open(&path).unwrap().set_modified(UNIX_EPOCH).unwrap();
        let image = ProgramImage::from_file(&path, Some(&path.join("cache"))).unwrap();
        assert_eq!(unpack(&image.packed().unwrap(), image.id(), 10_000).unwrap(), other(1));
    }

    #[test]
    fn a_wrong_path_says_where_it_comes_from() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().to_owned(), dir.path().join("nothing")] {
            let error = ProgramImage::from_file(&path, None).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains("[image]"), "{error}");
        }
    }
}
