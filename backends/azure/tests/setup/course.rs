//! What is made, changed and removed.

use std::io::{Cursor, Read as _};
use std::os::unix::fs::PermissionsExt as _;

use rustwren_core::provision::{Change, Step, Unwatched};
use rustwren_testkit::provisioner_suite;
use rustwren_testkit::standins::azure_control::{AzureControl, Course, Refusal};
use serde_json::{Value, json};

use crate::world::{ACCOUNT, APP, GROUP, World, pending, set_up};

const RUNNER: &str = "bbbbbbbb-1111-2222-3333-444444444444";

#[tokio::test]
async fn conformance() {
    let world = World::new();
    provisioner_suite::run_all(world.provisioner(&[("runners", RUNNER)]).await).await;
    assert!(world.azure.things().is_empty(), "{:?}", world.azure.things());
    assert!(world.azure.malformed().is_empty(), "{:?}", world.azure.malformed());
    assert!(!world.key_file().exists());
}

#[tokio::test]
async fn an_app_is_what_the_configuration_says() {
    let world = World::new();
    let pairs = [
        ("memory", "512MiB"),
        ("timeout", "2m"),
        ("workers", "40"),
        ("per_instance", "4"),
        ("queue", "wrens"),
    ];
    let plan = set_up(&*world.provisioner(&pairs).await).await;
    let kinds: Vec<&str> = plan.steps.iter().map(|step| step.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "resource group",
            "storage account",
            "container",
            "container",
            "queue",
            "queue",
            "plan",
            "log workspace",
            "Application Insights",
            "function app",
            "access",
            "access",
            "runtime",
            "function key"
        ]
    );
    let account = world.azure.thing(&format!("storageAccounts/{ACCOUNT}")).unwrap();
    assert_eq!(account["properties"]["allowBlobPublicAccess"], false);
    assert_eq!(account["sku"]["name"], "Standard_LRS");
    for child in ["containers/jobs", "containers/ada-wren-packages", "queues/wrens", "queues/wrens-poison"] {
        assert!(world.azure.thing(child).is_some(), "{child}");
    }
    let app = world.azure.thing(&format!("sites/{APP}")).unwrap();
    let config = &app["properties"]["functionAppConfig"];
    assert_eq!(
        config["scaleAndConcurrency"],
        json!({ "maximumInstanceCount": 10, "instanceMemoryMB": 512, "triggers": { "http": { "perInstanceConcurrency": 4 } } })
    );
    assert_eq!(config["runtime"], json!({ "name": "custom", "version": "1.0" }));
    assert_eq!(
        config["deployment"]["storage"]["value"],
        format!("https://{ACCOUNT}.blob.core.windows.net/ada-wren-packages")
    );
    let settings = world.azure.settings(APP);
    for (name, value) in [
        ("AzureWebJobsStorage__accountName", ACCOUNT),
        ("RUSTWREN__STORAGE__BACKEND", "azure"),
        ("RUSTWREN__STORAGE__ACCOUNT", ACCOUNT),
        ("RUSTWREN__STORAGE__CONTAINER", "jobs"),
        ("RUSTWREN__STORAGE__LOGIN", "managed"),
        ("RUSTWREN__COMPUTE__WORKERS", "4"),
        ("RUSTWREN__COMPUTE__MAX_DURATION", "120000ms"),
    ] {
        assert_eq!(settings.get(name).map(String::as_str), Some(value), "{name}: {settings:?}");
    }
    assert!(!settings.contains_key("FUNCTIONS_WORKER_RUNTIME"));
    assert!(settings.values().all(|value| !value.contains("hunter2")), "{settings:?}");
    let roles = world.azure.roles();
    let ids: Vec<&str> = roles
        .iter()
        .filter_map(|role| role["properties"]["roleDefinitionId"].as_str()?.rsplit('/').next())
        .collect();
    assert_eq!(ids.len(), 2, "{roles:?}");
    assert!(ids.contains(&"b7e6dc6d-f1e8-4753-8033-0f276bb0955b"), "blob data owner: {ids:?}");
    assert!(ids.contains(&"974c5e8b-45b9-4653-ba55-5f855dd0fb88"), "queue data contributor: {ids:?}");
    assert!(roles.iter().all(|role| role["properties"]["principalType"] == "ServicePrincipal"), "{roles:?}");
    assert!(world.azure.malformed().is_empty(), "{:?}", world.azure.malformed());
}

