//! From an empty account to a working one and back.

use std::sync::Arc;
use std::time::SystemTime;

use futures_util::TryStreamExt as _;
use rustwren_core::provision::{LogQuery, Provisioner as _};
use rustwren_testkit::provisioner_suite;
use rustwren_testkit::standins::Moto;
use serde_json::{Value, json};

use crate::world::{BUCKET, FUNCTION, GROUP, REGION, ROLE, World, set_up, tear_down, told};

#[tokio::test]
async fn the_provisioner_keeps_its_contract() {
    let world = World::new();
    provisioner_suite::run_all(Arc::new(world.provisioner(&[], &[]).await)).await;
}

#[tokio::test]
async fn what_is_made_is_what_the_plan_says() {
    let world = World::new();
    let provisioner =
        world.provisioner(&[("tags", "team=vision")], &[("reserved", "7"), ("tags", "team=vision")]).await;
    let plan = set_up(&provisioner).await;
    assert_eq!(
        told(&plan),
        ["bucket: create", "role: create", "log group: create", "function: create", "async calls: create"]
    );
    assert_eq!(told(&provisioner.plan().await.unwrap()), [""; 0]);

    let config = world.config().await;
    let s3 = world.s3().await;
    let place = s3.get_bucket_location().bucket(BUCKET).send().await.unwrap();
    assert_eq!(place.location_constraint().map(|c| c.as_str().to_owned()).as_deref(), Some(REGION));
    let block = s3.get_public_access_block().bucket(BUCKET).send().await.unwrap();
    let block = block.public_access_block_configuration.unwrap();
    let all = [
        block.block_public_acls,
        block.ignore_public_acls,
        block.block_public_policy,
        block.restrict_public_buckets,
    ];
    assert_eq!(all, [Some(true); 4]);
    let encryption = s3.get_bucket_encryption().bucket(BUCKET).send().await.unwrap();
    let rules = encryption.server_side_encryption_configuration.unwrap().rules;
    assert_eq!(
        rules[0].apply_server_side_encryption_by_default().unwrap().sse_algorithm().as_str(),
        "AES256"
    );
    let rules = s3.get_bucket_lifecycle_configuration().bucket(BUCKET).send().await.unwrap();
    let rule = &rules.rules()[0];
    assert_eq!(rule.filter().and_then(|f| f.prefix()), Some("rustwren/jobs/"));
    assert_eq!(rule.expiration().and_then(aws_sdk_s3::types::LifecycleExpiration::days), Some(30));
    let tags = s3.get_bucket_tagging().bucket(BUCKET).send().await.unwrap();
    let mut tags: Vec<_> = tags.tag_set().iter().map(|tag| (tag.key(), tag.value())).collect();
    tags.sort_unstable();
    assert_eq!(tags, [("rustwren", "setup"), ("team", "vision")]);

    let lambda = aws_sdk_lambda::Client::new(&config);
    let function = lambda.get_function().function_name(FUNCTION).send().await.unwrap();
    assert_eq!(function.tags().unwrap().len(), 2);
    assert_eq!(
        function.concurrency().and_then(aws_sdk_lambda::types::Concurrency::reserved_concurrent_executions),
        Some(7)
    );
    let function = function.configuration.unwrap();
    assert_eq!(function.role(), Some(&*format!("arn:aws:iam::123456789012:role/{ROLE}")));
    assert_eq!((function.memory_size(), function.timeout()), (Some(1769), Some(900)));
    assert_eq!(function.runtime().map(|r| r.as_str().to_owned()).as_deref(), Some("provided.al2023"));
    let variables = function.environment.unwrap().variables.unwrap();
    let variable = |name: &str| variables.get(name).map(String::as_str);
    assert_eq!(variable("RUSTWREN__STORAGE__BUCKET"), Some(BUCKET));
    assert_eq!(variable("RUSTWREN__STORAGE__PREFIX"), Some("rustwren"));
    assert_eq!(variable("RUSTWREN__STORAGE__REGION"), Some(REGION));
    let calls = lambda.get_function_event_invoke_config().function_name(FUNCTION).send().await.unwrap();
    assert_eq!(calls.maximum_retry_attempts(), Some(0));

    let logs = aws_sdk_cloudwatchlogs::Client::new(&config);
    let group = logs.describe_log_groups().log_group_name_prefix(GROUP).send().await.unwrap();
    assert_eq!(group.log_groups()[0].retention_in_days(), Some(14));

    let iam = aws_sdk_iam::Client::new(&config);
    let policy = iam.get_role_policy().role_name(ROLE).policy_name("rustwren").send().await.unwrap();
    let policy =
        percent_encoding::percent_decode_str(policy.policy_document()).decode_utf8().unwrap().into_owned();
    let policy: Value = serde_json::from_str(&policy).unwrap();
    assert_eq!(policy["Statement"][0]["Resource"], json!([format!("arn:aws:s3:::{BUCKET}/rustwren/*")]));
}

