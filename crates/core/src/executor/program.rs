//! The program whose functions an executor maps: its identity, and its image in storage where workers fetch it.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};

use tokio::sync::OnceCell;

use super::driver::Driver;
use crate::entry::{Entry, Target};
use crate::error::{Error, ErrorClass, ErrorKind, Result};
use crate::image::{ImageId, ProgramImage, check, image_key};
use crate::invoker::Limits;
use crate::storage::Storage;
use crate::task::Described;

/// Which program the workers run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ProgramSource {
    /// The one that is running now.
    #[default]
    ThisProgram,
    /// Another build of it, for workers on another kind of machine. Only its `#[remote]` functions are found there.
    File(PathBuf),
    /// The same, made by a command before the first job.
    Built {
        /// The command's program and its arguments. It is run in the current folder, and must end with 0.
        command: Vec<String>,
        /// Where it puts the program.
        path: PathBuf,
    },
    /// A program that needs no finding: for invokers that run functions in this very process.
    InProcess,
}

/// A program on its way to workers, looked at and uploaded once.
#[derive(Debug)]
pub struct Program {
    source: ProgramSource,
    cache_dir: Option<PathBuf>,
    built: OnceCell<()>,
    image: OnceLock<Arc<ProgramImage>>,
    uploaded: OnceCell<()>,
}

impl Program {
    pub(super) fn new(source: ProgramSource, cache_dir: Option<PathBuf>) -> Self {
        Self { source, cache_dir, built: OnceCell::new(), image: OnceLock::new(), uploaded: OnceCell::new() }
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
        if let ProgramSource::Built { command, .. } = &self.source {
            let building = || async {
                let command = command.clone();
                driver.run(async move { build(command).await }).await?
            };
            self.built.get_or_try_init(building).await?;
        }
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

    /// The entry under which workers find a function in this image, which is the program's. In another build than this one
    /// nothing is where it is here.
    pub(super) fn entry(&self, described: &Described, image: ImageId) -> Result<Entry> {
        let entry = described.entry(image);
        let path = match &self.source {
            ProgramSource::File(path) | ProgramSource::Built { path, .. } => path,
            ProgramSource::ThisProgram | ProgramSource::InProcess => return Ok(entry),
        };
        let Target::Offset { type_name, .. } = &entry.target else { return Ok(entry) };
        let message = format!("{type_name} is not found in {}, which the workers run", path.display());
        Err(Error::new(ErrorKind::Incompatible, message).with_hint(
            "in another build than the program that starts the job only functions marked #[remote] are found: mark it, or leave \
             out `path` under `[image]` in the config where the workers can run this program",
        ))
    }

    /// The file it was found in, for people.
    pub(super) fn path(&self) -> String {
        match (&self.source, self.image()) {
            (ProgramSource::File(path) | ProgramSource::Built { path, .. }, _) => path.display().to_string(),
            (_, Ok(Some(image))) => image.path().display().to_string(),
            (_, Ok(None) | Err(_)) => String::new(),
        }
    }

    /// Whether it is the one that is running.
    pub(super) fn is_this(&self) -> bool {
        self.source == ProgramSource::ThisProgram
    }

    /// The program itself; none where it needs no finding. An error as long as it is not built.
    pub(super) fn image(&self) -> Result<Option<&Arc<ProgramImage>>> {
        if let Some(image) = self.image.get() {
            return Ok(Some(image));
        }
        let image = match &self.source {
            ProgramSource::ThisProgram => ProgramImage::of_this_program(self.cache_dir.as_deref())?,
            ProgramSource::Built { .. } if !self.built.initialized() => {
                return Err(Error::new(ErrorKind::Internal, "the program has not been built yet"));
            }
            ProgramSource::File(path) | ProgramSource::Built { path, .. } => {
                ProgramImage::from_file(path, self.cache_dir.as_deref())?
            }
            ProgramSource::InProcess => return Ok(None),
        };
        Ok(Some(self.image.get_or_init(|| Arc::new(image))))
    }
}

/// Runs the command that builds the program; what it says is for whoever started this one. To be run on the driver's
/// thread.
async fn build(command: Vec<String>) -> Result<()> {
    let said = command.join(" ");
    let failed = |how: String| {
        Error::new(ErrorKind::Config, format!("the program for the workers cannot be built: `{said}` {how}"))
            .with_hint(
                "`command` under `[image]` in the config builds it; run it by hand to see what is wrong",
            )
    };
    let running = tokio::task::spawn_blocking(move || {
        let (program, arguments) = command.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
        // Nothing of its output belongs among this program's results.
        Command::new(program).args(arguments).stdin(Stdio::null()).stdout(std::io::stderr()).status()
    });
    let status = running.await.map_err(|error| failed("did not end well".to_owned()).with_source(error))?;
    let status = status.map_err(|error| failed(format!("cannot be started: {error}")))?;
    if status.success() { Ok(()) } else { Err(failed(format!("ended with {status}"))) }
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
