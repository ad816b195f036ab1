use std::ops::Range;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures_util::stream::{BoxStream, StreamExt};
use rustwren_core::image::image_key;
use rustwren_core::storage::{ObjectMeta, PutOutcome, StorageResult};

use super::*;

/// Storage of programs that counts what is fetched; other operations are refused.
#[derive(Debug, Default)]
struct Programs {
    objects: HashMap<String, Bytes>,
    fetched: AtomicUsize,
}

impl Programs {
    fn add(&mut self, program: &[u8]) -> ImageId {
        let id = hash_of(program).unwrap();
        self.put_as(id, program);
        id
    }

    /// Stores a program under the id of another.
    fn put_as(&mut self, id: ImageId, program: &[u8]) {
        let packed = zstd::bulk::compress(program, 3).unwrap();
        self.objects.insert(image_key(id).unwrap().to_string(), packed.into());
    }

    fn fetched(&self) -> usize {
        self.fetched.load(Ordering::SeqCst)
    }
}

fn refused<T>() -> StorageResult<T> {
    Err(BackendError::new(ErrorClass::Invalid, "not in this test"))
}

#[async_trait]
impl Storage for Programs {
    fn location(&self) -> String {
        "test".to_owned()
    }
    async fn put(&self, _: &Key, _: Bytes) -> StorageResult<()> {
        refused()
    }
    async fn put_if_absent(&self, _: &Key, _: Bytes) -> StorageResult<PutOutcome> {
        refused()
    }
    async fn get(&self, key: &Key) -> StorageResult<Bytes> {
        self.fetched.fetch_add(1, Ordering::SeqCst);
        // Lets every other call that wants to run do so before this one goes on.
        tokio::task::yield_now().await;
        let found = self.objects.get(key.as_str()).cloned();
        found.ok_or_else(|| BackendError::new(ErrorClass::NotFound, format!("no object {key}")))
    }
    async fn get_range(&self, _: &Key, _: Range<u64>) -> StorageResult<Bytes> {
        refused()
    }
    async fn head(&self, _: &Key) -> StorageResult<ObjectMeta> {
        refused()
    }
    fn list(&self, _: &str) -> BoxStream<'_, StorageResult<ObjectMeta>> {
        futures_util::stream::empty().boxed()
    }
    async fn delete(&self, _: &Key) -> StorageResult<()> {
        refused()
    }
}

const SCRIPT: &[u8] = b"#!/bin/sh\necho started\n";

async fn ensure(cache: &ImageCache, storage: &Programs, id: ImageId) -> Result<CachedImage, BackendError> {
    cache.ensure(storage, id, &image_key(id).unwrap()).await
}

fn cache(dir: &tempfile::TempDir, max_bytes: u64) -> ImageCache {
    ImageCache::new(dir.path().join("some/images"), max_bytes)
}

fn used_at(image: &Path, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    File::open(image).unwrap().set_modified(time).unwrap();
}

#[tokio::test]
async fn an_image_is_fetched_once_and_can_be_started() {
    let dir = tempfile::tempdir().unwrap();
    let mut storage = Programs::default();
    let id = storage.add(SCRIPT);
    let cache = cache(&dir, 1 << 20);
    let (a, b, c) = tokio::join!(
        ensure(&cache, &storage, id),
        ensure(&cache, &storage, id),
        ensure(&cache, &storage, id)
    );
    let image = a.unwrap();
    assert_eq!(image.path(), b.unwrap().path());
    assert_eq!(image.path(), c.unwrap().path());
    assert_eq!(storage.fetched(), 1);
    let out = retry_busy(|| Command::new(image.path()).output()).await.unwrap();
    assert_eq!(out.stdout, b"started\n");
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(image.path()), mode(image.path().parent().unwrap())), (0o700, 0o700));
    // Nothing is left beside it.
    assert_eq!(fs::read_dir(image.path().parent().unwrap()).unwrap().count(), 1);
}

