//! Lines of workers, as Cloud Logging has them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::TryStreamExt as _;
use rustwren_core::error::ErrorKind;
use rustwren_core::provision::{LogQuery, LogRecord};
use rustwren_testkit::standins::google_control::refusal;
use serde_json::{Value, json};

use crate::world::World;

/// What an instance of this service wrote, so many seconds after the beginning of November 2026.
fn entry(service: &str, second: u64, id: &str, (kind, payload): (&str, Value)) -> Value {
    let mut entry = json!({
        "logName": "projects/ada-lab/logs/run.googleapis.com%2Fstderr",
        "resource": {
            "type": "cloud_run_revision",
            "labels": { "service_name": service, "location": "somewhere", "project_id": "ada-lab" },
        },
        "timestamp": format!("2026-11-01T00:{:02}:{:02}.000001Z", second / 60, second % 60),
        "insertId": id,
        "labels": { "instanceId": "00a1b2c3d4e5f60718293a4b5c6d7e8f" },
    });
    entry[kind] = payload;
    entry
}

fn begin() -> SystemTime {
    UNIX_EPOCH + Duration::from_hours(498_192)
}

async fn read(world: &World, query: LogQuery) -> rustwren_core::error::Result<Vec<LogRecord>> {
    world.provisioner(&[]).await.logs(query).await?.try_collect().await
}

#[tokio::test]
async fn lines_of_the_service_alone_in_their_order() {
    let world = World::new();
    let text = |text: &str| ("textPayload", json!(text));
    world.google.log(entry("wren", 5, "b", text("third\n")));
    world.google.log(entry("wren", 5, "a", text("second")));
    world.google.log(entry("other", 2, "c", text("of another")));
    world.google.log(entry("wren", 1, "d", text("first")));
    world.google.log(entry("wren", 6, "e", ("jsonPayload", json!({ "message": "fourth" }))));
    world.google.log(entry("wren", 7, "f", ("jsonPayload", json!({ "a": 1 }))));
    // A request's own entry says nothing of what ran.
    world.google.log(entry("wren", 8, "g", ("httpRequest", json!({ "status": 200 }))));
    let lines = read(&world, LogQuery::since(begin())).await.unwrap();
    let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["first", "second", "third", "fourth", "{\"a\":1}"]);
    assert_eq!(lines[0].source, "3a4b5c6d7e8f");
    assert_eq!(lines[0].time, Some(begin() + Duration::from_secs(1) + Duration::from_micros(1)));
    let lines = read(&world, LogQuery::since(begin() + Duration::from_secs(5))).await.unwrap();
    assert_eq!(lines.len(), 4);
    let mut query = LogQuery::since(begin());
    query.filter = Some("ir".to_owned());
    let lines = read(&world, query).await.unwrap();
    assert_eq!(lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["first", "third"]);
}

#[tokio::test]
async fn more_lines_than_one_page_has() {
    let world = World::new();
    for number in 0..2500 {
        world.google.log(entry(
            "wren",
            number,
            &number.to_string(),
            ("textPayload", json!(number.to_string())),
        ));
    }
    let lines = read(&world, LogQuery::since(begin())).await.unwrap();
    let expected: Vec<String> = (0..2500).map(|number: u64| number.to_string()).collect();
    assert!(lines.into_iter().map(|line| line.text).eq(expected));
    assert_eq!(world.google.calls().len(), 3);
}

#[tokio::test]
async fn what_comes_in_later_is_told_once_and_late_lines_too() {
    let world = World::new();
    world.google.log(entry("wren", 100, "a", ("textPayload", json!("first"))));
    let mut query = LogQuery::since(begin());
    query.follow = true;
    let mut lines = world.provisioner(&[]).await.logs(query).await.unwrap();
    assert_eq!(lines.try_next().await.unwrap().unwrap().text, "first");
    world.google.log(entry("wren", 101, "b", ("textPayload", json!("second"))));
    assert_eq!(lines.try_next().await.unwrap().unwrap().text, "second");
    world.google.log(entry("wren", 90, "c", ("textPayload", json!("late"))));
    assert_eq!(lines.try_next().await.unwrap().unwrap().text, "late");
}

#[tokio::test]
async fn a_missing_permission_and_an_api_that_is_off_are_named_with_their_mend() {
    let world = World::new();
    let detail = |reason: &str, metadata: Value| json!([{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "metadata": metadata }]);
    let permission = detail("IAM_PERMISSION_DENIED", json!({ "permission": "logging.logEntries.list" }));
    world.google.refuse_next(refusal(
        403,
        "PERMISSION_DENIED",
        "Permission denied for all log views",
        &permission,
    ));
    let error = read(&world, LogQuery::since(begin())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.to_string().contains("reading the logs of the service wren"), "{error}");
    let hint = error.hint().unwrap();
    assert!(
        hint.contains("add-iam-policy-binding ada-lab") && hint.contains("roles/logging.viewer"),
        "{hint}"
    );
    let off = detail(
        "SERVICE_DISABLED",
        json!({ "service": "logging.googleapis.com", "consumer": "projects/ada-lab" }),
    );
    world.google.refuse_next(refusal(403, "PERMISSION_DENIED", "Cloud Logging API has not been used", &off));
    let error = read(&world, LogQuery::since(begin())).await.unwrap_err();
    assert!(error.hint().unwrap().contains("gcloud services enable logging.googleapis.com"), "{error}");
}