#[tokio::test]
async fn the_package_starts_the_runtime_and_names_its_functions() {
    let world = World::new();
    set_up(&*world.provisioner(&[("per_instance", "2"), ("queue_timeout", "88m")]).await).await;
    let mut archive = zip::ZipArchive::new(Cursor::new(world.azure.published().unwrap())).unwrap();
    assert_eq!(archive.len(), 4);
    let runtime = archive.by_name("rustwren-runtime").unwrap();
    assert_eq!(runtime.unix_mode().map(|mode| mode & 0o777), Some(0o755), "it can be executed");
    drop(runtime);
    let mut json = |name: &str| -> Value {
        let mut text = String::new();
        archive.by_name(name).unwrap().read_to_string(&mut text).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let host = json("host.json");
    assert_eq!(host["customHandler"]["description"]["defaultExecutablePath"], "rustwren-runtime");
    assert_eq!(host["customHandler"]["enableProxyingHttpRequest"], true);
    assert_eq!(host["functionTimeout"], "01:30:00");
    let limits = &host["extensions"]["queues"];
    assert_eq!((&limits["batchSize"], &limits["newBatchThreshold"]), (&json!(2), &json!(0)));
    let called = json("invoke/function.json");
    assert_eq!(
        (&called["bindings"][0]["type"], &called["bindings"][0]["route"]),
        (&json!("httpTrigger"), &json!("v1/invoke"))
    );
    assert_eq!(called["bindings"][0]["authLevel"], "function");
    let queued = json("invoke_queued/function.json");
    assert_eq!(queued["bindings"][0]["type"], "queueTrigger");
    assert_eq!(queued["bindings"][0]["queueName"], "rustwren");
}

#[tokio::test]
async fn the_function_key_is_in_its_file_and_nowhere_else() {
    let world = World::new();
    let provisioner = world.provisioner(&[]).await;
    let plan = set_up(&*provisioner).await;
    let file = world.key_file();
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), AzureControl::FUNCTION_KEY);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let legs = provisioner.verify().await;
    assert!(!format!("{plan:?} {legs:?} {provisioner:?}").contains("hunter2"));
    // One that was renewed.
    std::fs::write(&file, "hunter2-an-older-key\n").unwrap();
    let plan = set_up(&*provisioner).await;
    assert_eq!(pending(&plan), ["function key"]);
    assert!(!format!("{plan:?}").contains("hunter2"));
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), AzureControl::FUNCTION_KEY);
    std::fs::write(&file, "a letter\nto somebody\n").unwrap();
    let error = provisioner.plan().await.unwrap_err();
    assert!(error.to_string().contains("something else than a function key"), "{error}");
    let removal = provisioner.destroy_plan().await.unwrap();
    assert!(removal.notes.iter().any(|note| note.contains("function-key stays")), "{removal:?}");
}

#[tokio::test]
async fn what_differs_is_changed_and_nothing_else() {
    let world = World::new();
    set_up(&*world.provisioner(&[]).await).await;
    let of_app = |calls: &[String]| -> Vec<String> {
        calls
            .iter()
            .filter(|call| call.starts_with("PUT"))
            .filter_map(|call| call.rsplit('/').next())
            .map(ToOwned::to_owned)
            .collect()
    };
    for (pairs, differences, put) in [
        (&[("memory", "4096MiB")][..], &["memory"][..], &[APP][..]),
        (&[("memory", "4096MiB"), ("workers", "7")], &["instances"], &[APP]),
        (
            &[("memory", "4096MiB"), ("workers", "7"), ("timeout", "1m")],
            &["setting RUSTWREN__COMPUTE__MAX_DURATION"],
            &["appsettings"],
        ),
    ] {
        let changed = world.provisioner(pairs).await;
        let plan = changed.plan().await.unwrap();
        let steps: Vec<&Step> = plan.pending().map(|(_, step)| step).collect();
        let [step] = &steps[..] else { panic!("{pairs:?}: {plan:?}") };
        let what: Vec<&str> = step.differences.iter().map(|difference| difference.what.as_str()).collect();
        assert_eq!((step.change, &what[..]), (Change::Update, differences), "{pairs:?}");
        let before = world.azure.calls().len();
        changed.apply(&plan, &Unwatched).await.unwrap();
        assert_eq!(of_app(&world.azure.calls()[before..]), put, "{pairs:?}");
        assert!(!changed.plan().await.unwrap().changes(), "{pairs:?}");
    }
    let pairs = [("memory", "4096MiB"), ("workers", "7"), ("timeout", "1m")];
    let other = world.with(&pairs, &[], "other-runtime").await.unwrap();
    let plan = set_up(&*other).await;
    assert_eq!(pending(&plan), ["runtime"], "what is published stays noted when the app is changed");
    assert!(!other.plan().await.unwrap().changes());
}

