//! Starting a driver for a job that nobody drives.

use std::sync::Arc;

use rustwren::__cli::durable::{Kind, Manifest};
use rustwren::__cli::error::{Error, ErrorKind, Result};
use rustwren::__cli::{registry, start_driver};

use crate::place::Place;

/// Has the provider start the job's program, from storage, as its driver.
pub(super) async fn start(place: &Place, manifest: &Manifest) -> Result<()> {
    if manifest.kind == Kind::Resume || manifest.inputs.is_none() {
        let message = format!("job {} has no stored inputs: its program brings them along", manifest.id);
        return Err(Error::new(ErrorKind::Config, message)
            .with_hint("run that program again: it goes on where it stopped"));
    }
    let storage = Arc::clone(place.store.storage());
    let invoker = registry().build_invoker(place.config.compute(), storage).await?;
    let (settings, lease) = (place.config.carried(), place.lease());
    let started = start_driver(&*invoker, &place.store, manifest, &settings, Place::owner(), lease).await;
    invoker.shutdown().await;
    started
}
