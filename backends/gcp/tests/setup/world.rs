//! A project with nothing in it, and provisioners that work there.

use std::sync::Arc;

use rustwren_core::config::{ProvisionerFactory as _, Settings, Setup};
use rustwren_core::error::Result;
use rustwren_core::provision::{Plan, Provisioner, SetupOptions, Unwatched};
use rustwren_gcp::config::STORAGE;
use rustwren_gcp::config::functions::COMPUTE;
use rustwren_gcp::provision::GcpProvisionerFactory;
use rustwren_testkit::setup::{Quick, small_program};
use rustwren_testkit::standins::google_control::GoogleControl;

pub(crate) const PROJECT: &str = "ada-lab";
pub(crate) const BUCKET: &str = "ada-rustwren";
pub(crate) const ACCOUNT: &str = "wren-workers@ada-lab.iam.gserviceaccount.com";

pub(crate) type Pairs<'a> = &'a [(&'static str, &'a str)];

pub(crate) struct World {
    pub(crate) google: GoogleControl,
    pub(crate) clock: Arc<Quick>,
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("runtime"), small_program(1)).unwrap();
        std::fs::write(folder.path().join("other-runtime"), small_program(2)).unwrap();
        Self { google: GoogleControl::start(PROJECT), clock: Arc::default(), folder }
    }

    pub(crate) async fn provisioner(&self, compute: Pairs<'_>) -> Arc<dyn Provisioner> {
        self.with_runtime(compute, "runtime").await.unwrap()
    }

    pub(crate) async fn with_runtime(
        &self,
        compute: Pairs<'_>,
        runtime: &str,
    ) -> Result<Arc<dyn Provisioner>> {
        let endpoint = self.google.endpoint();
        let mut all = vec![
            ("project", PROJECT),
            ("region", "somewhere"),
            ("service", "wren"),
            ("endpoint", endpoint.as_str()),
            ("callers", "user:ada@example.com"),
        ];
        for &(key, value) in compute {
            all.retain(|(name, _)| *name != key);
            all.push((key, value));
        }
        let mut options = SetupOptions::default();
        options.runtime = Some(self.folder.path().join(runtime));
        let setup = Setup {
            storage: Settings::of_program(&STORAGE, "/cache", [("bucket", BUCKET)])?,
            compute: Settings::of_program(&COMPUTE, "/cache", all)?,
            options,
        };
        let factory = GcpProvisionerFactory::with_clock(self.clock.clone());
        Ok(factory.build(&setup).await?.unwrap())
    }
}

/// Plans and applies.
pub(crate) async fn set_up(provisioner: &dyn Provisioner) -> Plan {
    let plan = provisioner.plan().await.unwrap();
    provisioner.apply(&plan, &Unwatched).await.unwrap();
    plan
}
