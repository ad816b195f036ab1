//! The file with the function key, which lets calls in. The key is shown nowhere.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind as Io, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;

use async_trait::async_trait;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::course::{Patience, Planned, Removal, Resource};
use rustwren_core::provision::{Change, Step};

use super::arm::{Api, Request};
use super::place::Place;
use super::refusal::Refusal;

const KIND: &str = "function key";
/// The name of the key that every host has.
const DEFAULT: &str = "default";
/// Keys of Azure's have 56 characters; those of other makers may have more, whole files more than that.
const LONGEST: u64 = 1000;

#[derive(Debug)]
pub(super) struct Key {
    pub(super) file: PathBuf,
}

impl Key {
    /// What is in the file; none where there is none.
    fn read(&self) -> Result<Option<String>> {
        let shown = self.file.display();
        let unreadable = |error| {
            Error::new(ErrorKind::Config, format!("the {KIND} in {shown} cannot be read")).with_source(error)
        };
        match fs::metadata(&self.file) {
            Err(error) if error.kind() == Io::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error)),
            Ok(found) if !found.is_file() || found.len() > LONGEST => return Err(self.other()),
            Ok(_) => {}
        }
        let text = fs::read_to_string(&self.file).map_err(unreadable)?;
        let text = text.trim();
        if text.contains(|c: char| !c.is_ascii_graphic()) {
            return Err(self.other());
        }
        Ok(Some(text.to_owned()))
    }

    /// The file is somebody's who would not want it changed.
    fn other(&self) -> Error {
        let message = format!("{} holds something else than a function key", self.file.display());
        Error::new(ErrorKind::Config, message).with_hint("set `key_file` in [compute] to another file")
    }

    fn write(&self, key: &str) -> Result<()> {
        let failed = |error| {
            let message = format!("the {KIND} cannot be written to {}", self.file.display());
            Error::new(ErrorKind::Config, message).with_source(error)
        };
        if let Some(folder) = self.file.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&self.file)
            .map_err(failed)?;
        // Before anything is in it, also where it was there.
        file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(failed)?;
        file.write_all(format!("{key}\n").as_bytes()).map_err(failed)
    }

    /// The app's own key; none where there is no app, or none that has keys yet.
    async fn own(&self, place: &Place) -> Result<Option<String>, Refusal> {
        let attempt = format!("reading the {KIND} of the function app {}", place.spec.app);
        let path = format!("{}/host/default/listkeys", place.spec.app_id());
        let keys = place.arm.find(&Request::post(Api::Web, path, attempt)).await?.unwrap_or_default();
        Ok(keys["functionKeys"][DEFAULT].as_str().filter(|key| !key.is_empty()).map(ToOwned::to_owned))
    }
}

/// An app that has nothing to run yet, or is starting, cannot tell its keys.
fn starting(refusal: &Refusal) -> Option<&'static str> {
    let starts = matches!(refusal.status, Some(400 | 500)) && refusal.message.contains("host runtime");
    starts.then_some("the app starts")
}

#[async_trait]
impl Resource<Place> for Key {
    async fn plan(&self, place: &Place) -> Result<Planned> {
        let shown = self.file.display().to_string();
        let step = |change| Step::new(KIND, shown, change).about("a file that only you can read");
        let Some(is) = self.read()? else { return Ok(step(Change::Create).into()) };
        let own = match self.own(place).await {
            Err(refusal) if starting(&refusal).is_some() => None,
            own => own?,
        };
        Ok(if own.is_some_and(|own| own == is) {
            step(Change::None)
        } else {
            step(Change::Update).differs_untold("key")
        }
        .into())
    }

    async fn apply(&self, place: &Place, _: &Step, patience: Patience<'_>) -> Result<()> {
        let mut pauses = patience.pauses.clone();
        loop {
            if let Some(key) = patience.until_done(starting, || self.own(place)).await? {
                return self.write(&key);
            }
            let Some(pause) = pauses.next() else {
                let message = format!("the function app {} has no {KIND}", place.spec.app);
                return Err(
                    Error::new(ErrorKind::Unavailable, message).with_hint("run `rustwren setup` again")
                );
            };
            patience.wait("the app starts", pause).await;
        }
    }

    async fn removal(&self, place: &Place) -> Result<Removal> {
        let shown = self.file.display();
        let is = match self.read() {
            Ok(None) => return Ok(Removal::Nothing),
            Ok(Some(is)) => is,
            Err(_) => return Ok(Removal::Stays(format!("the file {shown} stays: it is no {KIND}"))),
        };
        // Whatever keeps the app from telling, its key is of no use without it.
        let own = self.own(place).await.unwrap_or_default();
        Ok(if own.is_some_and(|own| own == is) {
            Removal::Ours(Step::new(KIND, shown.to_string(), Change::Delete))
        } else {
            Removal::Stays(format!("the file {shown} stays: its key is not the app's"))
        })
    }

    async fn remove(&self, _: &Place, _: &Step, _: Patience<'_>) -> Result<()> {
        match fs::remove_file(&self.file) {
            Err(error) if error.kind() != Io::NotFound => {
                let message = format!("the {KIND} in {} cannot be removed", self.file.display());
                Err(Error::new(ErrorKind::Config, message).with_source(error))
            }
            _ => Ok(()),
        }
    }
}
