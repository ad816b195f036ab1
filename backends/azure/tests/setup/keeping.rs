//! What keeps the lines of workers: the log workspace, Application Insights, and the app's setting that names it.

use rustwren_core::error::ErrorKind;
use rustwren_core::provision::{Change, Leg, Plan, Unwatched};
use rustwren_testkit::standins::azure_control::Refusal;
use serde_json::{Value, json};

use crate::world::{APP, GROUP, World, pending, set_up, told};

const WORKSPACE: &str = "workspaces/ada-wren-logs";
const COMPONENT: &str = "components/ada-wren-insights";
const SETTING: &str = "APPLICATIONINSIGHTS_CONNECTION_STRING";

fn days_and_cap(world: &World) -> (Value, Value) {
    let workspace = world.azure.thing(WORKSPACE).unwrap();
    let properties = &workspace["properties"];
    (properties["retentionInDays"].clone(), properties["workspaceCapping"]["dailyQuotaGb"].clone())
}

fn days_of_lines(world: &World) -> Value {
    world.azure.thing(&format!("{WORKSPACE}/tables/AppTraces")).unwrap()["properties"]["retentionInDays"]
        .clone()
}

/// Pending steps with what differs in each.
fn changes(plan: &Plan) -> Vec<(Change, String, Vec<String>)> {
    plan.pending()
        .map(|(_, step)| {
            let what = step.differences.iter().map(|difference| difference.what.clone()).collect();
            (step.change, step.kind.clone(), what)
        })
        .collect()
}

#[tokio::test]
async fn lines_go_to_a_workspace_for_as_long_as_configured() {
    let world = World::new();
    let plan = set_up(&*world.provisioner(&[]).await).await;
    let step = plan.steps.iter().find(|step| step.kind == "log workspace").unwrap();
    assert!(step.about.contains("30 days, 1GB a day"), "{step:?}");
    assert_eq!(days_and_cap(&world), (json!(30), json!(1.0)));
    assert_eq!(days_of_lines(&world), 30);
    let (workspace, component) =
        (world.azure.thing(WORKSPACE).unwrap(), world.azure.thing(COMPONENT).unwrap());
    assert_eq!(workspace["properties"]["sku"]["name"], "PerGB2018");
    assert_eq!(component["properties"]["WorkspaceResourceId"], workspace["id"]);
    assert_eq!(component["properties"]["ConnectionString"], world.azure.settings(APP)[SETTING]);
    assert!(!format!("{plan:?}").contains("InstrumentationKey"), "{plan:?}");
    for (pairs, days, cap, lines) in [
        (&[("log_retention", "100d")][..], 100, 1.0, 100),
        (&[("log_retention", "7d"), ("log_cap", "500MB")][..], 30, 0.5, 7),
        (&[("log_cap", "0B")][..], 30, -1.0, 30),
    ] {
        let changed = world.provisioner(pairs).await;
        let plan = set_up(&*changed).await;
        assert_eq!(pending(&plan), ["log workspace"], "{pairs:?}");
        assert_eq!((days_and_cap(&world), days_of_lines(&world)), ((json!(days), json!(cap)), json!(lines)));
        assert!(!changed.plan().await.unwrap().changes(), "{pairs:?}");
    }
}

#[tokio::test]
async fn azures_way_to_write_ids_and_numbers_is_no_difference() {
    let world = World::new();
    let provisioner = world.provisioner(&[]).await;
    set_up(&*provisioner).await;
    world.azure.change(WORKSPACE, |thing| thing["properties"]["workspaceCapping"]["dailyQuotaGb"] = json!(1));
    world.azure.change(COMPONENT, |thing| {
        let id = thing["properties"]["WorkspaceResourceId"].as_str().unwrap().to_lowercase();
        thing["properties"]["WorkspaceResourceId"] = json!(id);
        thing["properties"]["SamplingPercentage"] = Value::Null;
    });
    assert!(!provisioner.plan().await.unwrap().changes());
}

#[tokio::test]
async fn without_logs_nothing_is_made_and_what_was_made_goes() {
    let world = World::new();
    let without = world.provisioner(&[("logs", "false")]).await;
    let plan = set_up(&*without).await;
    assert!(world.azure.thing(WORKSPACE).is_none() && world.azure.thing(COMPONENT).is_none());
    assert!(!world.azure.settings(APP).contains_key(SETTING), "{plan:?}");
    // Somebody's own stays.
    world.azure.set(APP, SETTING, "InstrumentationKey=of-eve");
    assert!(!without.plan().await.unwrap().changes());
    let with = world.provisioner(&[]).await;
    assert_eq!(pending(&set_up(&*with).await), ["log workspace", "Application Insights", "function app"]);
    let ours = world.azure.settings(APP)[SETTING].clone();
    assert!(ours.contains("ApplicationId="), "{ours}");

    let plan = without.plan().await.unwrap();
    assert_eq!(
        changes(&plan),
        [
            (Change::Update, "function app".to_owned(), vec![format!("setting {SETTING}")]),
            (Change::Delete, "Application Insights".to_owned(), vec![]),
            (Change::Delete, "log workspace".to_owned(), vec![]),
        ]
    );
    without.apply(&plan, &Unwatched).await.unwrap();
    assert!(world.azure.thing(WORKSPACE).is_none() && world.azure.thing(COMPONENT).is_none());
    assert!(!world.azure.settings(APP).contains_key(SETTING));
    assert!(!without.plan().await.unwrap().changes());
    // Teardown finds them whatever the configuration says by then.
    set_up(&*with).await;
    let removal = without.destroy_plan().await.unwrap();
    without.destroy(&removal, &Unwatched).await.unwrap();
    assert!(world.azure.things().is_empty(), "{:?}", world.azure.things());
}

