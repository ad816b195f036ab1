//! A place of its own for each function process, where jobs of several clients share a worker: a folder that is gone with
//! the process and, where this process may choose them, a user.
//!
//! A function process works in its folder, and what it keeps under `TMPDIR` and `HOME` is there as well. With a user of
//! its own it can neither enter the folders of others nor look into their memory or environment, whoever's code it runs;
//! and what it leaves in folders that are everybody's is found by its owner and removed. Without (a runtime that is not
//! root) the folder is kept closed by its mode alone, which holds off other users and no function process.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use rustwren_core::env;
use rustwren_core::image::ImageId;

/// The users, and the groups, of function processes: numbers that no system gives to anybody by itself and that even a
/// container with few numbers has.
const FIRST: u32 = 50_000;
const COUNT: u32 = 10_000;
/// Folders that everybody may write to.
const SHARED: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];
/// Of the folder of folders: others may pass, and not look.
const PASSABLE: u32 = 0o711;

/// Gives function processes places of their own. Cheap to clone; clones give from the same stock.
#[derive(Debug, Clone)]
pub struct Isolation(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    /// Whether each gets a user of its own.
    users: bool,
    next: AtomicU32,
}

impl Isolation {
    /// Places below this folder, which is made. Runtimes that share a machine share it, and so no two of them give the
    /// same user away. What a runtime that is gone has left there is removed.
    pub fn new(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        make_passable(&root)?;
        for entry in fs::read_dir(&root)? {
            let path = entry?.path();
            // Whoever uses it holds its lock.
            if File::open(&path).is_ok_and(|dir| dir.try_lock().is_ok()) {
                remove(&path, path.is_dir() && !path.is_symlink())?;
            }
        }
        let users = rustix::process::geteuid().is_root();
        // Not the numbers of the runtime before: something of it may have stayed somewhere.
        let next = AtomicU32::new(fastrand::u32(..COUNT));
        Ok(Self(Arc::new(Shared { root, users, next })))
    }

    /// Whether each process gets a user of its own.
    pub fn separates_users(&self) -> bool {
        self.0.users
    }

    /// Whether a process of this user is, or was started by, a function process.
    pub fn is_of_a_task(&self, user: u32) -> bool {
        self.0.users && (FIRST..FIRST + COUNT).contains(&user)
    }

    /// The group whose members may start this image.
    pub(crate) fn group(&self, image: ImageId) -> Option<u32> {
        let [a, b, ..] = image.0;
        self.0.users.then(|| FIRST + u32::from(u16::from_le_bytes([a, b])) % COUNT)
    }

    /// A place for one more process.
    pub(crate) fn place(&self, image: ImageId) -> io::Result<Private> {
        for _ in 0..COUNT {
            let number = FIRST + self.0.next.fetch_add(1, Ordering::Relaxed) % COUNT;
            let dir = self.0.root.join(number.to_string());
            match fs::DirBuilder::new().mode(0o700).create(&dir) {
                // That of a process which still is there.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made?,
            }
            let user = self.group(image).map(|group| (number, group));
            let in_use = File::open(&dir)?;
            in_use.lock()?;
            if fs::metadata(&dir).ok().map(|meta| meta.ino()) != Some(in_use.metadata()?.ino()) {
                // Another runtime that has just begun took it for one that is left over.
                continue;
            }
            let private = Private { dir, user, _in_use: in_use };
            if let Some((user, group)) = user {
                chown(&private.dir, Some(user), Some(group))?;
            }
            return Ok(private);
        }
        Err(io::Error::other("there are more function processes than users for them"))
    }
}

/// Makes a folder, and those above it that are missing, so that others can pass through it.
pub(crate) fn make_passable(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(PASSABLE).create(dir)?;
    // Whatever the umask.
    fs::set_permissions(dir, fs::Permissions::from_mode(PASSABLE))
}

/// The place of one process. It is emptied and given up with this value, when the process is gone.
#[derive(Debug)]
pub(crate) struct Private {
    dir: PathBuf,
    user: Option<(u32, u32)>,
    /// Held for its lock.
    _in_use: File,
}

impl Private {
    /// Has the process run there.
    pub(crate) fn set(&self, command: &mut Command) {
        command.current_dir(&self.dir).env_remove(env::CACHE_DIR.name).env(env::WORKER_DIR.name, &self.dir);
        for name in [env::HOME.name, "TMPDIR"] {
            command.env(name, &self.dir);
        }
        command.env_remove(env::XDG_CACHE_HOME.name).env_remove(env::XDG_CONFIG_HOME.name);
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
    }

    fn leave(&self) -> io::Result<()> {
        if let Some((user, _)) = self.user {
            end_all_of(user)?;
            for dir in SHARED {
                remove_all_of(user, Path::new(dir));
            }
        }
        fs::remove_dir_all(&self.dir)
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        if let Err(error) = self.leave() {
            tracing::warn!(dir = %self.dir.display(), %error, "the folder of a function process stays behind");
        }
    }
}

/// Ends what has left its process group.
fn end_all_of(user: u32) -> io::Result<()> {
    for entry in fs::read_dir("/proc")?.flatten() {
        let pid = entry.file_name().to_str().and_then(|name| Pid::from_raw(name.parse().ok()?));
        let Some(pid) = pid else { continue };
        // One that is gone by now needs no end.
        if entry.metadata().is_ok_and(|meta| meta.uid() == user)
            && let Err(error) = kill_process(pid, Signal::KILL)
            && error != rustix::io::Errno::SRCH
        {
            tracing::warn!(pid = pid.as_raw_nonzero(), %error, "a process that a task has left behind stays");
        }
    }
    Ok(())
}

fn remove(path: &Path, is_dir: bool) -> io::Result<()> {
    if is_dir { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

fn remove_all_of(user: u32, dir: &Path) {
    // A system may do without one of them.
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        // Of the entry itself, not of what a link leads to.
        let Ok(meta) = entry.metadata() else { continue };
        if meta.uid() != user {
            continue;
        }
        let path = entry.path();
        if let Err(error) = remove(&path, meta.is_dir()) {
            tracing::warn!(path = %path.display(), %error, "what a task has left behind stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_differ_and_go_with_all_that_is_in_them() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("private");
        fs::create_dir(&root).unwrap();
        fs::write(root.join("left by an earlier runtime"), "x").unwrap();
        let isolation = Isolation::new(&root).unwrap();
        let image = ImageId([1; 32]);
        let (one, two) = (isolation.place(image).unwrap(), isolation.place(image).unwrap());
        assert_ne!(one.dir, two.dir);
        fs::create_dir_all(one.dir.join("a/b")).unwrap();
        fs::write(one.dir.join("a/b/c"), "x").unwrap();
        assert_eq!(fs::metadata(&two.dir).unwrap().mode() & 0o777, 0o700);
        drop(one);
        let left: Vec<_> = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, std::slice::from_ref(&two.dir));
    }

    #[test]
    fn users_are_known_again() {
        let dir = tempfile::tempdir().unwrap();
        let isolation = Isolation::new(dir.path().join("private")).unwrap();
        let place = isolation.place(ImageId([1; 32])).unwrap();
        assert_eq!(isolation.separates_users(), rustix::process::geteuid().is_root());
        assert_eq!(place.user.is_some(), isolation.separates_users());
        assert!(place.user.is_none_or(|(user, _)| isolation.is_of_a_task(user)));
        assert!(!isolation.is_of_a_task(0) && !isolation.is_of_a_task(1000));
    }
}
