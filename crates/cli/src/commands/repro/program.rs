//! Which program runs the task.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustwren::__cli::durable::Capsule;
use rustwren::__cli::entry::Target;
use rustwren::__cli::error::{BackendError, Error, ErrorClass, ErrorKind, Result};
use rustwren::__cli::image::{ImageId, ProgramImage, image_key, unpack_into, unpacked_size};

use super::Task;
use super::process::Ended;
use crate::place::Place;

/// No program unpacks to more.
const MAX_PROGRAM: u64 = 16 << 30;

/// A program that has the task's function.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) source: Source,
}

/// Where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// It is where the job was started, as it was then.
    Recorded,
    /// It was named, and is the same.
    Named,
    /// It was named, and is another build.
    AnotherBuild,
    /// It is what was uploaded for workers: without debug information.
    Uploaded,
}

/// Picks the program. `folder` is where one from storage is put.
pub(super) fn choose(place: &Place, task: &Task, named: Option<&Path>, folder: &Path) -> Result<Program> {
    let capsule = &task.capsule;
    let image = capsule.spec.entry.image;
    let cache = place.config.cache_dir().ok();
    if let Some(path) = named {
        let found = ProgramImage::from_file(path, cache).map_err(|error| {
            Error::new(ErrorKind::Config, "--program names no program").with_source(error)
        })?;
        let source = match &capsule.spec.entry.target {
            _ if found.id() == image => Source::Named,
            Target::Named { .. } => Source::AnotherBuild,
            Target::Offset { type_name, .. } => return Err(another_build(path, type_name)),
        };
        return Ok(Program { path: absolute(path), source });
    }
    let recorded = Path::new(&capsule.program);
    if ProgramImage::from_file(recorded, cache).is_ok_and(|found| found.id() == image) {
        return Ok(Program { path: recorded.to_owned(), source: Source::Recorded });
    }
    match fetch(place, image, recorded, folder)? {
        Some(path) => Ok(Program { path, source: Source::Uploaded }),
        None => Err(nowhere(capsule, recorded)),
    }
}

/// Relative to the working directory: a name without a slash would be looked for in `PATH`.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn another_build(path: &Path, function: &str) -> Error {
    let message = format!(
        "{} is not the program that the task failed in, and {function} is found in no other build: closures and plain \
         functions are known by their place in the program",
        path.display()
    );
    Error::new(ErrorKind::Incompatible, message).with_hint(
        "leave --program out, and the program is looked for where it was and in storage; a function marked #[remote] is \
         found in any build",
    )
}

fn nowhere(capsule: &Capsule, recorded: &Path) -> Error {
    let state = if recorded.exists() { "has changed since" } else { "is not here" };
    let message = format!(
        "the program of the task is nowhere to be found: {} {state}, and there is no copy of it in storage",
        recorded.display()
    );
    let hint = match &capsule.spec.entry.target {
        Target::Named { name, .. } => {
            format!("name a program that has the #[remote] function {name}: --program PATH")
        }
        Target::Offset { .. } => format!(
            "build it again as it was, and name it with --program PATH if it lies elsewhere (its image is {}); a \
             function marked #[remote] is found in any build",
            capsule.spec.entry.image
        ),
    };
    Error::new(ErrorKind::Incompatible, message).with_hint(hint)
}

/// The program that was uploaded, unpacked; `None` if there is none.
fn fetch(place: &Place, image: ImageId, recorded: &Path, folder: &Path) -> Result<Option<PathBuf>> {
    let packed = match place.block_on(place.store.storage().get(&image_key(image)?)) {
        Ok(packed) => packed,
        Err(error) if error.class() == ErrorClass::NotFound => return Ok(None),
        Err(error) => {
            return Err(Error::from(error).context("the task's program cannot be read from storage"));
        }
    };
    // In a folder of its own, with the name that people know it by.
    let name = recorded.file_name().unwrap_or("program".as_ref());
    let folder = folder.join(image.to_string());
    let path = folder.join(name);
    let failed = |error: std::io::Error| {
        Error::new(ErrorKind::Config, format!("the task's program cannot be written to {}", path.display()))
            .with_source(error)
    };
    fs::create_dir_all(&folder).map_err(failed)?;
    let size = unpacked_size(&packed).unwrap_or(MAX_PROGRAM).min(MAX_PROGRAM);
    let mut options = fs::OpenOptions::new();
    // An earlier one may be running: it keeps its file, this one is another.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut file = options.write(true).create_new(true).mode(0o700).open(&path).map_err(failed)?;
    unpack_into(&packed, image, size, &mut file).map_err(BackendError::from)?;
    file.flush().map_err(failed)?;
    Ok(Some(path))
}

/// The error of a program that has no such function, although it should.
pub(super) fn refused(program: &Program, why: &str) -> Error {
    let error =
        Error::new(ErrorKind::Incompatible, format!("{} cannot run the task: {why}", program.path.display()));
    match program.source {
        Source::AnotherBuild => {
            error.with_hint("was the function renamed? leave --program out to run the old build")
        }
        _ => error,
    }
}

/// The error of a program that ran something else.
pub(super) fn never_began(program: &Program, ended: &Ended) -> Error {
    let message = format!(
        "{} ended ({}) before it reached rustwren::init(), so it has not run the task",
        program.path.display(),
        ended.status
    );
    Error::new(ErrorKind::Incompatible, message).with_hint(
        "put #[rustwren::main] on its main, or call rustwren::init() as its first statement; a program that is built with \
         another version of RustWren needs that version's `rustwren` command",
    )
}
