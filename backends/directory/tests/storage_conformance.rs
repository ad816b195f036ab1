//! Directory storage keeps the contract of storages.

use std::sync::Arc;

use rustwren_directory::DirectoryStorage;
use rustwren_testkit::storage_suite::run_all;

#[tokio::test]
async fn a_directory_keeps_the_contract() {
    let root = tempfile::tempdir().unwrap();
    run_all(Arc::new(DirectoryStorage::open(root.path()).unwrap()), &[]).await;
    // Nothing but the folder of temporary files is left, and nothing in that.
    let names = |dir: &std::path::Path| -> Vec<_> {
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    };
    assert_eq!(names(root.path()), [".rustwren-tmp"]);
    assert!(names(&root.path().join(".rustwren-tmp")).is_empty());
}
