//! Listing objects in the order of their keys.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::vec::IntoIter;

use rustix::fs::Dir;
use rustix::io::Errno;
use rustwren_core::storage::{Key, ObjectMeta, StorageResult};

use super::names::{self, Name};
use super::tree::{Tree, modified, stat_object, walk};

/// How many objects are looked up at a time.
const BATCH: usize = 512;

/// A walk over the tree that can stop after every batch. It keeps the names of the directories it is in (one
/// level of the tree each), and no open files.
#[derive(Debug)]
pub(super) struct Walk {
    tree: Arc<Tree>,
    prefix: String,
    /// The directory to begin with, and what the keys below it start with.
    start: Option<(Vec<String>, String)>,
    stack: Vec<Level>,
}

/// What is left to visit of one directory, with those that continue its long names.
#[derive(Debug)]
struct Level {
    dirs: Vec<String>,
    /// What the keys of its objects start with: empty, or ending with `/`.
    key: String,
    entries: IntoIter<Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    /// The part of the key; with a `/` if it is a directory, which makes the order of entries that of keys.
    part: String,
    /// Directories from the level's to where the name is.
    dirs: Vec<String>,
    name: String,
}

impl Walk {
    /// A walk that has yet to begin.
    pub(super) fn new(tree: Arc<Tree>, prefix: &str) -> Self {
        // It begins in the deepest directory that holds everything with this prefix.
        let start = match prefix.rfind('/') {
            None => Some((Vec::new(), String::new())),
            // No key can start with what is no key itself: then there is nothing to visit.
            Some(end) => {
                let dir = Key::new(&prefix[..end]).ok();
                dir.map(|dir| (names::directories_of(&dir), prefix[..=end].to_owned()))
            }
        };
        Self { tree, prefix: prefix.to_owned(), start, stack: Vec::new() }
    }

    /// The next objects; none at the end.
    pub(super) fn batch(&mut self) -> StorageResult<Vec<ObjectMeta>> {
        let root = self.tree.open_root()?;
        self.fill(&root)
            .map_err(|e| self.tree.fault(e, &format!("list the objects with prefix {:?}", self.prefix)))
    }

    fn fill(&mut self, root: &OwnedFd) -> Result<Vec<ObjectMeta>, Errno> {
        let mut found = Vec::new();
        if let Some((dirs, key)) = self.start.take() {
            self.stack.push(Level::read(root, dirs, key, &self.prefix)?);
        }
        while found.len() < BATCH
            && let Some(level) = self.stack.last_mut()
        {
            match level.visit(root, &mut found)? {
                Visited::Full => {}
                Visited::Done => {
                    self.stack.pop();
                }
                Visited::Directory(dirs, key) => {
                    let inner = Level::read(root, dirs, key, &self.prefix)?;
                    self.stack.push(inner);
                }
            }
        }
        Ok(found)
    }
}

/// Where a visit of a level stopped.
enum Visited {
    /// The batch is full.
    Full,
    /// Nothing is left.
    Done,
    /// This directory comes next, with the start of its keys.
    Directory(Vec<String>, String),
}

impl Level {
    /// Reads and sorts the names in a directory that lie on the way to keys with `prefix`.
    fn read(root: &OwnedFd, dirs: Vec<String>, key: String, prefix: &str) -> Result<Self, Errno> {
        // What the parts here must start with, or be the start of.
        let wanted = prefix.strip_prefix(key.as_str()).unwrap_or_default();
        let mut entries = Vec::new();
        if let Some(dir) = walk(root, &dirs)? {
            let mut unread = vec![Entry::default()];
            while let Some(place) = unread.pop() {
                let Some(dir) = walk(&dir, &place.dirs)? else {
                    continue;
                };
                for name in Dir::read_from(&dir)? {
                    let name = name?;
                    let Ok(name) = name.file_name().to_str() else {
                        continue;
                    };
                    place.sort_in(name, wanted, &mut entries, &mut unread);
                }
            }
        }
        entries.sort_unstable_by(|a, b| a.part.cmp(&b.part));
        Ok(Self { dirs, key, entries: entries.into_iter() })
    }

    /// Looks up objects until the batch is full or a directory comes next.
    fn visit(&mut self, root: &OwnedFd, found: &mut Vec<ObjectMeta>) -> Result<Visited, Errno> {
        // Opened for the first file: in a deep tree most directories hold only directories.
        let mut opened = None;
        while found.len() < BATCH {
            let Some(entry) = self.entries.next() else {
                return Ok(Visited::Done);
            };
            let key = format!("{}{}", self.key, entry.part);
            if entry.part.ends_with('/') {
                let mut dirs = self.dirs.clone();
                dirs.extend(entry.dirs);
                dirs.push(entry.name);
                return Ok(Visited::Directory(dirs, key));
            }
            let dir = match opened.take() {
                Some(dir) => dir,
                None => match walk(root, &self.dirs)? {
                    Some(dir) => dir,
                    // Whoever removed the directory had removed everything in it.
                    None => continue,
                },
            };
            let stat = match walk(&dir, &entry.dirs)? {
                Some(dir) => stat_object(&dir, entry.name.as_str())?,
                None => None,
            };
            opened = Some(dir);
            // A name can be ours in form and yet too long, below other names, to be of a key.
            if let (Some(stat), Ok(key)) = (stat, Key::new(key)) {
                let size = u64::try_from(stat.st_size).unwrap_or(0);
                found.push(ObjectMeta { key, size, modified: modified(&stat) });
            }
        }
        Ok(Visited::Full)
    }
}

impl Entry {
    /// Puts a name in this directory, whose names all continue `self.part`, where it belongs.
    fn sort_in(&self, name: &str, wanted: &str, entries: &mut Vec<Self>, unread: &mut Vec<Self>) {
        let Some(read) = names::read(name) else { return };
        let (Name::Object(piece) | Name::Directory(piece) | Name::Continued(piece)) = &read;
        let part = format!("{}{piece}", self.part);
        let on_the_way = |part: &str| part.starts_with(wanted) || wanted.starts_with(part);
        match read {
            Name::Continued(_) => {
                if on_the_way(&part) {
                    let dirs = [&self.dirs[..], &[name.to_owned()]].concat();
                    unread.push(Self { part, dirs, name: String::new() });
                }
            }
            Name::Object(_) => {
                if part.starts_with(wanted) && self.is_place_of(&part) {
                    entries.push(Self { part, dirs: self.dirs.clone(), name: name.to_owned() });
                }
            }
            Name::Directory(_) => {
                if self.is_place_of(&part) {
                    let part = part + "/";
                    if on_the_way(&part) {
                        entries.push(Self { part, dirs: self.dirs.clone(), name: name.to_owned() });
                    }
                }
            }
        }
    }

    /// Whether a part of a key would be written here: someone else may have cut a name in another place.
    fn is_place_of(&self, part: &str) -> bool {
        let pieces = names::pieces(part);
        let (_, above) = pieces.split_last().unwrap_or((&self.name, &[]));
        above.len() == self.dirs.len() && above.iter().zip(&self.dirs).all(|(a, b)| names::continued(a) == *b)
    }
}