#[tokio::test]
async fn teardown_leaves_nothing_and_setup_starts_anew() {
    let world = World::new();
    let provisioner = world.provisioner(&[], &[]).await;
    set_up(&provisioner).await;
    let s3 = world.s3().await;
    // Versions, delete markers and an upload that nobody finished are in the way of removing a bucket.
    let versioning = aws_sdk_s3::types::VersioningConfiguration::builder()
        .status(aws_sdk_s3::types::BucketVersioningStatus::Enabled)
        .build();
    s3.put_bucket_versioning().bucket(BUCKET).versioning_configuration(versioning).send().await.unwrap();
    for key in ["rustwren/images/a", "rustwren/images/a", "rustwren/jobs/j/x"] {
        s3.put_object().bucket(BUCKET).key(key).body(b"x".to_vec().into()).send().await.unwrap();
    }
    s3.delete_object().bucket(BUCKET).key("rustwren/images/a").send().await.unwrap();
    s3.create_multipart_upload().bucket(BUCKET).key("rustwren/jobs/j/large").send().await.unwrap();
    let iam = aws_sdk_iam::Client::new(&world.config().await);
    let extra = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:*","Resource":"*"}]}"#;
    let put = iam.put_role_policy().role_name(ROLE).policy_name("theirs").policy_document(extra);
    put.send().await.unwrap();

    let plan = tear_down(&provisioner).await;
    let kinds: Vec<&str> = plan.steps.iter().map(|step| step.kind.as_str()).collect();
    assert_eq!(kinds, ["function", "log group", "role", "bucket"]);
    assert_eq!(plan.steps[3].about, "with one object");

    assert!(s3.list_buckets().send().await.unwrap().buckets().is_empty());
    assert!(iam.list_roles().send().await.unwrap().roles().is_empty());
    let config = world.config().await;
    let lambda = aws_sdk_lambda::Client::new(&config);
    assert!(lambda.list_functions().send().await.unwrap().functions().is_empty());
    let logs = aws_sdk_cloudwatchlogs::Client::new(&config);
    assert!(logs.describe_log_groups().send().await.unwrap().log_groups().is_empty());

    assert!(tear_down(&provisioner).await.steps.is_empty());
    set_up(&provisioner).await;
}

#[tokio::test]
async fn teardown_leaves_what_others_put_into_the_bucket() {
    let world = World::new();
    let provisioner = world.provisioner(&[("prefix", "mine")], &[]).await;
    set_up(&provisioner).await;
    let s3 = world.s3().await;
    for key in ["another/x", "mine/jobs/j", "mine2/x"] {
        s3.put_object().bucket(BUCKET).key(key).body(b"x".to_vec().into()).send().await.unwrap();
    }
    let plan = tear_down(&provisioner).await;
    let last = plan.steps.last().unwrap();
    assert_eq!((last.kind.as_str(), last.name.as_str()), ("objects", "ada-rustwren/mine/"));
    let left = s3.list_objects_v2().bucket(BUCKET).send().await.unwrap();
    let left: Vec<_> = left.contents().iter().filter_map(|object| object.key()).collect();
    assert_eq!(left, ["another/x", "mine2/x"]);
    let again = tear_down(&provisioner).await;
    assert!(again.steps.is_empty() && again.notes.iter().any(|note| note.contains("stays")), "{again:?}");
}

