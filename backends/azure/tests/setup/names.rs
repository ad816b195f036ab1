//! Names that are everybody's, and settings that cannot be set up.

use rustwren_core::error::ErrorKind;
use rustwren_core::provision::Unwatched;
use serde_json::json;

use crate::world::{ACCOUNT, APP, World, set_up, told};

#[tokio::test]
async fn a_name_that_somebody_else_has_is_found_before_anything_is_made() {
    for (name, kind, key) in [(ACCOUNT, "storage account", "`account`"), (APP, "function app", "`app`")] {
        let world = World::new();
        world.azure.take_name(name);
        let error = world.provisioner(&[]).await.plan().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        let text = told(&error);
        assert!(text.contains(kind) && text.contains(name) && text.contains(key), "{text}");
        assert!(world.azure.things().is_empty());
    }
}

#[tokio::test]
async fn a_name_that_is_taken_in_between_is_told_with_its_mend() {
    for (name, key, code) in
        [(ACCOUNT, "`account`", "StorageAccountAlreadyTaken"), (APP, "`app`", "Conflict")]
    {
        let world = World::new();
        let provisioner = world.provisioner(&[]).await;
        let plan = provisioner.plan().await.unwrap();
        // Nothing is asked before it is made but for whether it is there: somebody is quicker.
        let refusal = world_refusal(code, name);
        let path = if name == ACCOUNT { "storageAccounts/adarustwren" } else { "sites/ada-wren" };
        world.azure.refuse(1, "PUT", path, refusal);
        let error = provisioner.apply(&plan, &Unwatched).await.unwrap_err();
        let text = told(&error);
        assert!(error.kind() == ErrorKind::Config && text.contains(code) && text.contains(key), "{text}");
    }
}

fn world_refusal(code: &str, name: &str) -> rustwren_testkit::standins::azure_control::Refusal {
    let message = match code {
        "Conflict" => format!("Website with given name {name} already exists."),
        _ => format!("The storage account named {name} is already taken."),
    };
    rustwren_testkit::standins::azure_control::Refusal::new(409, code, &message)
}

#[tokio::test]
async fn an_app_or_plan_of_somebody_elses_is_refused() {
    for (end, kind) in [("sites/ada-wren", "function app"), ("serverfarms/ada-wren-plan", "plan")] {
        let world = World::new();
        let provisioner = world.provisioner(&[]).await;
        set_up(&*provisioner).await;
        world.azure.change(end, |thing| thing["tags"] = json!({ "team": "eve" }));
        let error = provisioner.plan().await.unwrap_err();
        assert!(
            told(&error).contains(&format!("the {kind}")) && told(&error).contains("not made by setup"),
            "{error}"
        );
        let removal = provisioner.destroy_plan().await.unwrap();
        assert!(removal.steps.iter().all(|step| step.kind != kind), "{removal:?}");
        assert!(removal.notes.iter().any(|note| note.contains(kind)), "{removal:?}");
    }
}

#[tokio::test]
async fn settings_that_cannot_be_set_up_are_refused_before_anybody_is_asked() {
    let world = World::new();
    for (key, value) in [
        ("subscription", "mine"),
        ("region", "East US"),
        ("resource_group", "my/group"),
        ("app", ""),
        ("queue", "Wrens"),
        ("workers", "1001"),
        ("runners", "ada@example.com"),
        ("management", "http://management.example.com"),
        ("log_endpoint", "http://logs.example.com"),
        ("log_retention", "1d"),
        ("account", "otheraccount"),
    ] {
        let pairs = [(key, value), ("url", "https://wren.example.com")];
        let error = world.with(&pairs, &[], "runtime").await.unwrap_err();
        assert!(error.to_string().contains(&format!("compute.{key}")), "{key}: {error}");
    }
    let error = world.with(&[("key_file", "")], &[], "runtime").await.unwrap_err();
    assert!(
        told(&error).contains("compute.key_file") && told(&error).contains("setup is to write"),
        "{error}"
    );
    assert!(
        world.with(&[("key_file", ""), ("trigger", "queue")], &[], "runtime").await.is_ok(),
        "the queue needs none"
    );
    // Without one the app was set up by other means, and all but setup goes on.
    let elsewhere = world.provisioner(&[("subscription", "")]).await;
    assert!(elsewhere.verify().await.is_empty());
    for error in [elsewhere.plan().await.unwrap_err(), elsewhere.destroy_plan().await.unwrap_err()] {
        assert!(error.to_string().contains("compute.subscription"), "{error}");
    }
    let provisioner = world.with(&[], &[], "nothing").await.unwrap();
    let error = provisioner.plan().await.unwrap_err();
    assert!(told(&error).contains("--runtime"), "{error}");
    assert!(world.azure.calls().is_empty());
}
