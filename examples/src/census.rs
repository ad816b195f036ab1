//! What is in the sources of a crate: lines, tests, `unsafe`.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde::{Deserialize, Serialize};
use syn::visit::{self, Visit};

/// A path as it travels: its bytes, for paths need not be UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawPath(Vec<u8>);

impl From<&Path> for RawPath {
    fn from(path: &Path) -> Self {
        Self(path.as_os_str().as_bytes().to_vec())
    }
}

impl From<RawPath> for PathBuf {
    fn from(path: RawPath) -> Self {
        OsString::from_vec(path.0).into()
    }
}

/// What was counted in one crate or in several together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Rust files read.
    pub files: u64,
    /// Files that could not be read or are not Rust; their tests and `unsafe` are not counted.
    pub unparsed: u64,
    /// Lines of all files that could be read.
    pub lines: u64,
    /// Functions with a `#[test]` attribute, `#[tokio::test]` and the like included.
    pub tests: u64,
    /// Blocks, functions, traits and impls that are `unsafe`.
    pub unsafes: u64,
}

impl Counts {
    /// Adds another crate's numbers.
    pub fn add(&mut self, other: &Self) {
        self.files += other.files;
        self.unparsed += other.unparsed;
        self.lines += other.lines;
        self.tests += other.tests;
        self.unsafes += other.unsafes;
    }
}

/// A crate's name and numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The folder's name: `serde-1.0.0`.
    pub name: String,
    /// What is in it.
    pub counts: Counts,
}

/// What is read of one packed crate, unpacked. More is no crate but a bomb.
const MOST_UNPACKED: u64 = 1 << 30;

/// The crates below this folder, in order: folders that hold a `Cargo.toml`, and packed `.crate` files. The folder
/// itself, its children or theirs: `registry/src` and `registry/cache` have their crates two levels down.
pub fn crates_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut level = vec![folder.to_owned()];
    for _ in 0..=2 {
        let mut next = Vec::new();
        for folder in level {
            if folder.join("Cargo.toml").is_file() {
                found.push(folder);
            } else {
                for entry in fs::read_dir(&folder)? {
                    let entry = entry?;
                    let (kind, path) = (entry.file_type()?, entry.path());
                    if kind.is_dir() {
                        next.push(path);
                    } else if kind.is_file() && path.extension().is_some_and(|e| e == "crate") {
                        found.push(path);
                    }
                }
            }
        }
        level = next;
    }
    found.sort();
    Ok(found)
}

/// Counts what is in one crate, a folder or a packed file. A file that cannot be read or parsed is counted as such
/// and is no error.
pub fn survey(path: RawPath) -> Report {
    let path = PathBuf::from(path);
    let (name, counts) = if path.is_file() {
        (path.file_stem(), File::open(&path).and_then(count_packed).unwrap_or_else(|_| unreadable()))
    } else {
        (path.file_name(), count_folder(path.clone()))
    };
    let name = name.map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy());
    Report { name: name.into_owned(), counts }
}

/// Counts what is in a `.crate` file, without unpacking it to the disk.
fn count_packed(file: impl Read) -> io::Result<Counts> {
    let mut counts = Counts::default();
    let mut archive = tar::Archive::new(GzDecoder::new(file).take(MOST_UNPACKED));
    for entry in archive.entries()? {
        // What was counted before the archive breaks off still counts.
        let Ok(mut entry) = entry else {
            counts.add(&unreadable());
            break;
        };
        let is_rust =
            Path::new(OsStr::from_bytes(&entry.path_bytes())).extension().is_some_and(|e| e == "rs");
        if is_rust && entry.header().entry_type().is_file() {
            let mut bytes = Vec::new();
            let read = entry.read_to_end(&mut bytes);
            counts.add(&read.map_or_else(|_| unreadable(), |_| count_bytes(bytes)));
        }
    }
    Ok(counts)
}

fn count_folder(folder: PathBuf) -> Counts {
    let mut counts = Counts::default();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            counts.unparsed += 1;
            continue;
        };
        for entry in entries {
            let Ok((kind, path)) = entry.and_then(|entry| Ok((entry.file_type()?, entry.path()))) else {
                counts.unparsed += 1;
                continue;
            };
            // Symbolic links are neither: following them could count twice, or for ever.
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() && path.extension().is_some_and(|e| e == "rs") {
                counts.add(&fs::read(&path).map_or_else(|_| unreadable(), count_bytes));
            }
        }
    }
    counts
}

fn unreadable() -> Counts {
    Counts { files: 1, unparsed: 1, ..Counts::default() }
}

fn count_bytes(bytes: Vec<u8>) -> Counts {
    String::from_utf8(bytes).map_or_else(|_| unreadable(), |text| count_text(&text))
}