#[tokio::test]
async fn settings_of_others_stay_and_harmful_ones_go() {
    let world = World::new();
    set_up(&*world.with(&[], &[("prefix", "team")], "runtime").await.unwrap()).await;
    assert_eq!(world.azure.settings(APP)["RUSTWREN__STORAGE__PREFIX"], "team");
    world.azure.set(APP, "RUSTWREN__COMPUTE__PASS_ENV", "AZURE_*");
    world.azure.set(APP, "FUNCTIONS_WORKER_RUNTIME", "custom");
    let provisioner = world.provisioner(&[]).await;
    let plan = set_up(&*provisioner).await;
    let (_, step) = plan.pending().next().unwrap();
    let what: Vec<&str> = step.differences.iter().map(|difference| difference.what.as_str()).collect();
    assert_eq!(what, ["setting FUNCTIONS_WORKER_RUNTIME", "setting RUSTWREN__STORAGE__PREFIX"]);
    let settings = world.azure.settings(APP);
    assert_eq!(settings["RUSTWREN__COMPUTE__PASS_ENV"], "AZURE_*");
    assert!(
        !settings.contains_key("FUNCTIONS_WORKER_RUNTIME")
            && !settings.contains_key("RUSTWREN__STORAGE__PREFIX")
    );
    assert!(!provisioner.plan().await.unwrap().changes());
}

#[tokio::test]
async fn what_somebody_else_has_made_is_used_and_stays() {
    let world = World::new();
    let group = format!("resourceGroups/{GROUP}");
    let account = format!("{group}/providers/Microsoft.Storage/storageAccounts/{ACCOUNT}");
    world.azure.put(&group, json!({ "location": "westus" }));
    let kind = json!({ "location": "westus", "type": "Microsoft.Storage/storageAccounts", "properties": {} });
    world.azure.put(&account, kind);
    world.azure.put(&format!("{account}/blobServices/default/containers/jobs"), json!({ "properties": {} }));
    let before = world.azure.things();
    let provisioner = world.provisioner(&[]).await;
    let plan = set_up(&*provisioner).await;
    let used: Vec<&str> =
        plan.steps.iter().filter(|step| step.change == Change::None).map(|step| step.kind.as_str()).collect();
    assert_eq!(used, ["resource group", "storage account", "container"]);
    assert!(!provisioner.plan().await.unwrap().changes());
    let removal = provisioner.destroy_plan().await.unwrap();
    for name in [GROUP, ACCOUNT, "jobs"] {
        assert!(removal.notes.iter().any(|note| note.contains(name)), "{name}: {removal:?}");
    }
    provisioner.destroy(&removal, &Unwatched).await.unwrap();
    assert_eq!(world.azure.things(), before);
}

#[tokio::test]
async fn a_group_with_things_of_others_stays() {
    let world = World::new();
    let provisioner = world.provisioner(&[]).await;
    set_up(&*provisioner).await;
    let other = format!("resourceGroups/{GROUP}/providers/Microsoft.Web/sites/eves");
    world.azure.put(&other, json!({ "type": "Microsoft.Web/sites", "tags": {} }));
    let removal = provisioner.destroy_plan().await.unwrap();
    assert!(removal.steps.iter().all(|step| step.kind != "resource group"), "{removal:?}");
    assert!(removal.notes.iter().any(|note| note.contains("eves")), "{removal:?}");
    provisioner.destroy(&removal, &Unwatched).await.unwrap();
    let left = world.azure.things();
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left.iter().any(|id| id.ends_with("/eves")), "{left:?}");
}

#[tokio::test]
async fn operations_are_waited_for_in_each_of_azures_ways() {
    let world = World::new();
    // Storage account, plan, log workspace and its table, app: each says in its own way how far it is.
    for _ in 0..5 {
        world.azure.next_operation(Course::After(30));
    }
    world.azure.next_publication(Course::After(20));
    let provisioner = world.provisioner(&[]).await;
    set_up(&*provisioner).await;
    assert!(!provisioner.plan().await.unwrap().changes());
    let asked = world.azure.calls().iter().filter(|call| call.starts_with("GET /operations/")).count();
    assert_eq!(asked, 120, "the plan is asked for itself");
}

#[tokio::test]
async fn a_teardown_that_was_cut_short_is_completed() {
    for thing in [
        "roleAssignments/",
        "sites/",
        "components/",
        "workspaces/",
        "serverfarms/",
        "queues/",
        "containers/",
        "storageAccounts/",
        "resourcegroups/",
    ] {
        let world = World::new();
        let provisioner = world.provisioner(&[("runners", RUNNER)]).await;
        set_up(&*provisioner).await;
        let plan = provisioner.destroy_plan().await.unwrap();
        let refusal =
            Refusal::new(403, "ScopeLocked", "The scope cannot perform delete operation because of a lock.");
        world.azure.refuse(1, "DELETE", thing, refusal);
        let error = provisioner.destroy(&plan, &Unwatched).await.unwrap_err();
        assert!(error.to_string().contains("because of a lock"), "{thing}: {error}");
        let rest = provisioner.destroy_plan().await.unwrap();
        assert!(!rest.steps.is_empty() && rest.steps.len() < plan.steps.len(), "{thing}: {rest:?}");
        provisioner.destroy(&rest, &Unwatched).await.unwrap();
        assert!(world.azure.things().is_empty(), "{thing}: {:?}", world.azure.things());
        assert!(!world.key_file().exists());
    }
}
