//! What goes wrong, and what is said then.

use std::time::Duration;

use rustwren_core::clock::Clock as _;
use rustwren_core::error::ErrorKind;
use rustwren_core::provision::{Change, Unwatched};
use rustwren_testkit::standins::azure_control::{Course, Refusal};
use serde_json::json;

use crate::world::{APP, World, pending, set_up, told};

/// How many operations come before that of the storage account, of the plan, of the log workspace and its table, and of the
/// app.
const OPERATIONS: [(usize, &str); 5] =
    [(0, "storage account"), (1, "plan"), (2, "log workspace"), (3, "keeps lines"), (4, "function app")];

#[tokio::test]
async fn an_operation_that_fails_says_why_and_the_next_run_goes_on() {
    for (before, kind) in OPERATIONS {
        let world = World::new();
        let provisioner = world.provisioner(&[]).await;
        (0..before).for_each(|_| world.azure.next_operation(Course::After(1)));
        world.azure.next_operation(Course::Fails("QuotaExceeded", "no more cores in this region"));
        let plan = provisioner.plan().await.unwrap();
        let error = provisioner.apply(&plan, &Unwatched).await.unwrap_err();
        let text = told(&error);
        assert!(text.contains(kind), "{kind}: {text}");
        // A plan tells only that it has failed.
        let why = if kind == "plan" { "it ended as Failed" } else { "no more cores" };
        assert!(text.contains(why), "{kind}: {text}");
        let rest = provisioner.plan().await.unwrap();
        assert!(pending(&rest).contains(&"function app"), "{rest:?}");
        set_up(&*provisioner).await;
        assert!(!provisioner.plan().await.unwrap().changes(), "{kind}");
    }
}

#[tokio::test]
async fn an_operation_that_never_ends_is_given_up() {
    for (before, kind) in OPERATIONS {
        let world = World::new();
        let provisioner = world.provisioner(&[]).await;
        (0..before).for_each(|_| world.azure.next_operation(Course::After(1)));
        world.azure.next_operation(Course::Never);
        let plan = provisioner.plan().await.unwrap();
        let error = provisioner.apply(&plan, &Unwatched).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(told(&error).contains("goes on by itself") && told(&error).contains(kind), "{error}");
        assert!(world.clock.now() >= Duration::from_mins(15), "{:?}", world.clock.now());
    }
}

#[tokio::test]
async fn a_publication_that_fails_is_told_by_its_log_and_done_again() {
    let world = World::new();
    let provisioner = world.provisioner(&[]).await;
    world.azure.next_publication(Course::Fails("PackageError", "the package is broken"));
    let plan = provisioner.plan().await.unwrap();
    let error = provisioner.apply(&plan, &Unwatched).await.unwrap_err();
    assert!(told(&error).contains("the package is broken") && told(&error).contains(APP), "{error}");
    let rest = set_up(&*provisioner).await;
    assert_eq!(pending(&rest), ["runtime", "function key"]);
    assert!(world.azure.published().is_some());
    world.azure.next_publication(Course::Never);
    let other = world.with(&[], &[], "other-runtime").await.unwrap();
    let plan = other.plan().await.unwrap();
    let error = other.apply(&plan, &Unwatched).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Unavailable && told(&error).contains("goes on by itself"), "{error}");
}

#[tokio::test]
async fn identities_and_roles_that_spread_slowly_are_waited_for() {
    let world = World::new();
    world.azure.know_identities_after(5);
    world.azure.spread_roles_after(5);
    let provisioner = world.provisioner(&[]).await;
    set_up(&*provisioner).await;
    assert!(!provisioner.plan().await.unwrap().changes());
    let published = world.azure.calls().iter().filter(|call| *call == "POST /api/publish").count();
    assert_eq!(published, 6);
}

