//! Tokens of control planes.

use std::sync::Arc;

use rustwren_core::config::{ProvisionerFactory as _, Settings, Setup};
use rustwren_core::error::ErrorKind;
use rustwren_core::provision::{Provisioner, SetupOptions, Unwatched};
use rustwren_gcp::config::STORAGE;
use rustwren_gcp::config::functions::COMPUTE;
use rustwren_gcp::provision::GcpProvisionerFactory;
use rustwren_testkit::setup::{Quick, small_program};
use rustwren_testkit::standins::google_control::GoogleControl;

use crate::{EARLY, HOUR, Source, pass};

struct World {
    source: Source,
    google: GoogleControl,
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("runtime"), small_program(1)).unwrap();
        let (source, google) = (Source::new(), GoogleControl::start("ada-lab"));
        google.require(Arc::clone(&source.tokens));
        Self { source, google, folder }
    }

    async fn provisioner(&self) -> Arc<dyn Provisioner> {
        let (endpoint, metadata) = (self.google.endpoint(), self.source.server.endpoint());
        let compute = [
            ("project", "ada-lab"),
            ("region", "somewhere"),
            ("endpoint", endpoint.as_str()),
            ("anonymous", "false"),
            ("metadata", metadata.as_str()),
        ];
        let mut options = SetupOptions::default();
        options.runtime = Some(self.folder.path().join("runtime"));
        let setup = Setup {
            storage: Settings::of_program(&STORAGE, "/cache", [("bucket", "ada-rustwren")]).unwrap(),
            compute: Settings::of_program(&COMPUTE, "/cache", compute).unwrap(),
            options,
        };
        let factory = GcpProvisionerFactory::with_clock(Arc::<Quick>::default());
        factory.build(&setup).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn setup_goes_on_with_another_token_where_one_is_refused_or_expires() {
    let world = World::new();
    let provisioner = world.provisioner().await;
    let plan = provisioner.plan().await.unwrap();
    assert_eq!(world.source.tokens.given(), 1);
    world.source.tokens.revoke();
    provisioner.apply(&plan, &Unwatched).await.unwrap();
    assert_eq!(world.source.tokens.given(), 2);
    let posts = world.google.calls().iter().filter(|call| call.contains("POST /iam")).count();
    assert_eq!(posts, 1, "nothing is made twice");
    pass(HOUR + EARLY).await;
    assert!(!provisioner.plan().await.unwrap().changes());
    assert_eq!(world.source.tokens.given(), 3);
}

#[tokio::test]
async fn credentials_that_give_no_token_are_an_error_with_its_mend_and_are_asked_again() {
    let world = World::new();
    let provisioner = world.provisioner().await;
    world.source.tokens.refuse_next(403);
    let error = provisioner.plan().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.to_string().contains("access token"), "{error}");
    assert!(
        error.hint().is_some_and(|hint| hint.contains("gcloud auth application-default login")),
        "{error:?}"
    );
    provisioner.plan().await.unwrap();
}
