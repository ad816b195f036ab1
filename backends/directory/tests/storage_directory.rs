//! What directory storage promises beyond the contract of storages.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use proptest::prelude::*;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::storage::{Key, Storage, StorageExt};
use rustwren_directory::DirectoryStorage;

fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

fn open(root: &Path) -> DirectoryStorage {
    DirectoryStorage::open(root).unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Every path below a directory, sorted, without the root.
fn tree(root: &Path) -> Vec<PathBuf> {
    fn visit(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            found.push(entry.path());
            if entry.file_type().unwrap().is_dir() {
                visit(&entry.path(), found);
            }
        }
    }
    let mut found = Vec::new();
    visit(root, &mut found);
    let mut found: Vec<_> = found.iter().map(|path| path.strip_prefix(root).unwrap().to_owned()).collect();
    found.sort_unstable();
    found
}

fn temporary_files(root: &Path) -> usize {
    match fs::read_dir(root.join(".rustwren-tmp")) {
        Ok(entries) => entries.count(),
        Err(error) => panic!("no folder of temporary files: {error}"),
    }
}

async fn list(storage: &DirectoryStorage) -> Vec<String> {
    storage.list_all("").await.unwrap().iter().map(|object| object.key.to_string()).collect()
}

/// Every operation on one key, with its name, as far as it failed.
async fn failures(storage: &DirectoryStorage, key: &Key) -> Vec<(&'static str, BackendError)> {
    let data = Bytes::from_static(b"new");
    let results = [
        ("put", storage.put(key, data.clone()).await.map(|()| String::new())),
        ("put_if_absent", storage.put_if_absent(key, data).await.map(|outcome| format!("{outcome:?}"))),
        ("get", storage.get(key).await.map(|data| format!("{data:?}"))),
        ("get_range", storage.get_range(key, 0..1).await.map(|data| format!("{data:?}"))),
        ("head", storage.head(key).await.map(|meta| format!("{meta:?}"))),
        ("delete", storage.delete(key).await.map(|()| String::new())),
    ];
    results.into_iter().filter_map(|(name, result)| Some((name, result.err()?))).collect()
}

const ALL: [&str; 6] = ["put", "put_if_absent", "get", "get_range", "head", "delete"];

#[tokio::test]
async fn objects_are_files_with_the_names_of_their_keys() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("made/when/missing");
    let storage = open(&root);
    assert_eq!(storage.location(), format!("file://{}", fs::canonicalize(&root).unwrap().display()));
    storage.put(&key("jobs/j1/0.bin"), Bytes::from_static(b"data")).await.unwrap();
    storage.put(&key("jobs"), Bytes::new()).await.unwrap();
    assert_eq!(fs::read(root.join("jobs%/j1%/0.bin")).unwrap(), b"data");
    storage.delete(&key("jobs/j1/0.bin")).await.unwrap();
    assert_eq!(tree(&root), [".rustwren-tmp", "jobs"].map(PathBuf::from));
}

#[tokio::test]
async fn links_are_refused_whatever_the_operation() {
    let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(outside.path().join("secret"), "secret").unwrap();
    let storage = open(dir.path());
    symlink(outside.path(), dir.path().join("out%")).unwrap();
    symlink(outside.path().join("secret"), dir.path().join("link")).unwrap();
    // It leads nowhere, and could be made to lead somewhere by writing through it.
    symlink(outside.path().join("new"), dir.path().join("dangling")).unwrap();
    for name in ["out/secret", "out/new", "out/deep/new", "link", "dangling"] {
        let failed = failures(&storage, &key(name)).await;
        assert_eq!(failed.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ALL, "{name}");
        for (operation, error) in failed {
            assert_eq!(error.class(), ErrorClass::Denied, "{operation} {name}: {error}");
            assert!(error.hint().unwrap().contains("symbolic links"), "{operation} {name}: {error:?}");
        }
    }
    for prefix in ["", "out", "out/", "link", "d"] {
        assert_eq!(storage.list_all(prefix).await.unwrap_err().class(), ErrorClass::Denied, "{prefix}");
    }
    assert_eq!(storage.list_all("other").await.unwrap(), []);
    assert_eq!(fs::read(outside.path().join("secret")).unwrap(), b"secret");
    assert_eq!(tree(outside.path()), [Path::new("secret")]);
}

#[tokio::test]
async fn a_linked_folder_of_temporary_files_is_refused() {
    let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let storage = open(dir.path());
    symlink(outside.path(), dir.path().join(".rustwren-tmp")).unwrap();
    let error = storage.put(&key("k"), Bytes::new()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Denied);
    assert!(tree(outside.path()).is_empty());
}

