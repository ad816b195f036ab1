//! The setup side of HTTP workers: a shared secret, and the files from which a fleet is started.
//!
//! Nothing is started and nobody is called to change something: the files are for a person to take to their machines.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use rustwren_core::config::{ProvisionerFactory, Setup};
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::{
    Applied, Change, Leg, LogQuery, LogStream, Plan, Provisioner, SetupOption, Step, Watch,
};

mod files;
mod secret;
mod templates;
#[cfg(test)]
mod tests;
mod verify;

use files::Found;
use templates::File;
use verify::Probe;

const NAME: &str = "http";
/// The folder for the files, where none is named.
const FOLDER: &str = "rustwren-http";
const SECRET: &str = "secret";
/// Where runtimes keep objects that they serve themselves.
const SERVED_STORAGE: [(&str, &str); 3] = [
    ("RUSTWREN__STORAGE__BACKEND", "local"),
    ("RUSTWREN__STORAGE__ROOT", "/var/lib/rustwren/storage"),
    ("RUSTWREN__COMPUTE__SERVE_STORAGE", "true"),
];

/// `rustwren setup` with HTTP workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HttpProvisionerFactory;

#[async_trait]
impl ProvisionerFactory for HttpProvisionerFactory {
    fn backend(&self) -> &'static str {
        NAME
    }

    fn takes(&self) -> &'static [SetupOption] {
        &[SetupOption::Folder, SetupOption::Rotate]
    }

    async fn build(&self, setup: &Setup) -> Result<Option<Arc<dyn Provisioner>>> {
        Ok(Some(Arc::new(HttpProvisioner::new(setup)?)))
    }
}

/// Makes the secret and the files of a fleet.
pub struct HttpProvisioner {
    /// The file of secrets; none where the secret is given in another way.
    secret: Option<PathBuf>,
    /// Whether a rotation was asked for and not done.
    rotate: AtomicBool,
    folder: PathBuf,
    files: Vec<File>,
    serves_storage: bool,
    probe: Probe,
}

/// Places only.
impl fmt::Debug for HttpProvisioner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpProvisioner")
            .field("secret", &self.secret)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// A step of the plan and what it stands for.
enum Thing<'a> {
    Secret(&'a Path),
    File(&'a File, PathBuf),
}

impl HttpProvisioner {
    /// For the sections that this backend serves.
    pub fn new(setup: &Setup) -> Result<Self> {
        let own = setup.compute_of(NAME).or(setup.storage_of(NAME)).ok_or_else(|| {
            Error::new(ErrorKind::Internal, "neither storage nor compute is for HTTP workers")
        })?;
        // A secret in the configuration itself or in the environment goes its own ways.
        let secret = if own.get_str("secret")?.is_some() { None } else { own.get_path("secret_file")? };
        let url = own.get_str("url")?.unwrap_or_default().to_owned();
        let variables = match setup.storage_of(NAME) {
            None => setup.storage.variables(),
            // What serves objects must have them somewhere.
            Some(_) => SERVED_STORAGE.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        };
        Ok(Self {
            secret,
            rotate: AtomicBool::new(setup.options.rotate),
            folder: setup.options.folder.clone().unwrap_or_else(|| PathBuf::from(FOLDER)),
            files: templates::files(&variables),
            serves_storage: setup.storage_of(NAME).is_some(),
            probe: Probe::new(own, url),
        })
    }

    fn things(&self) -> impl Iterator<Item = Thing<'_>> {
        let secret = self.secret.iter().map(|path| Thing::Secret(path));
        secret.chain(self.files.iter().map(|file| Thing::File(file, self.folder.join(file.name))))
    }

    fn rotates(&self) -> bool {
        self.rotate.load(Ordering::Relaxed)
    }

    /// What is there of a thing, and what is to be done about it.
    fn look(&self, thing: &Thing<'_>) -> Result<Step> {
        match thing {
            Thing::Secret(path) => self.look_at_secret(path),
            Thing::File(file, path) => {
                let step = |change| Step::new(file.kind, path.display().to_string(), change);
                Ok(match files::look(path, &file.content)? {
                    Found::Nothing => step(Change::Create).about(file.about),
                    Found::Same => step(Change::None).about(file.about),
                    Found::Other => step(Change::Update).differs_untold("content"),
                    Found::Edited => step(Change::None).about("edited by hand, left alone"),
                    Found::Foreign => {
                        let message = format!("{} is there and was not written by setup", path.display());
                        return Err(Error::new(ErrorKind::Config, message)
                            .with_hint("move it away, or name another folder with --folder"));
                    }
                })
            }
        }
    }

    fn look_at_secret(&self, path: &Path) -> Result<Step> {
        let step = |change| Step::new(SECRET, path.display().to_string(), change);
        Ok(match secret::look(path)? {
            secret::Found::Nothing => step(Change::Create).about("256 random bits, for its owner only"),
            secret::Found::Secrets { count: 1, .. } if self.rotates() => {
                step(Change::Update).about("a second secret, which calls are not signed with yet")
            }
            secret::Found::Secrets { count, .. } if self.rotates() => step(Change::Update)
                .about(format!("the last of {count} secrets alone, which calls are signed with from now on")),
            secret::Found::Secrets { open_mode: Some(mode), .. } => {
                step(Change::Update).differs("mode", Some(format!("{mode:04o}")), Some("0600"))
            }
            secret::Found::Secrets { count: 1, .. } => step(Change::None),
            secret::Found::Secrets { count, .. } => step(Change::None)
                .about(format!("{count} secrets: `rustwren setup --rotate` ends the rotation")),
        })
    }

    fn make(&self, thing: &Thing<'_>) -> Result<()> {
        match thing {
            Thing::Secret(path) => match secret::look(path)? {
                secret::Found::Nothing => secret::create(path),
                secret::Found::Secrets { .. } if self.rotate.swap(false, Ordering::Relaxed) => {
                    secret::rotate(path)
                }
                secret::Found::Secrets { open_mode: Some(_), .. } => secret::close(path),
                secret::Found::Secrets { .. } => Ok(()),
            },
            Thing::File(file, path) => files::write(path, &file.content),
        }
    }

    /// What is left to do by hand. Nothing where the fleet answers already.
    async fn next(&self, rotated: bool) -> Vec<String> {
        let mut next = Vec::new();
        let secret = self.secret.as_ref().map(|path| path.display());
        if let (true, Some(secret)) = (rotated, &secret) {
            next.push(format!(
                "Give {secret} to every runtime and to everyone who runs jobs, and restart the runtimes."
            ));
            if matches!(
                self.secret.as_deref().map(secret::look),
                Some(Ok(secret::Found::Secrets { count: 2.., .. }))
            ) {
                next.push(
                    "Then run `rustwren setup --rotate` once more: it drops the old secret.".to_owned(),
                );
            }
            return next;
        }
        if self.verify().await.iter().all(|leg| leg.outcome.is_ok()) {
            return next;
        }
        next.push(format!(
            "Start runtimes with the files in {}: take those that fit your machines. docs/http.md walks through each.",
            self.folder.display()
        ));
        if let Some(secret) = secret {
            next.push(format!("Give them {secret}, which each of these files tells how."));
        }
        next.push("Run `rustwren doctor`: it tries the whole way.".to_owned());
        next
    }
}

