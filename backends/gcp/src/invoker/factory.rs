//! Cloud Run as a configuration chooses it.

use std::sync::Arc;

use async_trait::async_trait;
use rustwren_core::config::{BackendKeys, InvokerFactory, Settings};
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::invoker::Invoker;
use rustwren_core::storage::Storage;

use super::CloudRunInvoker;
use crate::client::Access;
use crate::config::functions::{COMPUTE, ComputeConfig};
use crate::rest::Google;

/// `[compute] backend = "gcp"`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CloudRunInvokerFactory;

#[async_trait]
impl InvokerFactory for CloudRunInvokerFactory {
    fn keys(&self) -> BackendKeys {
        COMPUTE
    }

    async fn build(&self, settings: &Settings, _storage: Arc<dyn Storage>) -> Result<Arc<dyn Invoker>> {
        let config = ComputeConfig::from_settings(settings)?;
        let url = match &config.url {
            Some(url) => url.clone(),
            None => ask(settings, &config).await?,
        };
        Ok(Arc::new(CloudRunInvoker::new(&config, &url)?))
    }
}

/// The address of the service, as Google knows it.
async fn ask(settings: &Settings, config: &ComputeConfig) -> Result<String> {
    let (project, region) = (settings.get_str("project")?, settings.get_str("region")?);
    let (Some(project), Some(region)) = (project, region) else {
        return Err(
            settings.error("url", "must be set, or `project` and `region` for Google to be asked for it")
        );
    };
    let access = Access { metadata: config.metadata.clone(), ..Access::from_settings(settings)? };
    let google = Google::new(access, project.to_owned());
    let name = format!("projects/{project}/locations/{region}/services/{}", config.service);
    let found = google.service(&name).await?.ok_or_else(|| {
        Error::new(ErrorKind::Config, format!("there is no {name}")).with_hint("run `rustwren setup`")
    })?;
    found["uri"].as_str().map(ToOwned::to_owned).ok_or_else(|| {
        Error::new(ErrorKind::Unavailable, format!("{name} has no address yet"))
            .with_hint("it is being deployed, or its deployment has failed: `rustwren doctor` tells")
    })
}
