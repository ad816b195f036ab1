//! Workers that are set up by other means than ours.

use async_trait::async_trait;
use rustwren_core::error::{Error, Result};
use rustwren_core::provision::{Applied, Leg, LogQuery, LogStream, Plan, Provisioner, Watch};

/// Knows of no place to work in, and why. What depends on none of it, such as `rustwren doctor`, goes on.
#[derive(Debug)]
pub(super) struct Elsewhere(pub(super) Error);

#[async_trait]
impl Provisioner for Elsewhere {
    fn target(&self) -> String {
        "Azure, an app that was set up by other means".to_owned()
    }

    async fn plan(&self) -> Result<Plan> {
        Err(self.0.clone())
    }

    async fn apply(&self, _: &Plan, _: &dyn Watch) -> Result<Applied> {
        Err(self.0.clone())
    }

    async fn verify(&self) -> Vec<Leg> {
        Vec::new()
    }

    async fn destroy_plan(&self) -> Result<Plan> {
        Err(self.0.clone())
    }

    async fn destroy(&self, _: &Plan, _: &dyn Watch) -> Result<()> {
        Err(self.0.clone())
    }

    async fn logs(&self, _: LogQuery) -> Result<LogStream> {
        Err(self.0.clone())
    }
}
