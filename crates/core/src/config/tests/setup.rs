//! Which provisioners a configuration calls for.

use std::sync::Arc;

use async_trait::async_trait;

use super::{BUCKET, CORES, Case, DISK, FLEET, RAM};
use crate::config::{BackendKeys, Config, ProvisionerFactory, Registry, Section, Setup, WRAPS};
use crate::error::{ErrorKind, Result};
use crate::executor::block_on;
use crate::provision::{Applied, Leg, Plan, Provisioner, SetupOption, SetupOptions, Step, Watch};

const COAT: BackendKeys = BackendKeys { name: "coat", section: Section::Compute, keys: &[WRAPS] };

/// Its plan names what it was given.
#[derive(Debug)]
struct Given(Vec<Step>);

#[async_trait]
impl Provisioner for Given {
    fn target(&self) -> String {
        "nowhere".to_owned()
    }

    async fn plan(&self) -> Result<Plan> {
        Ok(Plan::new(self.0.clone()))
    }

    async fn apply(&self, _plan: &Plan, _watch: &dyn Watch) -> Result<Applied> {
        Ok(Applied::default())
    }

    async fn verify(&self) -> Vec<Leg> {
        Vec::new()
    }

    async fn destroy_plan(&self) -> Result<Plan> {
        Ok(Plan::default())
    }

    async fn destroy(&self, _plan: &Plan, _watch: &dyn Watch) -> Result<()> {
        Ok(())
    }
}

struct Factory {
    backend: &'static str,
    takes: &'static [SetupOption],
}

#[async_trait]
impl ProvisionerFactory for Factory {
    fn backend(&self) -> &'static str {
        self.backend
    }

    fn takes(&self) -> &'static [SetupOption] {
        self.takes
    }

    async fn build(&self, setup: &Setup) -> Result<Option<Arc<dyn Provisioner>>> {
        if self.backend == "local" {
            return Ok(None);
        }
        let create = crate::provision::Change::Create;
        let bucket = setup.storage_of(self.backend).map(|s| s.get_str("bucket")).transpose()?.flatten();
        let region = setup.compute_of(self.backend).map(|s| s.get_str("region")).transpose()?.flatten();
        let steps: Vec<Step> = [("bucket", bucket), ("region", region)]
            .into_iter()
            .filter_map(|(kind, name)| Some(Step::new(kind, name?, create)))
            .collect();
        Ok((!steps.is_empty()).then(|| Arc::new(Given(steps)) as Arc<dyn Provisioner>))
    }
}

fn registry() -> Registry {
    let bases = Registry::new().declare(DISK).declare(RAM).declare(BUCKET).declare(CORES).declare(FLEET);
    bases
        .declare(COAT)
        .provisioner(Factory { backend: "local", takes: &[SetupOption::Rotate] })
        .provisioner(Factory { backend: "cloud", takes: &[SetupOption::Runtime] })
}

/// The backends that have something to set up, each with what it was given.
fn found(file: &str, options: &SetupOptions) -> Result<Vec<(&'static str, Vec<String>)>> {
    let registry = registry();
    let config = Config::load(&registry, &Case::new(file).options)?;
    let found = block_on(registry.build_provisioners(&config, options))?;
    Ok(found
        .into_iter()
        .map(|named| {
            let plan = block_on(named.provisioner.plan()).unwrap();
            (named.backend, plan.steps.into_iter().map(|step| step.name).collect())
        })
        .collect())
}

#[test]
fn each_backend_has_one_for_all_it_serves() {
    let none = SetupOptions::default();
    assert!(found("", &none).unwrap().is_empty(), "nothing to set up here");
    let both = "provider = 'cloud'\n[storage]\nbucket = 'b'\n[compute]\nregion = 'r'\n";
    assert_eq!(found(both, &none).unwrap(), [("cloud", vec!["b".to_owned(), "r".to_owned()])]);
    let one = "[storage]\nbackend = 'cloud'\nbucket = 'b'\n";
    assert_eq!(found(one, &none).unwrap(), [("cloud", vec!["b".to_owned()])]);
    let wrapped = "[compute]\nbackend = 'coat'\nwraps = 'cloud'\nregion = 'r'\n";
    assert_eq!(found(wrapped, &none).unwrap(), [("cloud", vec!["r".to_owned()])]);
}

#[test]
fn an_option_that_nobody_has_a_use_for_is_refused() {
    let cloud = "[compute]\nbackend = 'cloud'\nregion = 'r'\n";
    let runtime = SetupOptions { runtime: Some("/bin/true".into()), ..SetupOptions::default() };
    assert_eq!(found(cloud, &runtime).unwrap().len(), 1);
    let rotate = SetupOptions { rotate: true, ..SetupOptions::default() };
    let error = found(cloud, &rotate).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().starts_with("--rotate means nothing to local and cloud"), "{error}");
}
