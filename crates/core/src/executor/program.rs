//! The program whose functions an executor maps: its identity, and its image in storage where workers fetch it.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use tokio::sync::OnceCell;

use super::driver::Driver;
use crate::error::{Error, ErrorClass, ErrorKind, Result};
use crate::image::{ImageId, ProgramImage, check, image_key};
use crate::invoker::Limits;
use crate::storage::Storage;

/// Which program the workers run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ProgramSource {
    /// The one that is running now.
    #[default]
    ThisProgram,
    /// Another build of it, for workers on another kind of machine. Only its `#[remote]` functions are found there.
    File(PathBuf),
    /// A program that needs no finding: for invokers that run functions in this very process.
    InProcess,
}

/// A program on its way to workers, looked at and uploaded once.
#[derive(Debug)]
pub struct Program {
    source: ProgramSource,
    cache_dir: Option<PathBuf>,
    image: OnceLock<Arc<ProgramImage>>,
    uploaded: OnceCell<()>,
}

impl Program {
    pub(super) fn new(source: ProgramSource, cache_dir: Option<PathBuf>) -> Self {
        Self { source, cache_dir, image: OnceLock::new(), uploaded: OnceCell::new() }
    }

    /// The program's id, once workers can run it: checked against their platform, and uploaded if they fetch it, or if it
    /// is to be `stored` in any case, so that a job can go on when this program's file is gone.
    pub(super) async fn prepare(
        &self,
        limits: &Limits,
        storage: &Arc<dyn Storage>,
        driver: &Driver,
        stored: bool,
    ) -> Result<ImageId> {
        let Some(image) = self.image()? else {
            return Ok(ImageId([0; 32]));
        };
        if limits.ships_image {
            check(image.elf(), &limits.platform)?;
        }
        if limits.ships_image || stored {
            let uploading = || async {
                let (image, storage) = (Arc::clone(image), Arc::clone(storage));
                driver.run(async move { upload(image, &storage).await }).await?
            };
            self.uploaded.get_or_try_init(uploading).await?;
        }
        Ok(image.id())
    }

    /// The file it was found in, for people.
    pub(super) fn path(&self) -> String {
        match self.image() {
            Ok(Some(image)) => image.path().display().to_string(),
            Ok(None) | Err(_) => String::new(),
        }
    }

    /// Whether it is the one that is running.
    pub(super) fn is_this(&self) -> bool {
        self.source == ProgramSource::ThisProgram
    }

    /// The program itself; none where it needs no finding.
    pub(super) fn image(&self) -> Result<Option<&Arc<ProgramImage>>> {
        if let Some(image) = self.image.get() {
            return Ok(Some(image));
        }
        let image = match &self.source {
            ProgramSource::ThisProgram => ProgramImage::of_this_program(self.cache_dir.as_deref())?,
            ProgramSource::File(path) => ProgramImage::from_file(path, self.cache_dir.as_deref())?,
            ProgramSource::InProcess => return Ok(None),
        };
        Ok(Some(self.image.get_or_init(|| Arc::new(image))))
    }
}

/// Puts the program where workers find it. To be run on the driver's thread.
pub(super) async fn upload(image: Arc<ProgramImage>, storage: &Arc<dyn Storage>) -> Result<()> {
    let key = image_key(image.id())?;
    // Content decides the name: what is there is right.
    match storage.head(&key).await {
        Ok(_) => return Ok(()),
        Err(error) if error.class() == ErrorClass::NotFound => {}
        Err(error) => return Err(Error::from(error)),
    }
    let packed = tokio::task::spawn_blocking(move || image.packed()).await.map_err(|error| {
        Error::new(ErrorKind::Internal, "packing the program did not end well").with_source(error)
    })??;
    storage.put(&key, packed).await?;
    Ok(())
}
