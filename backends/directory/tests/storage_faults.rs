//! Directory storage on disks that are full, and in processes that have used up what they may have. Each test is a
//! program of its own, which is started with less.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]
#![expect(
    clippy::disallowed_methods,
    reason = "a variable between a test and itself, not one of the project's"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bytes::Bytes;
use rustwren_core::error::ErrorClass;
use rustwren_core::storage::{Key, Storage, StorageExt};
use rustwren_directory::DirectoryStorage;

/// Set for the programs that a test starts from its own.
const ROOT: &str = "RUSTWREN_TEST_STORAGE_ROOT";

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

fn root() -> Option<PathBuf> {
    std::env::var_os(ROOT).map(PathBuf::from)
}

/// Starts this test once more, as `"$@"` of a shell's script.
fn again(before: &[&str], script: &str, test: &str, root: &Path) -> std::io::Result<Output> {
    let command = [before, &["sh", "-c", script, "sh"]].concat();
    Command::new(command[0])
        .args(&command[1..])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ROOT, root)
        .output()
}

fn check(output: &Output) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("was here"), "the test itself has run: {}", text(&output.stdout));
}

/// Objects of 4 KiB until it fails: then nothing is left of the one that failed, the others can be read, and once
/// there is room again it goes on.
fn fill(root: &Path) {
    let storage = DirectoryStorage::open(root).unwrap();
    let data = Bytes::from(vec![7; 4096]);
    block_on(async {
        let mut written = Vec::new();
        let error = loop {
            let name = format!("full/{:06}", written.len());
            match storage.put(&key(&name), data.clone()).await {
                Ok(()) => written.push(name),
                Err(error) => break error,
            }
            assert!(written.len() < 1000, "it was to be full by now");
        };
        assert_eq!(error.class(), ErrorClass::Misconfigured);
        let text = error.to_string();
        let expected = format!("cannot write object full/{:06} in {}: ", written.len(), root.display());
        assert!(text.starts_with(&expected), "{text}");
        let hint = error.hint().unwrap();
        assert!(hint.contains("is full") || hint.contains("ulimit -f"), "{hint}");
        let absent = storage.put_if_absent(&key("full/absent"), data.clone()).await;
        assert_eq!(absent.unwrap_err().class(), ErrorClass::Misconfigured);
        let listed = storage.list_all("").await.unwrap();
        assert!(listed.iter().map(|object| object.key.as_str()).eq(written.iter().map(String::as_str)));
        assert_eq!(std::fs::read_dir(root.join(".rustwren-tmp")).unwrap().count(), 0);
        if hint.contains("is full") {
            for name in &written {
                assert_eq!(storage.get(&key(name)).await.unwrap(), data);
                storage.delete(&key(name)).await.unwrap();
            }
            storage.put(&key("again"), data.clone()).await.unwrap();
        }
    });
    println!("was here");
}

/// On a small file system of its own where this machine lets tests mount one, else with a limit on the size of files,
/// which ends a write in the same way.
#[test]
fn a_full_disk() {
    const TEST: &str = "a_full_disk";
    const MOUNT: &str =
        "mount -t tmpfs -o size=256k none \"$RUSTWREN_TEST_STORAGE_ROOT\" || exit 64; exec \"$@\"";
    const LIMIT: &str = "trap '' XFSZ; ulimit -f 0; exec \"$@\"";
    if let Some(root) = root() {
        return fill(&root);
    }
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    let output = again(&["unshare", "--user", "--map-root-user", "--mount"], MOUNT, TEST, &dir);
    let mounted = |output: &Output| {
        let refused = String::from_utf8_lossy(&output.stderr).contains("unshare failed");
        !refused && output.status.code() != Some(64)
    };
    match output {
        Ok(output) if mounted(&output) => check(&output),
        _ => check(&again(&[], LIMIT, TEST, &dir).unwrap()),
    }
}

#[test]
fn too_many_open_files() {
    const TEST: &str = "too_many_open_files";
    let Some(root) = root() else {
        let dir = tempfile::tempdir().unwrap();
        return check(
            &again(&[], "ulimit -n 32; exec \"$@\"", TEST, &dir.path().canonicalize().unwrap()).unwrap(),
        );
    };
    let storage = DirectoryStorage::open(&root).unwrap();
    block_on(async {
        storage.put(&key("d/k"), Bytes::from_static(b"v")).await.unwrap();
        let mut others = Vec::new();
        while let Ok(file) = std::fs::File::open("/dev/null") {
            others.push(file);
        }
        // From the first file that an operation opens to the last.
        while let Some(file) = others.pop() {
            drop(file);
            match storage.put(&key("d/new"), Bytes::from_static(b"v")).await {
                Ok(()) => break,
                Err(error) => {
                    assert_eq!(error.class(), ErrorClass::Transient, "{error}");
                    assert!(error.hint().unwrap().contains("ulimit -n"), "{error}");
                    assert!(error.to_string().contains(root.to_str().unwrap()), "{error}");
                }
            }
        }
        assert!(!others.is_empty(), "in the end it could be written");
        assert_eq!(storage.get(&key("d/new")).await.unwrap(), "v");
    });
    println!("was here");
}

#[test]
fn something_in_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    std::fs::write(dir.join("file"), "").unwrap();
    for bad in ["file", "file/below", "file/far/below"] {
        let error = DirectoryStorage::open(dir.join(bad)).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Misconfigured);
        let expected =
            format!("the storage directory {} is not a directory, or lies below", dir.join(bad).display());
        assert!(error.to_string().starts_with(&expected), "{error}");
        assert!(error.hint().unwrap().contains("in the way"), "{error}");
    }
    // Where nothing can be made, whoever one is.
    let error = DirectoryStorage::open("/proc/rustwren/storage").unwrap_err();
    assert!(matches!(error.class(), ErrorClass::Misconfigured | ErrorClass::Denied), "{error}");
    assert!(error.to_string().starts_with("the storage directory /proc/rustwren/storage "), "{error}");
    assert!(error.hint().is_some(), "{error}");
}