#[tokio::test]
async fn another_process_verifies_and_uses_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut storage = Programs::default();
    let id = storage.add(SCRIPT);
    let path = ensure(&cache(&dir, 1 << 20), &storage, id).await.unwrap().path().to_owned();
    ensure(&cache(&dir, 1 << 20), &storage, id).await.unwrap();
    assert_eq!(storage.fetched(), 1);
    // Damaged: fetched again.
    fs::write(&path, b"#!/bin/sh\necho damaged\n").unwrap();
    ensure(&cache(&dir, 1 << 20), &storage, id).await.unwrap();
    assert_eq!((storage.fetched(), fs::read(&path).unwrap()), (2, SCRIPT.to_vec()));
}

#[tokio::test]
async fn a_file_that_took_a_verified_ones_place_is_verified_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut storage = Programs::default();
    let id = storage.add(SCRIPT);
    let cache = cache(&dir, 1 << 20);
    let image = ensure(&cache, &storage, id).await.unwrap();
    let other = dir.path().join("other");
    fs::write(&other, b"#!/bin/sh\necho other\n").unwrap();
    fs::set_permissions(&other, Permissions::from_mode(0o700)).unwrap();
    fs::rename(&other, image.path()).unwrap();
    let image = ensure(&cache, &storage, id).await.unwrap();
    assert_eq!((storage.fetched(), fs::read(image.path()).unwrap()), (2, SCRIPT.to_vec()));
}

#[tokio::test]
async fn what_others_could_have_written_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let mut storage = Programs::default();
    let id = storage.add(SCRIPT);
    let path = ensure(&cache(&dir, 1 << 20), &storage, id).await.unwrap().path().to_owned();
    // Right contents, but open to others.
    fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(path.parent().unwrap(), Permissions::from_mode(0o777)).unwrap();
    ensure(&cache(&dir, 1 << 20), &storage, id).await.unwrap();
    assert_eq!(storage.fetched(), 2);
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
    // A link to a right file somewhere else.
    let elsewhere = dir.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    symlink(&elsewhere, &path).unwrap();
    ensure(&cache(&dir, 1 << 20), &storage, id).await.unwrap();
    assert_eq!(storage.fetched(), 3);
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
    // Not executable.
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    ensure(&cache(&dir, 1 << 20), &storage, id).await.unwrap();
    assert_eq!(storage.fetched(), 4);
}

#[tokio::test]
async fn the_least_recently_used_is_evicted_but_none_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let mut storage = Programs::default();
    let ids = [1_u8, 2, 3, 4, 5].map(|n| storage.add(&[n; 100]));
    let cache = cache(&dir, 300);
    let mut images = Vec::new();
    for id in &ids[..3] {
        images.push(ensure(&cache, &storage, *id).await.unwrap());
    }
    let paths = ids.map(|id| dir.path().join("some/images").join(id.to_string()));
    for (seconds, path) in (1..).zip(&paths[..3]) {
        used_at(path, seconds);
    }
    // The oldest is in use: its neighbour goes.
    images.truncate(1);
    let fourth = ensure(&cache, &storage, ids[3]).await.unwrap();
    assert_eq!(paths.each_ref().map(|path| path.exists()), [true, false, true, true, false]);
    // A clone keeps it as well.
    let clone = images[0].clone();
    drop(images);
    drop(fourth);
    used_at(&paths[3], 4);
    ensure(&cache, &storage, ids[4]).await.unwrap();
    assert_eq!(paths.each_ref().map(|path| path.exists()), [true, false, false, true, true]);
    drop(clone);
    // An evicted one comes back, and the first is now the one to go.
    ensure(&cache, &storage, ids[1]).await.unwrap();
    assert_eq!(paths.each_ref().map(|path| path.exists()), [false, true, false, true, true]);
}

