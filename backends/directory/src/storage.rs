//! Objects as files below a directory.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::storage::{Key, ObjectMeta, PutOutcome, Storage, StorageResult, cut_range};

mod errors;
mod gate;
mod list;
mod names;
mod temp;
mod tree;

use gate::Gate;
use list::Walk;
use tree::{Existing, Tree};

/// Temporary files older than this have no writer any more.
const OLD: Duration = Duration::from_hours(24);

/// A store of objects as files below a directory, for any number of processes at once, on this machine or over a
/// network file system.
///
/// The key `jobs/j1/0.bin` is the file `jobs%/j1%/0.bin` (the module `names` has the rules). The directory is
/// the storage's own: files that it did not write are no objects unless their names follow these rules, and
/// symbolic links below it are refused with [`Denied`](ErrorClass::Denied), wherever they lead.
///
/// A write goes to a temporary file in `.rustwren-tmp`, is synced to the disk and then gets its name in one
/// step, so that readers see whole objects only, and of racing
/// [`put_if_absent`](Storage::put_if_absent)s, of other processes too, exactly one creates the object. Once a
/// write has returned, the object survives a crash of the machine as far as the disk keeps what it has synced.
/// A write that is cancelled, by dropping its future, does nothing or everything, and nothing later.
///
/// A full disk or quota is [`Misconfigured`](ErrorClass::Misconfigured), since waiting does not mend it; a missing
/// or unmounted directory likewise, and never [`NotFound`](ErrorClass::NotFound). Methods must be called
/// inside a tokio runtime: the files are read and written on its blocking threads.
#[derive(Debug, Clone)]
pub struct DirectoryStorage {
    tree: Arc<Tree>,
}

impl DirectoryStorage {
    /// Opens the storage below `root`, making the directory if it is missing, and removes temporary files of
    /// writers that died more than a day ago. Blocks for a few system calls. A directory that can only be read
    /// can be opened; writes to it are [`Denied`](ErrorClass::Denied).
    pub fn open(root: impl Into<PathBuf>) -> StorageResult<Self> {
        let root = root.into();
        let failed = |error: std::io::Error| errors::root_fault(errors::errno(&error), &root);
        create_synced(&root).map_err(failed)?;
        // Later changes of the working directory, or of links on the way here, do not move the storage.
        let tree = Tree::new(fs::canonicalize(&root).map_err(failed)?);
        tree.open_root()?;
        if let Err(error) = tree.clean(OLD) {
            tracing::warn!(root = %tree.root().display(), %error, "old temporary files stay");
        }
        Ok(Self { tree: Arc::new(tree) })
    }

    /// The directory, as an absolute path without symbolic links.
    pub fn root(&self) -> &Path {
        self.tree.root()
    }

    async fn write(&self, key: &Key, data: Bytes, existing: Existing) -> StorageResult<PutOutcome> {
        let (tree, key) = (Arc::clone(&self.tree), key.clone());
        let (gate, _shut_on_drop) = Gate::new();
        blocking(move || tree.write(&key, &data, existing, &gate)).await
    }

    async fn read(&self, key: &Key, range: Option<Range<u64>>) -> StorageResult<Bytes> {
        let (tree, key) = (Arc::clone(&self.tree), key.clone());
        blocking(move || {
            let (mut file, metadata) = tree.read(&key)?;
            let range = match range {
                Some(range) => cut_range(&key, &range, metadata.len())?,
                None => 0..metadata.len(),
            };
            let len = range.end - range.start;
            let too_large = || {
                BackendError::new(
                    ErrorClass::Invalid,
                    format!("{len} bytes of object {key} do not fit in memory"),
                )
            };
            let mut data = Vec::new();
            data.try_reserve_exact(usize::try_from(len).map_err(|_| too_large())?)
                .map_err(|_| too_large())?;
            let read =
                file.seek(SeekFrom::Start(range.start)).and_then(|_| file.take(len).read_to_end(&mut data));
            read.map_err(|e| tree.fault(errors::errno(&e), &format!("read object {key}")))?;
            if data.len() as u64 != len {
                let message = format!("object {key} in {} was cut while it was read", tree.root().display());
                return Err(BackendError::new(ErrorClass::Internal, message)
                    .with_hint("nothing but this storage may write below its directory"));
            }
            Ok(Bytes::from(data))
        })
        .await
    }
}

#[async_trait]
impl Storage for DirectoryStorage {
    fn location(&self) -> String {
        format!("file://{}", self.tree.root().display())
    }

    async fn put(&self, key: &Key, data: Bytes) -> StorageResult<()> {
        self.write(key, data, Existing::Replace).await?;
        Ok(())
    }

    async fn put_if_absent(&self, key: &Key, data: Bytes) -> StorageResult<PutOutcome> {
        self.write(key, data, Existing::Keep).await
    }

    async fn get(&self, key: &Key) -> StorageResult<Bytes> {
        self.read(key, None).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> StorageResult<Bytes> {
        self.read(key, Some(range)).await
    }

    async fn head(&self, key: &Key) -> StorageResult<ObjectMeta> {
        let (tree, key) = (Arc::clone(&self.tree), key.clone());
        blocking(move || {
            let stat = tree.stat(&key)?;
            let size = u64::try_from(stat.st_size).unwrap_or(0);
            Ok(ObjectMeta { key, size, modified: tree::modified(&stat) })
        })
        .await
    }

    fn list(&self, prefix: &str) -> BoxStream<'_, StorageResult<ObjectMeta>> {
        stream::try_unfold(Walk::new(Arc::clone(&self.tree), prefix), |mut walk| async move {
            let (batch, walk) = blocking(move || Ok((walk.batch()?, walk))).await?;
            Ok::<_, BackendError>(
                (!batch.is_empty()).then(|| (stream::iter(batch.into_iter().map(Ok)), walk)),
            )
        })
        .try_flatten()
        .boxed()
    }

    async fn delete(&self, key: &Key) -> StorageResult<()> {
        let (tree, key) = (Arc::clone(&self.tree), key.clone());
        blocking(move || tree.delete(&key)).await
    }
}

/// Does file work on a thread that may wait.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> StorageResult<T> + Send + 'static,
) -> StorageResult<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_cancelled() => Err(BackendError::new(
            ErrorClass::Cancelled,
            "the runtime was shut down before the storage was asked",
        )),
        Err(error) => Err(BackendError::new(ErrorClass::Internal, "the storage panicked").with_source(error)),
    }
}

/// Makes a directory and those above it that are missing, so that they survive a crash.
fn create_synced(root: &Path) -> std::io::Result<()> {
    if root.is_dir() {
        return Ok(());
    }
    let root = std::path::absolute(root)?;
    let above: Vec<_> = root.ancestors().skip(1).collect();
    let there = above.iter().position(|dir| dir.is_dir()).unwrap_or(above.len());
    fs::create_dir_all(&root)?;
    for dir in above.iter().take(there + 1) {
        tree::sync_directory(fs::File::open(dir)?)?;
    }
    Ok(())
}
