//! Warm function processes, by image. Those of one image never serve another.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::image::ImageId;
use rustwren_core::invoker::JobSpec;
use rustwren_core::storage::Storage;
use tokio::sync::{OnceCell, watch};

use super::jobs::Jobs;
use crate::image_cache::CachedImage;
use crate::options::{PoolOptions, Program};
use crate::pool::Pool;

/// An image and its processes. Whoever holds it keeps it warm.
#[derive(Debug)]
pub(super) struct Warm {
    image: ImageId,
    running: OnceCell<Running>,
    jobs: Jobs,
}

#[derive(Debug)]
struct Running {
    pool: Pool,
    /// Keeps the image from being evicted while processes are started from it.
    _image: CachedImage,
}

impl Warm {
    /// The pool. The first call fetches the image, and others wait for that.
    pub(super) async fn pool<F: Future<Output = Result<CachedImage, BackendError>>>(
        &self,
        fetch: impl FnOnce() -> F,
        options: &PoolOptions,
        storage: &Arc<dyn Storage>,
    ) -> Result<&Pool, BackendError> {
        let start = || async {
            let image = fetch().await?;
            let program = Program::Path(image.path().to_owned());
            let options = PoolOptions { image: self.image, program, ..options.clone() };
            let pool = Pool::new(options, Some(Arc::clone(storage)));
            Ok::<_, BackendError>(Running { pool, _image: image })
        };
        Ok(&self.running.get_or_try_init(start).await?.pool)
    }

    /// The job as the pool knows it.
    pub(super) fn job(&self, job: Arc<JobSpec>) -> Arc<JobSpec> {
        self.jobs.remember(job)
    }
}

/// The images that are warm.
#[derive(Debug)]
pub(super) struct Warms {
    most: usize,
    idle: Duration,
    state: Mutex<State>,
    winding_down: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    /// With when it was last asked for; the one asked for last at the end.
    warm: Vec<(Arc<Warm>, Instant)>,
}

impl State {
    /// Takes out those that nobody uses, oldest first, as long as this says so.
    fn evict(&mut self, mut goes: impl FnMut(usize, Instant) -> bool) -> Vec<Arc<Warm>> {
        let mut evicted = Vec::new();
        let mut at = 0;
        while let Some((warm, used)) = self.warm.get(at) {
            // Whoever uses it got it under the lock that is held here.
            if Arc::strong_count(warm) == 1 && goes(self.warm.len(), *used) {
                evicted.push(self.warm.remove(at).0);
            } else {
                at += 1;
            }
        }
        evicted
    }
}

impl Warms {
    pub(super) fn new(most: usize, idle: Duration) -> Self {
        let winding_down = watch::Sender::new(false);
        Self { most: most.max(1), idle, state: Mutex::default(), winding_down }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The image, which stays warm as long as what is returned lives.
    pub(super) fn of(&self, image: ImageId) -> Result<Arc<Warm>, BackendError> {
        let mut state = self.lock();
        if *self.winding_down.borrow() {
            return Err(ending());
        }
        let known = state.warm.iter().position(|(warm, _)| warm.image == image);
        let warm = match known {
            Some(at) => state.warm.remove(at).0,
            None => Arc::new(Warm { image, running: OnceCell::new(), jobs: Jobs::default() }),
        };
        state.warm.push((Arc::clone(&warm), Instant::now()));
        let evicted = state.evict(|count, _| count > self.most);
        drop(state);
        end(evicted);
        Ok(warm)
    }

    /// Ends those that were not asked for within the idle time.
    pub(super) fn expire(&self, now: Instant) {
        let evicted = self.lock().evict(|_, used| now.saturating_duration_since(used) >= self.idle);
        end(evicted);
    }

    pub(super) fn wind_down(&self, until: Instant) {
        let state = self.lock();
        self.winding_down.send_replace(true);
        for running in state.warm.iter().filter_map(|(warm, _)| warm.running.get()) {
            running.pool.wind_down(until);
        }
    }

    /// The error of whoever waits for an image when there is no more time for it.
    pub(super) async fn about_to_end(&self) -> BackendError {
        // The sender lives as long as this does.
        drop(self.winding_down.subscribe().wait_for(|ending| *ending).await);
        ending()
    }

    pub(super) fn clear(&self) {
        let warm = std::mem::take(&mut self.lock().warm);
        for running in warm.iter().filter_map(|(warm, _)| warm.running.get()) {
            running.pool.shutdown();
        }
    }
}

fn ending() -> BackendError {
    BackendError::new(ErrorClass::Transient, "the worker is about to end")
}

/// Ending processes waits until they are gone, which is not for a thread that has others to serve.
fn end(evicted: Vec<Arc<Warm>>) {
    if !evicted.is_empty() {
        drop(tokio::task::spawn_blocking(move || drop(evicted)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(warms: &Warms) -> Vec<u8> {
        warms.lock().warm.iter().map(|(warm, _)| warm.image.0[0]).collect()
    }

    fn image(byte: u8) -> ImageId {
        ImageId([byte; 32])
    }

    #[tokio::test]
    async fn the_image_that_was_not_used_longest_goes_first_and_none_in_use() {
        let warms = Warms::new(2, Duration::MAX);
        let held = warms.of(image(1)).unwrap();
        for byte in [2, 3, 2, 4] {
            warms.of(image(byte)).unwrap();
        }
        assert_eq!(images(&warms), [1, 4], "one is in use, and there is room for two");
        drop(held);
        let (five, six) = (warms.of(image(5)).unwrap(), warms.of(image(6)).unwrap());
        let seven = warms.of(image(7)).unwrap();
        assert_eq!(images(&warms), [5, 6, 7], "more than two, as all are in use");
        assert!(Arc::ptr_eq(&warms.of(image(5)).unwrap(), &five));
        drop((five, six, seven));
        warms.of(image(8)).unwrap();
        assert_eq!(images(&warms), [5, 8]);
    }

    #[tokio::test]
    async fn idle_images_expire() {
        let warms = Warms::new(2, Duration::from_secs(10));
        let held = warms.of(image(1)).unwrap();
        warms.of(image(2)).unwrap();
        warms.expire(Instant::now());
        assert_eq!(images(&warms), [1, 2]);
        warms.expire(Instant::now() + Duration::from_secs(11));
        assert_eq!(images(&warms), [1]);
        drop(held);
        warms.wind_down(Instant::now());
        assert_eq!(warms.of(image(1)).unwrap_err().class(), ErrorClass::Transient);
    }
}