#[tokio::test]
async fn the_root_itself_may_be_a_link() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("real")).unwrap();
    symlink("real", dir.path().join("link")).unwrap();
    let storage = open(&dir.path().join("link"));
    fs::remove_file(dir.path().join("link")).unwrap();
    storage.put(&key("k"), Bytes::from_static(b"v")).await.unwrap();
    assert_eq!(fs::read(dir.path().join("real/k")).unwrap(), b"v");
}

#[tokio::test]
async fn what_others_put_there_is_no_object_and_is_not_destroyed() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    for name in [".hidden", "a%2", "a%2E", "%", "file%"] {
        fs::write(root.join(name), "theirs").unwrap();
    }
    fs::create_dir_all(root.join("lost+found/x%")).unwrap();
    fs::create_dir(root.join("%+")).unwrap();
    let cut_elsewhere = root.join("sh%+");
    fs::create_dir(&cut_elsewhere).unwrap();
    fs::write(cut_elsewhere.join("ort"), "theirs").unwrap();
    let before = tree(root);
    let storage = open(root);
    assert_eq!(list(&storage).await, [""; 0]);
    for name in [".hidden", "lost+found", "lost+found/x", "file/k", "short"] {
        assert_eq!(storage.get_opt(&key(name)).await.unwrap(), None, "{name}");
        assert!(!storage.exists(&key(name)).await.unwrap(), "{name}");
        storage.delete(&key(name)).await.unwrap();
    }
    // A directory where an object should be, and a file where a directory should be.
    for name in ["lost+found", "file/k"] {
        let error = storage.put(&key(name), Bytes::new()).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Misconfigured, "{error}");
        let error = storage.put_if_absent(&key(name), Bytes::new()).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Misconfigured, "{error}");
        assert!(error.hint().unwrap().contains("in the way"), "{error:?}");
    }
    fs::remove_dir(root.join(".rustwren-tmp")).unwrap();
    assert_eq!(tree(root), before);
}

#[tokio::test]
async fn a_missing_root_is_no_missing_object() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let storage = open(&root);
    fs::remove_dir(&root).unwrap();
    let failed = failures(&storage, &key("k")).await;
    assert_eq!(failed.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ALL);
    for (operation, error) in failed {
        assert_eq!(error.class(), ErrorClass::Misconfigured, "{operation}: {error}");
        assert!(error.to_string().contains("is not there"), "{error}");
    }
    assert_eq!(storage.list_all("").await.unwrap_err().class(), ErrorClass::Misconfigured);
    fs::create_dir(&root).unwrap();
    storage.put(&key("k"), Bytes::new()).await.unwrap();

    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for bad in [file.clone(), file.join("below")] {
        assert_eq!(DirectoryStorage::open(bad).unwrap_err().class(), ErrorClass::Misconfigured);
    }
}

#[tokio::test]
async fn a_cancelled_write_does_not_come_later() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    for round in 0..50 {
        let key = key("d/k");
        let old = Bytes::from(vec![1; round << 12]);
        {
            let write = std::pin::pin!(storage.put(&key, old.clone()));
            // Starts it on its thread, and drops it there.
            assert!(futures_util::poll!(write).is_pending());
        }
        let seen = storage.get_opt(&key).await.unwrap();
        assert!(seen.is_none() || seen.as_ref() == Some(&old), "a part of a cancelled write shows");
        storage.put(&key, Bytes::from_static(b"new")).await.unwrap();
        for _ in 0..10 {
            assert_eq!(storage.get(&key).await.unwrap(), "new");
        }
        storage.delete(&key).await.unwrap();
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the dates of files are wall time")]
async fn leftovers_of_dead_writers_do_not_show_and_go_when_old() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    storage.put(&key("k"), Bytes::new()).await.unwrap();
    let folder = dir.path().join(".rustwren-tmp");
    let hour = Duration::from_hours(1);
    for (name, age) in [("1-old", hour * 25), ("1-fresh", hour * 23), ("1-new", Duration::ZERO)] {
        let file = fs::File::create(folder.join(name)).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    }
    assert_eq!(list(&storage).await, ["k"]);
    for prefix in [".", ".rustwren-tmp/", "%2E"] {
        assert_eq!(storage.list_all(prefix).await.unwrap(), []);
    }
    for name in [".rustwren-tmp/1-fresh", ".rustwren-tmp"] {
        assert_eq!(storage.get_opt(&key(name)).await.unwrap(), None);
    }
    let storage = open(dir.path());
    assert!(!folder.join("1-old").exists());
    assert!(folder.join("1-fresh").exists() && folder.join("1-new").exists());
    assert_eq!(list(&storage).await, ["k"]);
}

