//! How this process takes over a job that nobody drives.

use std::sync::Arc;

use async_trait::async_trait;

use super::order;
use super::program::{Program, upload};
use crate::config::Carried;
use crate::durable::{Manifest, Owner, Store};
use crate::error::Result;
use crate::image::{ImageId, ProgramImage};
use crate::invoker::JobSpec;
use crate::scheduler::Resources;
use crate::scheduler::follow::Takeover;
use crate::task::resolve;

/// As the driver of a job whose function this program has.
pub(super) struct Own {
    spec: Arc<JobSpec>,
    /// What the workers fetch, unless it is there for certain.
    image: Option<(Arc<ProgramImage>, Resources)>,
}

impl Own {
    /// The program is where the workers find it.
    pub(super) fn here(spec: JobSpec) -> Self {
        Self { spec: Arc::new(spec), image: None }
    }
}

#[async_trait]
impl Takeover for Own {
    async fn take_over(&self) -> Result<Option<Arc<JobSpec>>> {
        if let Some((image, resources)) = &self.image {
            upload(Arc::clone(image), &resources.storage).await?;
        }
        Ok(Some(Arc::clone(&self.spec)))
    }
}

/// By having the provider start the job's program.
pub(super) struct Other {
    pub(super) manifest: Manifest,
    pub(super) resources: Resources,
    pub(super) owner: Owner,
    pub(super) lease: std::time::Duration,
    pub(super) carried: Carried,
}

#[async_trait]
impl Takeover for Other {
    async fn take_over(&self) -> Result<Option<Arc<JobSpec>>> {
        let Self { manifest, resources, owner, lease, carried } = self;
        let store = Store::new(Arc::clone(&resources.storage), Arc::clone(&resources.clock));
        order::start_driver(&*resources.invoker, &store, manifest, carried, owner.clone(), *lease).await?;
        Ok(None)
    }
}

/// How a job that was made by a program, maybe another one, is taken over by this one: here, if this program has its
/// function, and otherwise by a process of that other program. A `#[remote]` function that has changed since counts as
/// the same.
pub(super) fn of_program(
    program: &Program,
    manifest: &Manifest,
    resources: &Resources,
    owner: &Owner,
    lease: std::time::Duration,
    carried: &Carried,
) -> Box<dyn Takeover> {
    let mut spec = manifest.spec();
    let image = program.image().ok().flatten().cloned();
    let own = image.as_ref().map_or(ImageId([0; 32]), |image| image.id());
    let has_it = own == manifest.image || (program.is_this() && resolve(&spec.entry, own).is_ok());
    if !has_it {
        return Box::new(Other {
            manifest: manifest.clone(),
            resources: resources.clone(),
            owner: owner.clone(),
            lease,
            carried: carried.clone(),
        });
    }
    spec.entry.image = own;
    Box::new(Own { spec: Arc::new(spec), image: image.map(|image| (image, resources.clone())) })
}