#[tokio::test]
async fn a_role_that_does_not_spread_is_given_up() {
    let world = World::new();
    world.azure.spread_roles_after(100_000);
    let provisioner = world.provisioner(&[]).await;
    let plan = provisioner.plan().await.unwrap();
    let error = provisioner.apply(&plan, &Unwatched).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(told(&error).contains("has not spread yet") && told(&error).contains("403"), "{error}");
    assert!(world.clock.now() >= Duration::from_mins(10), "{:?}", world.clock.now());
}

#[tokio::test]
async fn a_service_that_was_never_used_is_named_with_the_command_that_turns_it_on() {
    for (path, namespace) in [("storageAccounts/", "Microsoft.Storage"), ("serverfarms/", "Microsoft.Web")] {
        let world = World::new();
        let provisioner = world.provisioner(&[]).await;
        let plan = provisioner.plan().await.unwrap();
        let message = format!(
            "The subscription is not registered to use namespace '{namespace}'. See https://aka.ms/rps-not-found for how to register subscriptions."
        );
        world.azure.refuse(1, "PUT", path, Refusal::new(409, "MissingSubscriptionRegistration", &message));
        let error = provisioner.apply(&plan, &Unwatched).await.unwrap_err();
        let command = format!("`az provider register --namespace {namespace} --wait`");
        assert!(error.kind() == ErrorKind::Config && told(&error).contains(&command), "{error}");
    }
}

#[tokio::test]
async fn a_permission_that_is_missing_is_named_with_the_role_that_has_it() {
    for (path, action, role) in [
        ("sites/", "Microsoft.Web/sites/write", "Contributor"),
        (
            "roleAssignments/",
            "Microsoft.Authorization/roleAssignments/write",
            "Role Based Access Control Administrator",
        ),
    ] {
        let world = World::new();
        let provisioner = world.provisioner(&[]).await;
        let plan = provisioner.plan().await.unwrap();
        let message = format!(
            "The client 'ada' with object id 'x' does not have authorization to perform action '{action}' over scope \
             '/subscriptions/s' or the scope is invalid."
        );
        world.azure.refuse(1, "PUT", path, Refusal::new(403, "AuthorizationFailed", &message));
        let error = provisioner.apply(&plan, &Unwatched).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(
            told(&error).contains(action) && told(&error).contains(&format!("--role \"{role}\"")),
            "{error}"
        );
        // Once it is there, the rest is made.
        set_up(&*provisioner).await;
        assert!(!provisioner.plan().await.unwrap().changes());
    }
}

#[tokio::test]
async fn what_passes_is_waited_for_as_long_as_azure_asks() {
    let world = World::new();
    let provisioner = world.provisioner(&[]).await;
    let plan = provisioner.plan().await.unwrap();
    let throttled = Refusal::new(429, "TooManyRequests", "slow down").retry_after(100);
    world.azure.refuse(2, "PUT", "storageAccounts/", throttled);
    let busy = Refusal::new(409, "Conflict", "Another operation is in progress on this site.");
    world.azure.refuse(3, "PUT", "sites/", busy);
    world.azure.refuse(2, "PUT", "queues/", Refusal::new(503, "ServiceUnavailable", "try again"));
    provisioner.apply(&plan, &Unwatched).await.unwrap();
    assert!(world.clock.now() >= Duration::from_secs(200), "{:?}", world.clock.now());
    assert!(!provisioner.plan().await.unwrap().changes());
    // For ever is too long.
    let world = World::new();
    let provisioner = world.provisioner(&[]).await;
    let plan = provisioner.plan().await.unwrap();
    world.azure.refuse(100_000, "PUT", "storageAccounts/", Refusal::new(429, "TooManyRequests", "slow down"));
    let error = provisioner.apply(&plan, &Unwatched).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Unavailable && told(&error).contains("slow down"), "{error}");
}