#[tokio::test]
async fn more_objects_than_a_page_has_are_removed() {
    let world = World::with(Moto::start_with(&[("MOTO_S3_DEFAULT_MAX_KEYS", "3")]));
    let provisioner = world.provisioner(&[], &[]).await;
    set_up(&provisioner).await;
    let s3 = world.s3().await;
    for i in 0..10 {
        let put = s3.put_object().bucket(BUCKET).key(format!("rustwren/jobs/{i}"));
        put.body(Vec::new().into()).send().await.unwrap();
    }
    let plan = tear_down(&provisioner).await;
    assert_eq!(plan.steps[3].about, "with more than 3 objects");
    assert!(s3.list_buckets().send().await.unwrap().buckets().is_empty());
}

#[tokio::test]
async fn every_leg_is_looked_at() {
    let world = World::new();
    let provisioner = world.provisioner(&[], &[]).await;
    let legs = provisioner.verify().await;
    let bad = |name: &str| {
        let leg = legs.iter().find(|leg| leg.name == name).unwrap();
        leg.outcome.as_ref().unwrap_err().hint().unwrap_or_default().to_owned()
    };
    for name in ["bucket", "function"] {
        assert!(bad(name).contains("rustwren setup"), "{}", bad(name));
    }
    set_up(&provisioner).await;
    let legs = provisioner.verify().await;
    let names: Vec<&str> = legs.iter().map(|leg| leg.name.as_str()).collect();
    assert_eq!(names, ["credentials", "bucket", "function"]);
    for leg in &legs {
        assert!(leg.outcome.is_ok(), "{leg:?}");
    }
    let other = world.provisioner(&[], &[("memory", "512MiB")]).await;
    let leg = other.verify().await.pop().unwrap();
    let error = leg.outcome.unwrap_err();
    assert!(error.message().contains("not as it is configured: memory"), "{error}");
}

#[tokio::test]
async fn logs_are_read_page_by_page_and_searched_here() {
    let world = World::new();
    let provisioner = world.provisioner(&[], &[]).await;
    let query = || LogQuery::since(SystemTime::UNIX_EPOCH);
    let lines = |query| async { provisioner.logs(query).await.unwrap().try_collect::<Vec<_>>().await };
    let error = lines(query()).await.unwrap_err();
    assert!(error.hint().is_some_and(|hint| hint.contains("rustwren setup")), "{error}");

    set_up(&provisioner).await;
    let logs = aws_sdk_cloudwatchlogs::Client::new(&world.config().await);
    #[expect(clippy::disallowed_methods, reason = "moto takes lines of the last days only")]
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64;
    for stream in ["worker-a", "worker-b"] {
        logs.create_log_stream().log_group_name(GROUP).log_stream_name(stream).send().await.unwrap();
        let events = (0..6_000).map(|i| {
            let event = aws_sdk_cloudwatchlogs::types::InputLogEvent::builder();
            event.timestamp(now - 10_000 + i).message(format!("line {i} \"of\" {stream}\n")).build().unwrap()
        });
        let put = logs.put_log_events().log_group_name(GROUP).log_stream_name(stream);
        put.set_log_events(Some(events.collect())).send().await.unwrap();
    }
    let all = lines(query()).await.unwrap();
    assert_eq!(all.len(), 12_000);
    assert!(all.iter().all(|line| line.source.starts_with("worker-") && !line.text.ends_with('\n')));
    let mut some = query();
    some.filter = Some("5999 \"of\" worker-b".to_owned());
    let some = lines(some).await.unwrap();
    assert_eq!(some.len(), 1);
    assert_eq!(some[0].text, "line 5999 \"of\" worker-b");
}
