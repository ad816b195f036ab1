//! What is made, changed and removed.

use std::io::{Cursor, Read as _};

use rustwren_core::provision::{Change, Unwatched};
use rustwren_testkit::provisioner_suite;
use rustwren_testkit::standins::google_control::Course;
use serde_json::json;

use crate::world::{ACCOUNT, BUCKET, World, set_up};

#[tokio::test]
async fn conformance_run() {
    let world = World::new();
    provisioner_suite::run_all(world.provisioner(&[]).await).await;
    assert!(world.google.things().is_empty(), "{:?}", world.google.things());
}

#[tokio::test]
async fn conformance_functions() {
    let world = World::new();
    provisioner_suite::run_all(world.provisioner(&[("route", "functions")]).await).await;
    assert!(world.google.things().is_empty(), "{:?}", world.google.things());
}

#[tokio::test]
async fn a_service_is_what_the_configuration_says() {
    let world = World::new();
    let provisioner = world.provisioner(&[("memory", "1GiB"), ("timeout", "2m"), ("workers", "40")]).await;
    let plan = set_up(&*provisioner).await;
    let kinds: Vec<&str> = plan.steps.iter().map(|step| step.kind.as_str()).collect();
    assert_eq!(kinds, ["service account", "bucket", "access", "runtime", "service", "access"]);
    let service = world.google.deployed("services/wren").unwrap();
    let (template, container) = (&service["template"], &service["template"]["containers"][0]);
    assert_eq!(template["maxInstanceRequestConcurrency"], 1);
    assert_eq!(
        (&template["scaling"]["maxInstanceCount"], &template["timeout"]),
        (&json!(40), &json!("120s"))
    );
    assert_eq!(template["serviceAccount"], ACCOUNT);
    assert_eq!(container["resources"]["limits"], json!({ "cpu": "1", "memory": "1024Mi" }));
    assert_eq!(container["command"], json!(["./rustwren-runtime"]));
    assert_eq!(container["args"], json!(["serve", "--platform-auth", "--listen", "0.0.0.0:$PORT"]));
    let variable = |name: &str| {
        let all = container["env"].as_array().unwrap();
        all.iter().find(|variable| variable["name"] == name).map(|variable| variable["value"].clone())
    };
    assert_eq!(variable("RUSTWREN__STORAGE__BACKEND"), Some(json!("gcp")));
    assert_eq!(variable("RUSTWREN__STORAGE__BUCKET"), Some(json!(BUCKET)));
    assert_eq!(variable("RUSTWREN__COMPUTE__MAX_DURATION"), Some(json!("110000ms")));
    assert_eq!(variable("RUSTWREN__COMPUTE__WORKERS"), Some(json!("1")));
    let objects = world.google.objects();
    let object = container["sourceCode"]["cloudStorageSource"]["object"].as_str().unwrap();
    assert_eq!(objects, [format!("{BUCKET}/{object}")]);
    assert!(object.starts_with("rustwren/setup/"), "{object}");
}

#[tokio::test]
async fn a_function_has_the_shim_and_the_runtime() {
    let world = World::new();
    set_up(&*world.provisioner(&[("route", "functions")]).await).await;
    let function = world.google.deployed("functions/wren").unwrap();
    assert_eq!(function["buildConfig"]["entryPoint"], "rustwren");
    assert_eq!(function["serviceConfig"]["maxInstanceRequestConcurrency"], 1);
    assert_eq!(function["serviceConfig"]["environmentVariables"]["RUSTWREN__COMPUTE__MAX_ANSWER"], "9500kB");
    let mut archive = zip::ZipArchive::new(Cursor::new(world.google.uploaded().unwrap())).unwrap();
    let mut shim = String::new();
    archive.by_name("index.js").unwrap().read_to_string(&mut shim).unwrap();
    assert!(shim.contains("exports.rustwren"));
    assert!(archive.by_name("package.json").is_ok() && archive.by_name("rustwren-runtime").is_ok());
}

#[tokio::test]
async fn workers_may_use_their_objects_and_nothing_else() {
    let world = World::new();
    world.google.put_bucket(BUCKET);
    let others = json!({ "role": "roles/storage.objectUser", "members": ["user:eve@example.com"] });
    world.google.grant(BUCKET, others.clone());
    let provisioner = world.provisioner(&[]).await;
    set_up(&*provisioner).await;
    let policy = world.google.policy(BUCKET);
    let bindings = policy["bindings"].as_array().unwrap();
    assert_eq!((bindings.len(), &bindings[0]), (2, &others), "those of others stay");
    assert_eq!(bindings[1]["members"], json!([format!("serviceAccount:{ACCOUNT}")]));
    let condition = bindings[1]["condition"]["expression"].as_str().unwrap();
    assert!(condition.contains("projects/_/buckets/ada-rustwren/objects/rustwren/"), "{condition}");
    assert!(condition.contains("objectListPrefix"), "lists of its own objects, too: {condition}");
    let service = world.google.policy("projects/ada-lab/locations/somewhere/services/wren");
    assert_eq!(service["bindings"][0]["members"], json!(["user:ada@example.com"]));
    assert_eq!(service["bindings"][0]["role"], "roles/run.invoker");
    let removal = provisioner.destroy_plan().await.unwrap();
    assert!(removal.notes.iter().any(|note| note.contains(BUCKET)), "{removal:?}");
    provisioner.destroy(&removal, &Unwatched).await.unwrap();
    assert_eq!(world.google.policy(BUCKET)["bindings"], json!([others]));
    assert_eq!(world.google.things(), [BUCKET], "somebody else's bucket stays");
}

#[tokio::test]
async fn changes_are_told_and_made() {
    for route in ["run", "functions"] {
        let world = World::new();
        set_up(&*world.provisioner(&[("route", route)]).await).await;
        let changed = world.provisioner(&[("route", route), ("memory", "4GiB"), ("workers", "7")]).await;
        let plan = changed.plan().await.unwrap();
        let pending: Vec<_> = plan.pending().collect();
        let [(_, step)] = &pending[..] else { panic!("{route}: {plan:?}") };
        let what: Vec<&str> = step.differences.iter().map(|difference| difference.what.as_str()).collect();
        assert_eq!((step.change, &what[..]), (Change::Update, &["memory", "instances"][..]), "{route}");
        changed.apply(&plan, &Unwatched).await.unwrap();
        assert!(!changed.plan().await.unwrap().changes(), "{route}");
        let other = world
            .with_runtime(&[("route", route), ("memory", "4GiB"), ("workers", "7")], "other-runtime")
            .await
            .unwrap();
        let plan = set_up(&*other).await;
        assert!(
            plan.pending().any(|(_, step)| step.differences.iter().any(|one| one.what == "runtime")),
            "{plan:?}"
        );
        assert!(!other.plan().await.unwrap().changes(), "{route}");
    }
}

#[tokio::test]
async fn operations_are_waited_for() {
    for route in ["run", "functions"] {
        let world = World::new();
        world.google.next_operation(Course::After(30));
        set_up(&*world.provisioner(&[("route", route)]).await).await;
        assert!(world.google.deployed("services/wren").is_some());
    }
}
