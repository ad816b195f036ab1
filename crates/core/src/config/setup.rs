//! Which provisioners a configuration calls for.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Config, Registry, Settings};
use crate::error::{Error, ErrorKind, Result};
use crate::provision::{Named, Provisioner, SetupOption, SetupOptions};

/// What a provisioner is made from. Backends that stand around others are taken off: these are the settings of what
/// they stand around.
#[derive(Debug, Clone)]
pub struct Setup {
    /// `[storage]`, whichever backend serves it.
    pub storage: Settings,
    /// `[compute]`, whichever backend serves it.
    pub compute: Settings,
    /// What was asked for on top of it.
    pub options: SetupOptions,
}

impl Setup {
    /// `[storage]`, where this backend serves it.
    pub fn storage_of(&self, backend: &str) -> Option<&Settings> {
        Some(&self.storage).filter(|settings| settings.backend() == Some(backend))
    }

    /// `[compute]`, where this backend serves it.
    pub fn compute_of(&self, backend: &str) -> Option<&Settings> {
        Some(&self.compute).filter(|settings| settings.backend() == Some(backend))
    }
}

/// Makes the provisioner of one backend from a configuration.
#[async_trait]
pub trait ProvisionerFactory: Send + Sync + 'static {
    /// The backend's name, the same in `[storage]` and `[compute]`.
    fn backend(&self) -> &'static str;

    /// Which options it has a use for.
    fn takes(&self) -> &'static [SetupOption];

    /// Makes the provisioner for the sections that the backend serves: at least one of [`Setup::storage_of`] and
    /// [`Setup::compute_of`] answers. Of a section that another backend serves it may want to know which that is; what
    /// that needs is set up by its own. None where there is nothing to set up for these sections.
    ///
    /// Settings that cannot work are refused here; the provider is not asked yet.
    async fn build(&self, setup: &Setup) -> Result<Option<Arc<dyn Provisioner>>>;
}

impl Registry {
    /// Makes the provisioners of the backends that a configuration chose, that of the storage first. Each backend has at
    /// most one, also where it serves both sections; those with nothing to set up have none.
    ///
    /// An option that none of them has a use for is an error of kind [`ErrorKind::Config`].
    pub async fn build_provisioners(&self, config: &Config, options: &SetupOptions) -> Result<Vec<Named>> {
        let setup = Setup {
            storage: config.storage().innermost(),
            compute: config.compute().innermost(),
            options: options.clone(),
        };
        let mut chosen: Vec<&str> = Vec::new();
        for backend in [&setup.storage, &setup.compute].into_iter().filter_map(Settings::backend) {
            if !chosen.contains(&backend) {
                chosen.push(backend);
            }
        }
        let mut made = Vec::new();
        let mut taken: Vec<SetupOption> = Vec::new();
        for factory in chosen.iter().filter_map(|backend| self.provisioners.get(backend)) {
            if let Some(provisioner) = factory.build(&setup).await? {
                taken.extend(factory.takes());
                made.push(Named { backend: factory.backend(), provisioner });
            }
        }
        let useless = SetupOption::ALL.iter().find(|option| option.is_in(options) && !taken.contains(option));
        match useless {
            Some(option) => {
                let message = format!("{} means nothing to {}", option.flag(), chosen.join(" and "));
                Err(Error::new(ErrorKind::Config, message)
                    .with_hint("leave it out, or choose the configuration that it was meant for"))
            }
            None => Ok(made),
        }
    }
}