#[async_trait]
impl Provisioner for HttpProvisioner {
    fn target(&self) -> String {
        format!("workers at {}, files in {}", self.probe.url(), self.folder.display())
    }

    async fn plan(&self) -> Result<Plan> {
        let steps: Vec<Step> = self.things().map(|thing| self.look(&thing)).collect::<Result<_>>()?;
        let mut plan = Plan::new(steps);
        if self.secret.is_none() {
            plan = plan.note("`secret_file` is not set: the secret is yours to make and to keep.");
        }
        if self.serves_storage {
            plan = plan.note("Runtimes serve storage from /var/lib/rustwren/storage: where there are several, it must be one folder that they share.");
        }
        Ok(plan)
    }

    async fn apply(&self, plan: &Plan, watch: &dyn Watch) -> Result<Applied> {
        let mut rotated = false;
        for (index, step) in plan.pending() {
            watch.started(index);
            let thing = self.things().find(|thing| match thing {
                Thing::Secret(path) => step.kind == SECRET && step.name == path.display().to_string(),
                Thing::File(_, path) => step.name == path.display().to_string(),
            });
            let Some(thing) = thing else {
                let message = format!("the plan has {} {}, which is not made here", step.kind, step.name);
                return Err(Error::new(ErrorKind::Internal, message));
            };
            // Looked at again: somebody may have put something of theirs there, or done it already.
            if self.look(&thing)?.change != Change::None {
                rotated |=
                    matches!(thing, Thing::Secret(_)) && step.change == Change::Update && self.rotates();
                self.make(&thing)?;
            }
            watch.done(index);
        }
        Ok(Applied { next: self.next(rotated).await })
    }

    async fn verify(&self) -> Vec<Leg> {
        self.probe.legs().await
    }

    async fn destroy_plan(&self) -> Result<Plan> {
        let mut plan = Plan::default();
        for file in &self.files {
            let path = self.folder.join(file.name);
            match files::look(&path, &file.content)? {
                Found::Nothing => {}
                Found::Same | Found::Other => {
                    plan.steps.push(Step::new(file.kind, path.display().to_string(), Change::Delete));
                }
                Found::Edited => plan.notes.push(format!("{} was edited by hand, and stays", path.display())),
                Found::Foreign => {
                    plan.notes.push(format!("{} was not written by setup, and stays", path.display()));
                }
            }
        }
        if let Some(path) = &self.secret {
            match secret::look(path) {
                Ok(secret::Found::Nothing) => {}
                Ok(secret::Found::Secrets { ours: true, .. }) => {
                    let step = Step::new(SECRET, path.display().to_string(), Change::Delete);
                    plan.steps.push(step.about("runtimes that are not stopped go on accepting it"));
                }
                Ok(secret::Found::Secrets { ours: false, .. }) | Err(_) => {
                    plan.notes.push(format!("{} was not written by setup, and stays", path.display()));
                }
            }
        }
        if !plan.steps.is_empty() {
            plan.notes.push("Runtimes are not stopped by this: stop them where you started them.".to_owned());
        }
        Ok(plan)
    }

    async fn destroy(&self, plan: &Plan, watch: &dyn Watch) -> Result<()> {
        // What has become somebody else's since is left alone.
        let ours = self.destroy_plan().await?;
        for (index, step) in plan.pending() {
            watch.started(index);
            if ours.steps.iter().any(|other| other.name == step.name) {
                files::remove(Path::new(&step.name))?;
            }
            watch.done(index);
        }
        Ok(())
    }
    async fn logs(&self, _query: LogQuery) -> Result<LogStream> {
        Err(Error::new(ErrorKind::Config, "runtimes keep their logs where they run").with_hint(
            "`journalctl -u rustwren-runtime` on its machine, `kubectl logs -l app.kubernetes.io/name=rustwren-runtime`, \
             `gcloud app logs read -s rustwren-runtime`",
        ))
    }
}