/// Runs as a user whom permissions bind, which the superuser is not.
fn without_privileges(test: impl FnOnce() + Send) {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let mut mine = capabilities(None).unwrap();
            mine.effective -=
                CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH | CapabilitySet::FOWNER;
            // This thread's alone, and those of the threads that its runtime starts.
            set_capabilities(None, mine).unwrap();
            test();
        });
        thread.join().unwrap();
    });
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_root_that_can_only_be_read_is_read_and_not_written() {
    let dir = tempfile::tempdir().unwrap();
    block_on(open(dir.path()).put(&key("d/k"), Bytes::from_static(b"v"))).unwrap();
    let before = tree(dir.path());
    for path in [".", "d%", ".rustwren-tmp"] {
        set_mode(&dir.path().join(path), 0o555);
    }
    without_privileges(|| {
        block_on(async {
            let storage = open(dir.path());
            assert_eq!(storage.get(&key("d/k")).await.unwrap(), "v");
            assert_eq!(list(&storage).await, ["d/k"]);
            for name in ["d/k", "d/new", "new", "new/new"] {
                for (operation, error) in failures(&storage, &key(name)).await {
                    let expected = match operation {
                        "put" | "put_if_absent" | "delete" => ErrorClass::Denied,
                        _ => ErrorClass::NotFound,
                    };
                    assert_eq!(error.class(), expected, "{operation} {name}: {error}");
                    assert_eq!(error.hint().is_some(), expected == ErrorClass::Denied);
                }
            }
            assert_eq!(storage.put(&key("d/k"), Bytes::new()).await.unwrap_err().class(), ErrorClass::Denied);
            assert_eq!(storage.delete(&key("d/k")).await.unwrap_err().class(), ErrorClass::Denied);
            assert_eq!(storage.get(&key("d/k")).await.unwrap(), "v");
        });
    });
    assert_eq!(tree(dir.path()), before);
    for path in [".", "d%", ".rustwren-tmp"] {
        set_mode(&dir.path().join(path), 0o755);
    }
}

#[test]
fn what_may_not_be_read_is_denied_and_not_missing() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    for name in ["file", "dir/k"] {
        block_on(storage.put(&key(name), Bytes::new())).unwrap();
    }
    set_mode(&dir.path().join("file"), 0o000);
    set_mode(&dir.path().join("dir%"), 0o000);
    without_privileges(|| {
        for name in ["file", "dir/k", "dir/other"] {
            assert_eq!(
                block_on(storage.get_opt(&key(name))).unwrap_err().class(),
                ErrorClass::Denied,
                "{name}"
            );
        }
        assert_eq!(block_on(storage.list_all("")).unwrap_err().class(), ErrorClass::Denied);
    });
    set_mode(&dir.path().join("dir%"), 0o755);
}

#[test]
fn a_failed_write_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    block_on(storage.put(&key("d/k"), Bytes::from_static(b"old"))).unwrap();
    let before = tree(dir.path());
    // Temporary files can be written, and then not be given their names.
    set_mode(&dir.path().join("d%"), 0o555);
    without_privileges(|| {
        let data = Bytes::from(vec![1; 1 << 20]);
        for name in ["d/k", "d/new", "d/new/new"] {
            assert_eq!(
                block_on(storage.put(&key(name), data.clone())).unwrap_err().class(),
                ErrorClass::Denied
            );
        }
        assert_eq!(
            block_on(storage.put_if_absent(&key("d/x"), data)).unwrap_err().class(),
            ErrorClass::Denied
        );
    });
    set_mode(&dir.path().join("d%"), 0o755);
    assert_eq!(block_on(storage.get(&key("d/k"))).unwrap(), "old");
    assert_eq!(tree(dir.path()), before);
    assert_eq!(temporary_files(dir.path()), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn sets_of_keys_come_back_in_order(
        names in prop::collection::btree_set("([.%+a \u{e9}\u{1f600}-]{1,4}/){0,3}([.%+2E5ab\u{4e2d}]{1,6}|[%.a\u{e9}]{120,400})", 1..20)
    ) {
        let names: Vec<String> = names.into_iter().filter(|name| Key::new(name.as_str()).is_ok()).collect();
        let dir = tempfile::tempdir().unwrap();
        let storage = open(dir.path());
        block_on(async {
            for name in &names {
                storage.put(&key(name), Bytes::from(name.clone())).await.unwrap();
            }
            prop_assert_eq!(&list(&storage).await, &names);
            for name in &names {
                prop_assert_eq!(storage.get(&key(name)).await.unwrap(), name.as_bytes());
                for end in (0..=name.len()).filter(|&end| name.is_char_boundary(end)).step_by(11) {
                    let listed = storage.list_all(&name[..end]).await.unwrap();
                    let expected = names.iter().filter(|other| other.starts_with(&name[..end]));
                    prop_assert!(listed.iter().map(|object| object.key.as_str()).eq(expected));
                }
            }
            storage.delete_prefix("").await.unwrap();
            Ok(())
        })?;
        prop_assert_eq!(tree(dir.path()), [Path::new(".rustwren-tmp")][..names.len().min(1)].to_vec());
    }
}
