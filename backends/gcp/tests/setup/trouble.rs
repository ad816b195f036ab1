//! What goes wrong, and what is said then.

use std::time::Duration;

use rustwren_core::clock::Clock as _;
use rustwren_core::error::{Error, ErrorKind};
use rustwren_core::provision::{Change, Unwatched};
use rustwren_testkit::standins::google_control::{Course, refusal};
use serde_json::json;

use crate::world::{World, set_up};

fn told(error: &Error) -> String {
    format!("{error} | {}", error.hint().unwrap_or_default())
}

#[tokio::test]
async fn an_operation_that_fails_says_why_and_the_next_run_goes_on() {
    for route in ["run", "functions"] {
        let world = World::new();
        let provisioner = world.provisioner(&[("route", route)]).await;
        world.google.next_operation(Course::Fails(9, "the container failed to start and listen on the port"));
        let plan = provisioner.plan().await.unwrap();
        let error = provisioner.apply(&plan, &Unwatched).await.unwrap_err();
        assert!(
            told(&error).contains("failed to start and listen") && told(&error).contains("wren"),
            "{error}"
        );
        let rest = set_up(&*provisioner).await;
        let pending: Vec<_> = rest.pending().map(|(_, step)| step.kind.as_str()).collect();
        assert_eq!(pending.len(), 2, "the service and who may call it: {pending:?}");
        assert!(!provisioner.plan().await.unwrap().changes());
    }
}

#[tokio::test]
async fn an_operation_that_never_ends_is_given_up() {
    for route in ["run", "functions"] {
        let world = World::new();
        let provisioner = world.provisioner(&[("route", route)]).await;
        world.google.next_operation(Course::Never);
        let plan = provisioner.plan().await.unwrap();
        let error = provisioner.apply(&plan, &Unwatched).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(
            told(&error).contains("goes on by itself") && told(&error).contains("operations/"),
            "{error}"
        );
        assert!(world.clock.now() >= Duration::from_mins(15), "{:?}", world.clock.now());
    }
}

#[tokio::test]
async fn an_api_that_is_off_is_named_with_the_command_that_turns_it_on() {
    let world = World::new();
    let details = json!([{
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "SERVICE_DISABLED",
        "domain": "googleapis.com",
        "metadata": { "service": "iam.googleapis.com", "consumer": "projects/ada-lab" },
    }]);
    world.google.refuse_next(refusal(403, "PERMISSION_DENIED", "IAM API has not been used", &details));
    let error = world.provisioner(&[]).await.plan().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(
        told(&error).contains("`gcloud services enable iam.googleapis.com --project=ada-lab`"),
        "{error}"
    );
}

#[tokio::test]
async fn a_permission_that_is_missing_is_named() {
    let world = World::new();
    let details = json!([{
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "IAM_PERMISSION_DENIED",
        "domain": "iam.googleapis.com",
        "metadata": { "permission": "iam.serviceAccounts.get" },
    }]);
    world.google.refuse_next(refusal(403, "PERMISSION_DENIED", "denied", &details));
    let error = world.provisioner(&[]).await.plan().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(told(&error).contains("iam.serviceAccounts.get"), "{error}");
}

#[tokio::test]
async fn what_passes_is_waited_for() {
    let world = World::new();
    let provisioner = world.provisioner(&[]).await;
    let plan = provisioner.plan().await.unwrap();
    // The first call of the first step looks for the account; the second makes it.
    world.google.refuse_next(refusal(404, "NOT_FOUND", "there is none", &json!([])));
    world.google.refuse_next(refusal(503, "UNAVAILABLE", "try again", &json!([])));
    provisioner.apply(&plan, &Unwatched).await.unwrap();
    assert!(world.clock.now() > Duration::ZERO);
    assert!(!provisioner.plan().await.unwrap().changes());
}

