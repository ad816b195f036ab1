//! What setup makes of a configuration, and that it keeps the contract of provisioners.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustwren_core::config::{BackendKeys, Config, KeyDoc, Kind, LoadOptions, Registry, Section};
use rustwren_core::provision::{Change, Plan, Provisioner, SetupOptions, Unwatched};
use rustwren_testkit::provisioner_suite;

use super::HttpProvisionerFactory;

const MEMORY: BackendKeys = BackendKeys {
    name: "bucket",
    section: Section::Storage,
    keys: &[
        KeyDoc::required("bucket", Kind::Text, "b", "Which."),
        KeyDoc::optional("key", Kind::Text, "none", "k", "Secret.").secret(),
    ],
};

/// The provisioner of a configuration in this folder, with files in `fleet`.
async fn provisioner(folder: &Path, file: &str, rotate: bool) -> Arc<dyn Provisioner> {
    let registry =
        Registry::new().declare(MEMORY).declare(crate::config::COMPUTE).provisioner(HttpProvisionerFactory);
    fs::write(folder.join("rustwren.toml"), file).unwrap();
    let options =
        LoadOptions::empty().file(folder.join("rustwren.toml")).user_cache_dir(folder.join("cache"));
    let config = Config::load(&registry, &options).unwrap();
    let mut options = SetupOptions::default();
    options.folder = Some(folder.join("fleet"));
    options.rotate = rotate;
    let named = registry.build_provisioners(&config, &options).await.unwrap();
    Arc::clone(&named[0].provisioner)
}

const FILE: &str = "\
[storage]
backend = 'bucket'
bucket = 'b 50%'
key = 'hunter2hunter2'
[compute]
backend = 'http'
url = 'http://127.0.0.1:1'
secret_file = 'secrets'
";

fn changes(plan: &Plan) -> Vec<Change> {
    plan.steps.iter().map(|step| step.change).collect()
}

async fn apply(provisioner: &Arc<dyn Provisioner>) -> Vec<String> {
    let plan = provisioner.plan().await.unwrap();
    provisioner.apply(&plan, &Unwatched).await.unwrap().next
}

#[tokio::test]
async fn the_contract_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    provisioner_suite::run_all(provisioner(folder.path(), FILE, false).await).await;
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["rustwren.toml"], "nothing of ours is left");
}

#[tokio::test]
async fn the_storage_is_known_to_the_runtimes_and_secrets_are_nowhere_but_in_their_file() {
    let folder = tempfile::tempdir().unwrap();
    let provisioner = provisioner(folder.path(), FILE, false).await;
    let next = apply(&provisioner).await;
    assert_eq!(next.len(), 3, "nobody answers yet: {next:?}");
    let secret = fs::read_to_string(folder.path().join("secrets")).unwrap();
    let secret = secret.lines().last().unwrap();
    for entry in fs::read_dir(folder.path().join("fleet")).unwrap() {
        let entry = entry.unwrap();
        let text = fs::read_to_string(entry.path()).unwrap();
        assert!(!text.contains("hunter2") && !text.contains(secret), "{:?}", entry.file_name());
        if text.contains("RUSTWREN__COMPUTE__LISTEN") {
            assert!(text.contains("RUSTWREN__STORAGE__BUCKET"), "{:?}:\n{text}", entry.file_name());
        }
    }
    let plan = provisioner.plan().await.unwrap();
    let shown = format!("{plan:?} {provisioner:?} {:?} {next:?}", provisioner.verify().await);
    assert!(!shown.contains(secret) && !shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn what_was_edited_or_is_not_ours_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let first = provisioner(folder.path(), FILE, false).await;
    apply(&first).await;
    let nginx = folder.path().join("fleet/nginx.conf");
    let edited = fs::read_to_string(&nginx).unwrap().replace("10.0.0.11", "192.0.2.1");
    fs::write(&nginx, &edited).unwrap();
    let other = FILE.replace("b 50%", "other");
    let second = provisioner(folder.path(), &other, false).await;
    let plan = second.plan().await.unwrap();
    let updated: Vec<_> = plan.pending().map(|(_, step)| step.change).collect();
    assert_eq!(updated, [Change::Update; 4], "those that name the storage: {plan:?}");
    apply(&second).await;
    assert_eq!(fs::read_to_string(&nginx).unwrap(), edited);
    let removal = second.destroy_plan().await.unwrap();
    assert!(removal.notes.iter().any(|note| note.contains("nginx.conf was edited")), "{removal:?}");
    second.destroy(&removal, &Unwatched).await.unwrap();
    assert_eq!(fs::read_to_string(&nginx).unwrap(), edited);

    fs::write(folder.path().join("fleet/app.yaml"), "mine: true\n").unwrap();
    let error = second.plan().await.unwrap_err();
    assert!(error.to_string().contains("app.yaml is there and was not written by setup"), "{error}");
    assert!(error.hint().unwrap().contains("--folder"));
}

#[tokio::test]
async fn a_rotation_takes_two_runs() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = || {
        let text = fs::read_to_string(folder.path().join("secrets")).unwrap();
        text.lines().filter(|line| !line.starts_with('#')).map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    apply(&provisioner(folder.path(), FILE, true).await).await;
    let old = secrets();
    assert_eq!(old.len(), 1, "the first secret is new enough");
    let rotating = provisioner(folder.path(), FILE, true).await;
    let plan = rotating.plan().await.unwrap();
    assert_eq!(changes(&plan)[0], Change::Update);
    let next = rotating.apply(&plan, &Unwatched).await.unwrap().next;
    assert!(next[1].contains("setup --rotate"), "{next:?}");
    let both = secrets();
    assert_eq!((both.len(), &both[0]), (2, &old[0]));
    rotating.apply(&plan, &Unwatched).await.unwrap();
    assert_eq!(secrets(), both, "done again, it rotates no further");
    let ordinary = provisioner(folder.path(), FILE, false).await;
    assert!(!ordinary.plan().await.unwrap().changes());
    let next = apply(&provisioner(folder.path(), FILE, true).await).await;
    assert_eq!(next.len(), 1, "{next:?}");
    assert_eq!(secrets(), both[1..]);
}