/// Counts what is in one file's text.
pub fn count_text(text: &str) -> Counts {
    let mut counts = Counts { files: 1, lines: text.lines().count() as u64, ..Counts::default() };
    match syn::parse_file(text) {
        Ok(file) => Counter(&mut counts).visit_file(&file),
        Err(_) => counts.unparsed = 1,
    }
    counts
}

struct Counter<'a>(&'a mut Counts);

impl Counter<'_> {
    fn attributes(&mut self, attributes: &[syn::Attribute]) {
        let is_test = |a: &syn::Attribute| a.path().segments.last().is_some_and(|last| last.ident == "test");
        self.0.tests += u64::from(attributes.iter().any(is_test));
    }

    fn marked(&mut self, is_unsafe: bool) {
        self.0.unsafes += u64::from(is_unsafe);
    }
}

impl<'ast> Visit<'ast> for Counter<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.attributes(&item.attrs);
        visit::visit_item_fn(self, item);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.marked(signature.unsafety.is_some());
        visit::visit_signature(self, signature);
    }

    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        self.marked(true);
        visit::visit_expr_unsafe(self, block);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.marked(item.unsafety.is_some());
        visit::visit_item_impl(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.marked(item.unsafety.is_some());
        visit::visit_item_trait(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_and_unsafe_are_counted_where_they_are_code() {
        let text = "// unsafe { }\n\
                    const S: &str = \"unsafe fn\";\n\
                    unsafe fn f() { unsafe { g() } }\n\
                    unsafe impl Send for S {}\n\
                    unsafe trait T { unsafe fn m(); }\n\
                    mod tests {\n\
                        #[test] fn a() {}\n\
                        #[tokio::test] async fn b() { unsafe { h() } }\n\
                        fn c() {}\n\
                    }\n";
        let expected = Counts { files: 1, unparsed: 0, lines: 10, tests: 2, unsafes: 6 };
        assert_eq!(count_text(text), expected);
    }

    #[test]
    fn a_file_that_is_not_rust_is_counted_as_such() {
        assert_eq!(count_text("fn {"), Counts { files: 1, unparsed: 1, lines: 1, ..Counts::default() });
    }

    #[test]
    fn a_crate_is_surveyed_whatever_its_path() {
        let registry = tempfile::tempdir().unwrap();
        let odd = OsString::from_vec(b"caf\xe9-1.0.0".to_vec());
        let package = registry.path().join("index").join(odd);
        fs::create_dir_all(package.join("src/deep")).unwrap();
        fs::write(package.join("Cargo.toml"), "").unwrap();
        fs::write(package.join("src/lib.rs"), "fn f() {}\n").unwrap();
        fs::write(package.join("src/deep/latin.rs"), b"// caf\xe9\n").unwrap();
        fs::write(package.join("README.md"), "not Rust").unwrap();

        let found = crates_in(registry.path()).unwrap();
        assert_eq!(found, [package]);
        let report = survey(RawPath::from(&*found[0]));
        assert_eq!(report.counts, Counts { files: 2, unparsed: 1, lines: 1, tests: 0, unsafes: 0 });
        assert!(report.name.starts_with("caf"));
        assert!(crates_in(&registry.path().join("missing")).is_err());
    }

    #[test]
    fn a_packed_crate_counts_as_its_folder_does_and_a_broken_one_as_unreadable() {
        let registry = tempfile::tempdir().unwrap();
        let index = registry.path().join("index");
        fs::create_dir(&index).unwrap();
        let path = index.join("half-1.0.0.crate");
        let gzip = flate2::write::GzEncoder::new(File::create(&path).unwrap(), flate2::Compression::fast());
        let mut archive = tar::Builder::new(gzip);
        for (name, text) in [
            ("half-1.0.0/Cargo.toml", &b"[package]"[..]),
            ("half-1.0.0/src/lib.rs", b"unsafe fn f() {}\n#[test] fn t() {}\n"),
            ("half-1.0.0/src/latin.rs", b"// caf\xe9\n"),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            archive.append_data(&mut header, name, text).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap();

        let found = crates_in(registry.path()).unwrap();
        assert_eq!(found, std::slice::from_ref(&path));
        let report = survey(RawPath::from(&*path));
        assert_eq!(report.name, "half-1.0.0");
        assert_eq!(report.counts, Counts { files: 2, unparsed: 1, lines: 2, tests: 1, unsafes: 1 });

        let whole = fs::read(&path).unwrap();
        for broken in [&whole[..whole.len() / 2], b"no archive", b""] {
            fs::write(&path, broken).unwrap();
            let counts = survey(RawPath::from(&*path)).counts;
            assert!(counts.unparsed > 0 || counts.files == 0, "{counts:?}");
        }
    }
}