#[tokio::test]
async fn a_connection_that_breaks_after_a_call_was_carried_out_is_told_and_the_next_run_goes_on() {
    for (route, path) in [
        ("run", "/serviceAccounts"),
        ("run", "/storage/v1/b?"),
        ("run", "/iam"),
        ("run", "/upload/storage/v1/b/"),
        ("run", "/services?serviceId="),
        ("run", ":setIamPolicy"),
        ("functions", ":generateUploadUrl"),
        ("functions", "/functions?functionId="),
    ] {
        let world = World::new();
        let provisioner = world.provisioner(&[("route", route)]).await;
        world.google.lose_answer(path);
        let plan = provisioner.plan().await.unwrap();
        let error = provisioner.apply(&plan, &Unwatched).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{path}: {error}");
        // An operation whose beginning was not heard of goes on by itself.
        world.google.pass_operations();
        set_up(&*provisioner).await;
        assert!(!provisioner.plan().await.unwrap().changes(), "{path}");
        let posts = |what: &str| world.google.calls().iter().filter(|call| call.contains(what)).count();
        assert_eq!(posts("POST /iam.googleapis.com"), 1, "{path}: the account is made once");
        assert!(posts("services?serviceId=") + posts("functions?functionId=") == 1, "{path}");
    }
}

#[tokio::test]
async fn what_is_not_ours_is_refused_or_left_alone() {
    for route in ["run", "functions"] {
        let world = World::new();
        let provisioner = world.provisioner(&[("route", route)]).await;
        set_up(&*provisioner).await;
        let name = if route == "run" { "services/wren" } else { "functions/wren" };
        world.google.change(name, |service| service["labels"] = json!({ "team": "eve" }));
        let error = provisioner.plan().await.unwrap_err();
        assert!(told(&error).contains("was not made by setup"), "{error}");
        let removal = provisioner.destroy_plan().await.unwrap();
        assert!(
            removal.steps.iter().all(|step| step.kind != "service" && step.kind != "function"),
            "{removal:?}"
        );
        assert!(removal.notes.iter().any(|note| note.contains("wren")), "{removal:?}");
    }
}

#[tokio::test]
async fn doctor_names_what_is_missing_or_not_ready() {
    let world = World::new();
    let provisioner = world.provisioner(&[]).await;
    let legs = provisioner.verify().await;
    let failed: Vec<&str> =
        legs.iter().filter(|leg| leg.outcome.is_err()).map(|leg| leg.name.as_str()).collect();
    assert_eq!(failed, ["bucket", "service"]);
    set_up(&*provisioner).await;
    assert!(provisioner.verify().await.iter().all(|leg| leg.outcome.is_ok()));
    world.google.change("services/wren", |service| {
        service["terminalCondition"] = json!({ "state": "CONDITION_FAILED", "message": "no quota" });
    });
    let legs = provisioner.verify().await;
    let error = legs.iter().find_map(|leg| leg.outcome.as_ref().err()).unwrap();
    assert!(told(error).contains("no quota"), "{error}");
}

#[tokio::test]
async fn a_plan_that_no_longer_holds_is_not_carried_out() {
    let world = World::new();
    let provisioner = world.provisioner(&[]).await;
    set_up(&*provisioner).await;
    let changed = world.provisioner(&[("memory", "4GiB")]).await;
    let plan = changed.plan().await.unwrap();
    assert!(plan.pending().all(|(_, step)| step.change == Change::Update));
    world.google.change("services/wren", |service| service["template"]["timeout"] = json!("7s"));
    let error = changed.apply(&plan, &Unwatched).await.unwrap_err();
    assert!(told(&error).contains("run `rustwren setup` again"), "{error}");
}

#[tokio::test]
async fn settings_that_cannot_be_set_up_are_refused_before_anybody_is_asked() {
    let world = World::new();
    for (key, value) in [("project", ""), ("region", "Here"), ("service_account", "workers")] {
        let error = world.with_runtime(&[(key, value)], "runtime").await.unwrap_err();
        assert!(error.to_string().contains(&format!("compute.{key}")), "{error}");
    }
    let provisioner = world.with_runtime(&[], "nothing").await.unwrap();
    let error = provisioner.plan().await.unwrap_err();
    assert!(told(&error).contains("--runtime"), "{error}");
}