#[tokio::test]
async fn what_is_half_done_is_completed() {
    let world = World::new();
    let provisioner = world.provisioner(&[]).await;
    // The workspace is there, and its table is not yet as it should be.
    let denied = Refusal::new(403, "AuthorizationFailed", "no");
    world.azure.refuse(1, "PATCH", "/tables/", denied);
    let plan = provisioner.plan().await.unwrap();
    provisioner.apply(&plan, &Unwatched).await.unwrap_err();
    let plan = provisioner.plan().await.unwrap();
    let of_workspace =
        (Change::Update, "log workspace".to_owned(), vec!["days that lines are kept".to_owned()]);
    assert_eq!(changes(&plan)[0], of_workspace);
    provisioner.apply(&plan, &Unwatched).await.unwrap();
    assert_eq!(days_of_lines(&world), 30);
    assert!(!provisioner.plan().await.unwrap().changes());
    // A new component has another connection string, which the app is told in the same run.
    let before = world.azure.settings(APP)[SETTING].clone();
    let thing = world.azure.thing(COMPONENT).unwrap();
    world.azure.remove(COMPONENT);
    let plan = set_up(&*provisioner).await;
    assert_eq!(pending(&plan), ["Application Insights", "function app"], "{thing}");
    assert_ne!(world.azure.settings(APP)[SETTING], before);
    assert!(!provisioner.plan().await.unwrap().changes());
}

#[tokio::test]
async fn a_young_workspace_is_waited_for() {
    let world = World::new();
    let provisioner = world.provisioner(&[]).await;
    world.azure.refuse(3, "PATCH", "/tables/", Refusal::new(404, "ResourceNotFound", "not yet"));
    set_up(&*provisioner).await;
    assert_eq!(days_of_lines(&world), 30);
}

#[tokio::test]
async fn names_that_are_somebody_elses_are_refused_and_stay() {
    for end in [WORKSPACE, COMPONENT] {
        let world = World::new();
        let provisioner = world.provisioner(&[]).await;
        set_up(&*provisioner).await;
        world.azure.change(end, |thing| thing["tags"] = json!({ "team": "eve" }));
        let error = provisioner.plan().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        let text = told(&error);
        assert!(text.contains("was not made by setup") && text.contains("`logs = false`"), "{text}");
        // Without lines there is nothing in the way, and nothing of theirs is touched.
        let without = world.provisioner(&[("logs", "false")]).await;
        set_up(&*without).await;
        let removal = without.destroy_plan().await.unwrap();
        let name = end.rsplit('/').next().unwrap();
        assert!(removal.notes.iter().any(|note| note.contains(name)), "{removal:?}");
        without.destroy(&removal, &Unwatched).await.unwrap();
        let left = world.azure.things();
        assert!(left.iter().any(|id| id.ends_with(end)) && left.len() == 2, "{left:?}");
    }
}

#[tokio::test]
async fn what_azure_adds_to_a_component_does_not_keep_the_group() {
    let world = World::new();
    let provisioner = world.provisioner(&[]).await;
    set_up(&*provisioner).await;
    let own = [
        "microsoft.insights/actiongroups/Application Insights Smart Detection",
        "microsoft.alertsmanagement/smartDetectorAlertRules/Failure Anomalies - ada-wren-insights",
    ];
    for end in own {
        world.azure.put(&format!("resourceGroups/{GROUP}/providers/{end}"), json!({ "type": "x" }));
    }
    let removal = provisioner.destroy_plan().await.unwrap();
    provisioner.destroy(&removal, &Unwatched).await.unwrap();
    assert!(world.azure.things().is_empty(), "{:?}", world.azure.things());
}

#[tokio::test]
async fn doctor_knows_drift() {
    let world = World::new();
    let provisioner = world.provisioner(&[]).await;
    set_up(&*provisioner).await;
    let leg = |legs: Vec<Leg>| legs.into_iter().find(|leg| leg.name == "logs").unwrap().outcome;
    let found = leg(provisioner.verify().await).unwrap();
    assert_eq!(found, "ada-wren-logs, kept for 30 days");
    let without = world.provisioner(&[("logs", "false")]).await;
    assert!(leg(without.verify().await).unwrap().contains("not kept"));
    world
        .azure
        .change(WORKSPACE, |thing| thing["properties"]["workspaceCapping"]["dailyQuotaGb"] = json!(-1));
    let error = leg(provisioner.verify().await).unwrap_err();
    assert!(
        told(&error).contains("ada-wren-logs is not as it is configured: GB that a day may bring"),
        "{error}"
    );
    set_up(&*provisioner).await;
    world.azure.set(APP, SETTING, "InstrumentationKey=of-eve");
    let error = leg(provisioner.verify().await).unwrap_err();
    assert!(
        told(&error).contains(&format!("ada-wren is not as it is configured: setting {SETTING}")),
        "{error}"
    );
    set_up(&*provisioner).await;
    world.azure.remove(COMPONENT);
    let error = leg(provisioner.verify().await).unwrap_err();
    assert!(told(&error).contains("there is no Application Insights ada-wren-insights"), "{error}");
    assert!(told(&error).contains("run `rustwren setup`"), "{error}");
}
