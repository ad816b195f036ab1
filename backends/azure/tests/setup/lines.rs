//! Lines of workers, as the log workspace has them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::TryStreamExt as _;
use rustwren_core::clock::Clock as _;
use rustwren_core::error::{ErrorKind, Result};
use rustwren_core::provision::{LogQuery, LogRecord, Provisioner};
use rustwren_testkit::standins::azure_control::Refusal;

use crate::world::{APP, World, set_up, told};

/// The beginning of November 2026.
fn begin() -> SystemTime {
    UNIX_EPOCH + Duration::from_hours(498_192)
}

/// A world whose app logs this, so many seconds after the beginning of November.
async fn world(lines: &[(u64, &str)]) -> World {
    let world = World::new();
    set_up(&*world.provisioner(&[]).await).await;
    for (second, text) in lines {
        log(&world, *second, text);
    }
    world
}

fn log(world: &World, second: u64, text: &str) {
    let time = begin() + Duration::from_secs(second) + Duration::from_nanos(100);
    world.azure.trace(APP, time, "0--instance", text);
}

async fn read(provisioner: &dyn Provisioner, query: LogQuery) -> Result<Vec<LogRecord>> {
    provisioner.logs(query).await?.try_collect().await
}

fn texts(lines: &[LogRecord]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

#[tokio::test]
async fn lines_of_the_app_in_their_order() {
    let world = world(&[(5, "third\n"), (1, "first"), (5, "fourth"), (3, "second")]).await;
    // Somebody else's, which came by another way.
    world.azure.trace("other", begin() + Duration::from_secs(2), "1", "of another");
    let provisioner = world.provisioner(&[]).await;
    let lines = read(&*provisioner, LogQuery::since(begin())).await.unwrap();
    assert_eq!(texts(&lines), ["first", "second", "third", "fourth"]);
    assert_eq!(lines[0].source, "0--instance");
    assert_eq!(lines[0].time, Some(begin() + Duration::from_secs(1) + Duration::from_nanos(100)));
    let lines = read(&*provisioner, LogQuery::since(begin() + Duration::from_secs(4))).await.unwrap();
    assert_eq!(texts(&lines), ["third", "fourth"]);
    let mut query = LogQuery::since(begin());
    query.filter = Some("ir".to_owned());
    assert_eq!(texts(&read(&*provisioner, query).await.unwrap()), ["first", "third"]);
    let none = read(&*provisioner, LogQuery::since(begin() + Duration::from_hours(1))).await.unwrap();
    assert!(none.is_empty(), "{none:?}");
}

#[tokio::test]
async fn more_lines_than_one_question_takes() {
    let world = world(&[]).await;
    // Many at one time, so that places have to tell them apart.
    for number in 0..2500 {
        log(&world, number / 1200, &number.to_string());
    }
    let before = world.azure.calls().len();
    let lines = read(&*world.provisioner(&[]).await, LogQuery::since(begin())).await.unwrap();
    let expected: Vec<String> = (0..2500).map(|number: u64| number.to_string()).collect();
    assert!(lines.into_iter().map(|line| line.text).eq(expected));
    let asked = world.azure.calls()[before..].iter().filter(|call| call.ends_with("/query")).count();
    assert_eq!(asked, 3);
}

#[tokio::test]
async fn what_comes_in_later_is_told_once_and_late_lines_too() {
    let world = world(&[(1000, "first")]).await;
    let mut query = LogQuery::since(begin());
    query.follow = true;
    let mut lines = world.provisioner(&[]).await.logs(query).await.unwrap();
    assert_eq!(lines.try_next().await.unwrap().unwrap().text, "first");
    log(&world, 1010, "second");
    assert_eq!(lines.try_next().await.unwrap().unwrap().text, "second");
    // Application Insights may take minutes.
    log(&world, 1010 - 290, "late");
    assert_eq!(lines.try_next().await.unwrap().unwrap().text, "late");
    assert!(world.clock.now() > Duration::ZERO, "it asks at a pace");
}

#[tokio::test]
async fn who_may_not_read_is_told_the_role_that_may() {
    let world = world(&[(1, "first")]).await;
    let provisioner = world.provisioner(&[]).await;
    // Of the workspace, and of what is in it.
    for (method, path, code) in [
        ("GET", "workspaces/ada-wren-logs", "AuthorizationFailed"),
        ("POST", "/v1/workspaces/", "InsufficientAccessError"),
    ] {
        let message = "The provided credentials have insufficient access to perform the requested operation";
        world.azure.refuse(1, method, path, Refusal::new(403, code, message));
        let error = read(&*provisioner, LogQuery::since(begin())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        let text = told(&error);
        assert!(text.contains(code) && text.contains("--role \"Log Analytics Reader\""), "{text}");
        assert!(text.contains("/workspaces/ada-wren-logs`"), "{text}");
    }
    let expired = Refusal::new(401, "InvalidTokenError", "Invalid or expired token");
    world.azure.refuse(1, "POST", "/v1/workspaces/", expired);
    let error = read(&*provisioner, LogQuery::since(begin())).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Denied && told(&error).contains("az login"), "{error}");
    let busy = Refusal::new(429, "ThrottledError", "too many requests").retry_after(10);
    world.azure.refuse(1, "POST", "/v1/workspaces/", busy);
    let error = read(&*provisioner, LogQuery::since(begin())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn a_part_is_not_taken_for_the_whole() {
    let world = world(&[(1, "first")]).await;
    world.azure.answer_partly("The results of this query exceed the set limit");
    let error = read(&*world.provisioner(&[]).await, LogQuery::since(begin())).await.unwrap_err();
    let text = told(&error);
    assert!(
        text.contains("is not whole") && text.contains("exceed the set limit") && text.contains("--since"),
        "{text}"
    );
}

#[tokio::test]
async fn where_none_are_kept_that_is_said() {
    let world = World::new();
    let error = read(&*world.provisioner(&[]).await, LogQuery::since(begin())).await.unwrap_err();
    let text = told(&error);
    assert!(
        text.contains("there is no log workspace ada-wren-logs") && text.contains("rustwren setup"),
        "{text}"
    );
    let without = world.provisioner(&[("logs", "false")]).await;
    let error = read(&*without, LogQuery::since(begin())).await.unwrap_err();
    assert!(told(&error).contains("`logs` in [compute] is false"), "{error}");
}
