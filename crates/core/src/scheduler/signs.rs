//! Signs of life of a job that has something in storage.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::durable::{Heart, JobId, Owner, Store};
use crate::error::{BackendError, Error, ErrorClass, ErrorKind};
use crate::image::ImageId;

/// Gives signs of life for a job from before the first object that is stored of it, so that nobody takes the object
/// for a dead job's. Most jobs store nothing, and give none. Clones belong to the same job.
#[derive(Clone)]
pub struct Signs {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    id: JobId,
    owner: Owner,
    lease: Duration,
    image: ImageId,
    heart: OnceCell<Arc<Heart>>,
}

impl fmt::Debug for Signs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signs").field("job", &self.inner.id).finish_non_exhaustive()
    }
}

impl Signs {
    /// None are given yet. `owner` is this process; a sign holds for `lease`.
    pub fn new(store: &Store, id: JobId, owner: Owner, lease: Duration, image: ImageId) -> Self {
        let inner = Inner { store: store.clone(), id, owner, lease, image, heart: OnceCell::new() };
        Self { inner: Arc::new(inner) }
    }

    /// They are given already.
    pub(super) fn of(store: &Store, heart: &Arc<Heart>, image: ImageId) -> Self {
        let (id, owner, lease) = (heart.id().clone(), heart.owner().clone(), heart.lease());
        let heart = OnceCell::new_with(Some(Arc::clone(heart)));
        Self { inner: Arc::new(Inner { store: store.clone(), id, owner, lease, image, heart }) }
    }

    /// The job.
    pub fn id(&self) -> &JobId {
        &self.inner.id
    }

    /// Where they are given.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Gives the first one, unless it was given. Whoever stores an object waits for this first.
    pub async fn given(&self) -> Result<&Arc<Heart>, Error> {
        let Inner { store, id, owner, lease, image, heart } = &*self.inner;
        heart.get_or_try_init(|| Heart::start(store, id, owner.clone(), *lease, Some(*image))).await
    }

    /// The signs, if any were given.
    pub(super) fn started(&self) -> Option<&Arc<Heart>> {
        self.inner.heart.get()
    }
}

/// An error of what is stored for a job, as one of the storage itself.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(super) fn as_backend(error: Error) -> BackendError {
    let class = match error.kind() {
        ErrorKind::Unavailable => ErrorClass::Transient,
        ErrorKind::Denied => ErrorClass::Denied,
        ErrorKind::Config | ErrorKind::Incompatible => ErrorClass::Misconfigured,
        ErrorKind::Cancelled => ErrorClass::Cancelled,
        _ => ErrorClass::Internal,
    };
    BackendError::new(class, error.message()).with_optional_hint(error.hint())
}