#[tokio::test]
async fn tokens_go_nowhere_but_to_azure() {
    let world = World::new();
    set_up(&*world.provisioner(&[]).await).await;
    // An answer that names another place to ask at.
    world.azure.lead_astray("http://127.0.0.1:9/operations/1");
    let changed = world.provisioner(&[("memory", "512MiB")]).await;
    let plan = changed.plan().await.unwrap();
    let error = changed.apply(&plan, &Unwatched).await.unwrap_err();
    assert!(told(&error).contains("an address that is not its own"), "{error}");
}

#[tokio::test]
async fn doctor_names_what_is_missing_or_wrong() {
    let world = World::new();
    let provisioner = world.provisioner(&[]).await;
    let failed = |legs: &[rustwren_core::provision::Leg]| -> Vec<String> {
        legs.iter().filter(|leg| leg.outcome.is_err()).map(|leg| leg.name.clone()).collect()
    };
    assert_eq!(failed(&provisioner.verify().await), ["account", "app"]);
    set_up(&*provisioner).await;
    let legs = provisioner.verify().await;
    assert!(failed(&legs).is_empty(), "{legs:?}");
    let names: Vec<&str> = legs.iter().map(|leg| leg.name.as_str()).collect();
    assert_eq!(names, ["credentials", "account", "container", "queue", "app", "runtime", "logs"]);
    world.azure.change("sites/ada-wren", |app| app["properties"]["state"] = json!("Stopped"));
    let legs = provisioner.verify().await;
    let error = legs.iter().find_map(|leg| leg.outcome.as_ref().err()).unwrap();
    assert!(told(error).contains("is stopped") && told(error).contains("az functionapp start"), "{error}");
    let changed = world.provisioner(&[("memory", "512MiB")]).await;
    world.azure.change("sites/ada-wren", |app| app["properties"]["state"] = json!("Running"));
    let legs = changed.verify().await;
    let error = legs.iter().find_map(|leg| leg.outcome.as_ref().err()).unwrap();
    assert!(told(error).contains("not as it is configured: memory"), "{error}");
    world.azure.refuse(
        1,
        "GET",
        "storageAccounts/",
        Refusal::new(401, "ExpiredAuthenticationToken", "expired"),
    );
    let legs = provisioner.verify().await;
    let error = legs.iter().find_map(|leg| leg.outcome.as_ref().err()).unwrap();
    assert!(error.kind() == ErrorKind::Denied && told(error).contains("az login"), "{error}");
}

#[tokio::test]
async fn an_app_with_another_address_is_told() {
    let world = World::new();
    let provisioner = world.provisioner(&[]).await;
    set_up(&*provisioner).await;
    world.azure.change("sites/ada-wren", |app| {
        app["properties"]["defaultHostName"] = json!("ada-wren-h4sh.eastus-01.azurewebsites.net");
    });
    let plan = provisioner.plan().await.unwrap();
    let applied = provisioner.apply(&plan, &Unwatched).await.unwrap();
    assert!(applied.next.iter().any(|next| next.contains("ada-wren-h4sh.eastus-01")), "{applied:?}");
    let url = [("url", "https://ada-wren-h4sh.eastus-01.azurewebsites.net")];
    let provisioner = world.provisioner(&url).await;
    let plan = provisioner.plan().await.unwrap();
    assert!(!plan.changes());
    assert!(provisioner.apply(&plan, &Unwatched).await.unwrap().next.is_empty());
}

#[tokio::test]
async fn a_plan_that_no_longer_holds_is_not_carried_out() {
    let world = World::new();
    set_up(&*world.provisioner(&[]).await).await;
    let changed = world.provisioner(&[("memory", "4096MiB")]).await;
    let plan = changed.plan().await.unwrap();
    assert!(plan.pending().all(|(_, step)| step.change == Change::Update));
    world.azure.set(APP, "RUSTWREN__COMPUTE__WORKERS", "7");
    let error = changed.apply(&plan, &Unwatched).await.unwrap_err();
    assert!(told(&error).contains("run `rustwren setup` again"), "{error}");
}
