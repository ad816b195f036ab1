//! What the function's environment says: the storage, what tasks may see, how large things may be.

use std::path::Path;
use std::time::Duration;

use rustwren_core::config::{Config, LoadOptions};
use rustwren_core::env;
use rustwren_core::error::{BackendError, Error, ErrorClass, ErrorKind};
use rustwren_core::image::ImageId;
use rustwren_runtime::PoolOptions;
use rustwren_runtime::host::{Host, HostOptions};
use rustwren_runtime::image_cache::ImageCache;

use crate::backends;

/// The only folder that can be written.
const TMP: &str = "/tmp";
/// Memory that the supervisor needs for itself: its answers, and twice that for their envelope.
const OWN_MEMORY: u64 = 48 << 20;
/// Programs that keep a process. They share the worker's memory; jobs rarely take turns in one worker.
const WARM_IMAGES: usize = 2;

const LIFE_HINT: &str = "split it into smaller tasks, or raise `timeout` in [compute] of the configuration and run `rustwren setup`";

/// Fails where Lambda would have set what `lambda_runtime` relies on.
pub(super) fn check() -> Result<(), String> {
    let needed = [
        &env::AWS_LAMBDA_FUNCTION_NAME,
        &env::AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
        &env::AWS_LAMBDA_FUNCTION_VERSION,
    ];
    match needed.into_iter().find(|variable| variable.get().is_none()) {
        Some(missing) => Err(format!("{} is not set: is this AWS Lambda?", missing.name)),
        None => Ok(()),
    }
}

/// A host as the environment configures it.
pub(super) async fn host() -> Result<Host, BackendError> {
    let registry = backends::compiled_in();
    // Where [compute] is chosen to be something else, its keys are that one's.
    let options = LoadOptions::of_process().search(false).user_cache_dir(TMP).default_compute("aws");
    let config = Config::load(&registry, &options).map_err(misconfigured)?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let storage = registry.build_storage(config.storage()).await.map_err(misconfigured)?;
    let cache = config.cache_dir().map_err(misconfigured)?.to_owned();

    // Replaced by that of each invocation.
    let mut pool = PoolOptions::new(ImageId([0; 32]));
    // One invocation at a time has one process, which may have several threads.
    pool.workers = 1;
    pool.memory_limit = memory_limit();
    pool.life_hint = LIFE_HINT;
    if config.compute().backend() == Some("aws") {
        pool.pass_env = config.compute().get_list("pass_env").map_err(misconfigured)?;
    }
    pool.set = vec![(env::CACHE_DIR.name.into(), cache.clone().into())];
    let images = ImageCache::new(cache.join("unpacked"), image_bytes(&cache));
    // Between invocations nothing runs here, so nothing would sweep.
    let options = HostOptions { pool, images, warm_images: WARM_IMAGES, idle: Duration::MAX };
    Ok(Host::new(options, storage))
}

/// What a function process may take, so that one that needs too much is told so before Lambda ends the whole worker.
fn memory_limit() -> Option<u64> {
    let megabytes: u64 = env::AWS_LAMBDA_FUNCTION_MEMORY_SIZE.get()?.to_str()?.parse().ok()?;
    Some((megabytes << 20).saturating_sub(OWN_MEMORY)).filter(|&left| left > OWN_MEMORY / 2)
}

/// Half of what the disk holds; the rest is for tasks.
fn image_bytes(cache: &Path) -> u64 {
    let created = std::fs::create_dir_all(cache);
    let stat = created
        .map_err(|error| error.to_string())
        .and_then(|()| rustix::fs::statvfs(cache).map_err(|error| error.to_string()));
    match stat {
        Ok(stat) => stat.f_blocks.saturating_mul(stat.f_frsize) / 2,
        Err(error) => {
            tracing::warn!("{}: {error}", cache.display());
            256 << 20
        }
    }
}

/// An error of the configuration as the client is told it.
#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn misconfigured(error: Error) -> BackendError {
    let class = match error.kind() {
        ErrorKind::Config => ErrorClass::Misconfigured,
        ErrorKind::Denied => ErrorClass::Denied,
        _ => ErrorClass::Internal,
    };
    let told = BackendError::new(class, format!("the worker's configuration: {}", error.message()));
    match error.hint() {
        Some(hint) => told.with_hint(hint),
        None => told.with_hint("`rustwren setup` sets the function's environment"),
    }
}
