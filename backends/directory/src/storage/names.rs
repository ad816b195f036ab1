//! How keys become names of files and directories, and names keys again.
//!
//! A key `a/b/c` is the file `a%/b%/c`: the parts before the last are directories, marked by a `%` at the end, so
//! that the objects `a` and `a/b` can lie side by side. Names look like the keys but for these rules:
//!
//! - `%` is written `%25`, so a bare `%` is always a mark and never part of a name.
//! - `.` at the start of a name is written `%2E`: no key can name `.`, `..`, a hidden file, or the folder of
//!   temporary files.
//! - Names are at most 128 bytes and a mark, which the strictest file systems take (eCryptfs: 143 bytes). A longer
//!   part is cut into pieces; all but the last are directories marked `%+`: `very-long-…%+/…-name`.
//!
//! Everything else, spaces, trailing dots and non-ASCII included, stands for itself, so the file system must tell
//! names apart by their bytes (ext4, XFS, Btrfs, tmpfs and overlayfs do; a case-insensitive one does not). A name that
//! these rules would not have made belongs to someone else and is no object.

use rustwren_core::storage::Key;

/// Marks a directory whose name ends a part of the key.
const PART: char = '%';
/// Follows [`PART`] when the part of the key goes on below the directory.
const CONTINUED: char = '+';
/// The longest name without its mark, in bytes.
const PIECE_BYTES: usize = 128;

/// Where an object lies below the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ObjectPath {
    /// The directories, outermost first.
    pub(super) dirs: Vec<String>,
    /// The file in the last of them.
    pub(super) file: String,
}

impl ObjectPath {
    /// The place of an object.
    pub(super) fn of(key: &Key) -> Self {
        let mut dirs = Vec::new();
        let mut rest = key.as_str();
        while let Some((part, after)) = rest.split_once('/') {
            push_directory(part, &mut dirs);
            rest = after;
        }
        let mut pieces = pieces(rest);
        let file = pieces.pop().unwrap_or_default();
        dirs.extend(pieces.iter().map(|piece| continued(piece)));
        Self { dirs, file }
    }
}

/// The directories that hold the objects whose keys start with `key/`, outermost first.
pub(super) fn directories_of(key: &Key) -> Vec<String> {
    let mut dirs = Vec::new();
    for part in key.as_str().split('/') {
        push_directory(part, &mut dirs);
    }
    dirs
}

fn push_directory(part: &str, dirs: &mut Vec<String>) {
    let pieces = pieces(part);
    let last = pieces.len() - 1;
    dirs.extend(
        pieces.iter().enumerate().map(
            |(i, piece)| {
                if i == last { format!("{piece}{PART}") } else { continued(piece) }
            },
        ),
    );
}

/// The directory in which a part goes on after this piece.
pub(super) fn continued(piece: &str) -> String {
    format!("{piece}{PART}{CONTINUED}")
}

/// One part of a key, escaped and cut: never empty, since no part of a key is.
pub(super) fn pieces(part: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut buffer = [0; 4];
    for c in part.chars() {
        let last = pieces.len() - 1;
        let plain = c.encode_utf8(&mut buffer);
        let mut written: &str = match c {
            '%' => "%25",
            '.' if pieces[last].is_empty() => "%2E",
            _ => plain,
        };
        if pieces[last].len() + written.len() > PIECE_BYTES {
            if c == '.' {
                written = "%2E";
            }
            pieces.push(written.to_owned());
        } else {
            pieces[last].push_str(written);
        }
    }
    pieces
}

/// What a name below the root stands for, with its piece of the key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// A file whose name ends the key.
    Object(String),
    /// A directory whose name ends a part.
    Directory(String),
    /// A directory in which the part goes on.
    Continued(String),
}

