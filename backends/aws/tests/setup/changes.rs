//! What a second run does: nothing, or exactly what has changed, in the configuration or at AWS.

use rustwren_core::provision::{Provisioner as _, Unwatched};

use crate::world::{BUCKET, FUNCTION, GROUP, ROLE, World, set_up, told};

#[tokio::test]
async fn what_changed_in_the_configuration_is_what_changes() {
    let world = World::new();
    set_up(&world.provisioner(&[], &[]).await).await;
    let changed = world
        .try_provisioner(
            &[("keep_jobs", "7d"), ("tags", "team=vision")],
            &[
                ("memory", "512MiB"),
                ("timeout", "1m"),
                ("log_retention", "30d"),
                ("reserved", "5"),
                ("pass_env", "AWS_*"),
            ],
            "other-runtime",
        )
        .await
        .unwrap();
    let plan = changed.plan().await.unwrap();
    let told_now = told(&plan);
    assert_eq!(told_now[0], "bucket: tag team - -> vision, data of jobs kept for 30 days -> kept for 7 days");
    assert_eq!(told_now[1], "role: what it allows");
    assert_eq!(told_now[2], "log group: days that lines are kept 14 -> 30");
    let function = &told_now[3];
    for part in [
        "memory 1769 MB -> 512 MB",
        "timeout 15m -> 1m",
        "variable RUSTWREN__COMPUTE__PASS_ENV - -> AWS_*",
        "runtime's program ",
        "reserved - -> 5",
    ] {
        assert!(function.contains(part), "{part}: {function}");
    }
    assert_eq!(told_now.len(), 4, "{told_now:?}");

    changed.apply(&plan, &Unwatched).await.unwrap();
    assert_eq!(told(&changed.plan().await.unwrap()), [""; 0]);
    // And back, with what is no longer wanted removed.
    let bare = world.provisioner(&[("keep_jobs", "0s")], &[]).await;
    let plan = set_up(&bare).await;
    assert!(told(&plan)[0].ends_with("kept for 7 days -> kept for ever"), "{plan:?}");
    assert_eq!(told(&bare.plan().await.unwrap()), [""; 0]);
}

#[tokio::test]
async fn what_drifted_at_aws_is_noticed_and_put_right() {
    let world = World::new();
    let provisioner = world.provisioner(&[], &[]).await;
    set_up(&provisioner).await;
    let config = world.config().await;
    let iam = aws_sdk_iam::Client::new(&config);
    let wide = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    let put = iam.put_role_policy().role_name(ROLE).policy_name("rustwren").policy_document(wide);
    put.send().await.unwrap();
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}"#;
    iam.update_assume_role_policy().role_name(ROLE).policy_document(trust).send().await.unwrap();
    iam.put_role_policy().role_name(ROLE).policy_name("theirs").policy_document(wide).send().await.unwrap();
    let s3 = world.s3().await;
    s3.delete_public_access_block().bucket(BUCKET).send().await.unwrap();
    s3.delete_bucket_encryption().bucket(BUCKET).send().await.unwrap();
    let lambda = aws_sdk_lambda::Client::new(&config);
    lambda.delete_function_event_invoke_config().function_name(FUNCTION).send().await.unwrap();
    let logs = aws_sdk_cloudwatchlogs::Client::new(&config);
    logs.delete_retention_policy().log_group_name(GROUP).send().await.unwrap();

    let plan = set_up(&provisioner).await;
    assert_eq!(
        told(&plan),
        [
            "bucket: public access blocked no -> yes, encrypted no -> yes",
            "role: who may take it on, what it allows",
            "log group: days that lines are kept - -> 14",
            "async calls: create",
        ]
    );
    assert!(plan.notes.iter().any(|note| note.contains("also has theirs")), "{:?}", plan.notes);
    assert_eq!(told(&provisioner.plan().await.unwrap()), [""; 0]);
}

#[tokio::test]
async fn rules_and_tags_of_others_stay() {
    let world = World::new();
    let provisioner = world.provisioner(&[], &[]).await;
    set_up(&provisioner).await;
    let s3 = world.s3().await;
    let found = s3.get_bucket_lifecycle_configuration().bucket(BUCKET).send().await.unwrap();
    let mut rules = found.rules.unwrap();
    let theirs = aws_sdk_s3::types::LifecycleRule::builder()
        .id("theirs")
        .status(aws_sdk_s3::types::ExpirationStatus::Enabled)
        .filter(aws_sdk_s3::types::LifecycleRuleFilter::builder().prefix("logs/").build())
        .expiration(aws_sdk_s3::types::LifecycleExpiration::builder().days(9).build())
        .build()
        .unwrap();
    rules.push(theirs);
    let rules =
        aws_sdk_s3::types::BucketLifecycleConfiguration::builder().set_rules(Some(rules)).build().unwrap();
    s3.put_bucket_lifecycle_configuration()
        .bucket(BUCKET)
        .lifecycle_configuration(rules)
        .send()
        .await
        .unwrap();
    assert_eq!(told(&provisioner.plan().await.unwrap()), [""; 0]);
    for (storage, left) in [(&[("keep_jobs", "3d"), ("tags", "a=1")][..], 2), (&[("keep_jobs", "0s")][..], 1)]
    {
        set_up(&world.provisioner(storage, &[]).await).await;
        let found = s3.get_bucket_lifecycle_configuration().bucket(BUCKET).send().await.unwrap();
        assert_eq!(found.rules().len(), left);
        assert!(found.rules().iter().any(|rule| rule.id() == Some("theirs")));
        let tags = s3.get_bucket_tagging().bucket(BUCKET).send().await.unwrap();
        assert!(
            tags.tag_set().iter().any(|tag| tag.key() == "a"),
            "a tag that is no longer asked for is left"
        );
    }
}

#[tokio::test]
async fn an_old_plan_is_not_carried_out() {
    let world = World::new();
    let provisioner = world.provisioner(&[], &[]).await;
    set_up(&provisioner).await;
    let changed = world.provisioner(&[], &[("memory", "512MiB")]).await;
    let plan = changed.plan().await.unwrap();
    set_up(&world.provisioner(&[], &[("memory", "1GiB")]).await).await;
    let error = changed.apply(&plan, &Unwatched).await.unwrap_err();
    assert!(error.message().contains("no longer as it was"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("again")));
}