#[tokio::test]
async fn use_counts_as_recent() {
    let dir = tempfile::tempdir().unwrap();
    let mut storage = Programs::default();
    let ids = [1_u8, 2, 3].map(|n| storage.add(&[n; 100]));
    let cache = cache(&dir, 200);
    let path = |id: ImageId| dir.path().join("some/images").join(id.to_string());
    for (seconds, id) in (1..).zip([ids[0], ids[1]]) {
        ensure(&cache, &storage, id).await.unwrap();
        used_at(&path(id), seconds);
    }
    ensure(&cache, &storage, ids[0]).await.unwrap();
    ensure(&cache, &storage, ids[2]).await.unwrap();
    assert!(path(ids[0]).exists() && !path(ids[1]).exists());
}

#[tokio::test]
async fn images_in_use_do_not_stop_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut storage = Programs::default();
    let ids = [1_u8, 2].map(|n| storage.add(&[n; 100]));
    let cache = cache(&dir, 100);
    let first = ensure(&cache, &storage, ids[0]).await.unwrap();
    let second = ensure(&cache, &storage, ids[1]).await.unwrap();
    assert!(first.path().exists() && second.path().exists());
}

#[tokio::test]
async fn what_dead_processes_left_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let mut storage = Programs::default();
    let id = storage.add(SCRIPT);
    let folder = dir.path().join("some/images");
    fs::create_dir_all(&folder).unwrap();
    File::create(folder.join(".new-dead")).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    File::create(folder.join(".new-alive")).unwrap();
    ensure(&cache(&dir, 1 << 20), &storage, id).await.unwrap();
    assert!(!folder.join(".new-dead").exists() && folder.join(".new-alive").exists());
}

#[tokio::test]
async fn a_wrong_object_is_refused_and_nothing_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut storage = Programs::default();
    let cache = cache(&dir, 1 << 20);
    let id = ImageId([7; 32]);
    assert_eq!(ensure(&cache, &storage, id).await.unwrap_err().class(), ErrorClass::NotFound);
    storage.put_as(id, b"another program");
    assert_eq!(ensure(&cache, &storage, id).await.unwrap_err().class(), ErrorClass::Internal);
    storage.objects.insert(image_key(id).unwrap().to_string(), Bytes::from_static(b"nonsense"));
    assert_eq!(ensure(&cache, &storage, id).await.unwrap_err().class(), ErrorClass::Internal);
    assert_eq!(fs::read_dir(dir.path().join("some/images")).unwrap().count(), 0);
}

#[tokio::test]
async fn an_image_larger_than_the_cache_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut storage = Programs::default();
    let id = storage.add(&[0; 4096]);
    let error = ensure(&cache(&dir, 4095), &storage, id).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Misconfigured);
    assert!(error.to_string().contains("4096 bytes") && error.hint().is_some(), "{error}");
    ensure(&cache(&dir, 4096), &storage, id).await.unwrap();
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut storage = Programs::default();
    let id = storage.add(SCRIPT);
    let error = ensure(&ImageCache::new(file.path().join("images"), 100), &storage, id).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Misconfigured);
    assert!(error.to_string().contains(&*file.path().to_string_lossy()), "{error}");
    assert_eq!(storage.fetched(), 0);
}

#[tokio::test]
async fn a_busy_file_is_started_once_it_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let mut storage = Programs::default();
    let id = storage.add(SCRIPT);
    let image = ensure(&cache(&dir, 1 << 20), &storage, id).await.unwrap();
    let mut writer = Some(File::options().append(true).open(image.path()).unwrap());
    let mut busy = 0;
    let out = retry_busy(|| {
        let out = Command::new(image.path()).output();
        if out.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ExecutableFileBusy) {
            busy += 1;
            drop(writer.take());
        }
        out
    });
    assert_eq!(out.await.unwrap().stdout, b"started\n");
    assert!(busy >= 1);
    // Other errors are passed on at once.
    let mut tries = 0;
    let missing = retry_busy(|| {
        tries += 1;
        Command::new(dir.path().join("nothing")).output()
    });
    assert_eq!((missing.await.unwrap_err().kind(), tries), (io::ErrorKind::NotFound, 1));
}