/// Reads a name; `None` if it is not one of ours.
pub(super) fn read(name: &str) -> Option<Name> {
    if let Some(piece) = name.strip_suffix(PART) {
        Some(Name::Directory(unescape(piece)?))
    } else if let Some(piece) = name.strip_suffix(CONTINUED).and_then(|rest| rest.strip_suffix(PART)) {
        Some(Name::Continued(unescape(piece)?))
    } else {
        Some(Name::Object(unescape(name)?))
    }
}

fn unescape(piece: &str) -> Option<String> {
    let (mut out, mut rest) = (String::with_capacity(piece.len()), piece);
    if let Some(after) = rest.strip_prefix("%2E") {
        out.push('.');
        rest = after;
    } else if rest.is_empty() || rest.starts_with('.') {
        return None;
    }
    while let Some((plain, after)) = rest.split_once('%') {
        out.push_str(plain);
        out.push('%');
        rest = after.strip_prefix("25")?;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(name: &str) -> String {
        let path = ObjectPath::of(&Key::new(name).unwrap());
        [&path.dirs[..], &[path.file]].concat().join("/")
    }

    #[test]
    fn names_look_like_their_keys() {
        assert_eq!(path("k"), "k");
        assert_eq!(path("jobs/j1/0.bin"), "jobs%/j1%/0.bin");
        assert_eq!(path("a b/ü./100%"), "a b%/ü.%/100%25");
        assert_eq!(path(".rustwren-tmp/x"), "%2Erustwren-tmp%/x");
        assert_eq!(path("%2E/k%+/a%"), "%252E%/k%25+%/a%25");
        let long = "x".repeat(130) + ".";
        assert_eq!(path(&long), format!("{}%+/xx.", "x".repeat(128)));
        assert_eq!(path(&format!("{}./b", "x".repeat(128))), format!("{}%+/%2E%/b", "x".repeat(128)));
    }

    #[test]
    fn names_of_others_are_not_read() {
        for name in [
            "",
            "%",
            "%+",
            ".",
            "..",
            ".hidden",
            ".rustwren-tmp",
            "a%2",
            "a%zz",
            "a%2E",
            "%2e",
            "a%%",
            "a%+%",
        ] {
            assert_eq!(read(name), None, "{name}");
        }
    }

    /// Reads a path back the way a listing does.
    fn key_of(path: &ObjectPath) -> Option<String> {
        let mut key = String::new();
        for name in path.dirs.iter().chain([&path.file]) {
            match read(name)? {
                Name::Continued(piece) | Name::Object(piece) => key += &piece,
                Name::Directory(piece) => key += &(piece + "/"),
            }
        }
        Some(key)
    }

    proptest! {
        #[test]
        fn keys_come_back(name in "([.%+a\u{e9}\u{1f600} ]{1,300}/){0,2}[.%+2E5ab\u{4e2d}]{1,300}") {
            if let Ok(key) = Key::new(name.as_str()) {
                let path = ObjectPath::of(&key);
                for name in path.dirs.iter().chain([&path.file]) {
                    prop_assert!(name.len() <= PIECE_BYTES + 2 && !name.starts_with('.') && !name.is_empty());
                }
                for dir in &path.dirs {
                    prop_assert!(matches!(read(dir), Some(Name::Directory(_) | Name::Continued(_))));
                }
                prop_assert!(matches!(read(&path.file), Some(Name::Object(_))));
                prop_assert_eq!(key_of(&path), Some(name));
            }
        }

        #[test]
        fn different_keys_have_different_paths(a in "[.%+25Ea/]{1,12}", b in "[.%+25Ea/]{1,12}") {
            if let (Ok(ka), Ok(kb)) = (Key::new(&a), Key::new(&b)) {
                prop_assert_eq!(a == b, ObjectPath::of(&ka) == ObjectPath::of(&kb));
            }
        }

        #[test]
        fn any_name_that_is_read_is_one_that_is_written(name in "[.%+25Ea]{1,8}") {
            if let Some(Name::Object(piece)) = read(&name) {
                prop_assert_eq!(pieces(&piece), vec![name]);
            }
        }
    }
}
