//! What is refused, and what the refusal says.

use rustwren_core::error::{Error, ErrorKind};
use rustwren_core::provision::Provisioner as _;
use rustwren_testkit::standins::{Front, Verdict};

use crate::world::{BUCKET, FUNCTION, GROUP, REGION, ROLE, World, set_up, tear_down};

/// Plans in a world with something in it that is not ours: it is refused, and is there unchanged after a teardown.
async fn refused(world: &World, what: &str, name: &str) {
    let provisioner = world.provisioner(&[], &[]).await;
    let error = provisioner.plan().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(
        error.message().starts_with(&format!("the {what} {name} is there, and was not made by")),
        "{error}"
    );
    assert!(error.hint().is_some_and(|hint| hint.contains("rustwren=setup")), "{error}");
    let plan = tear_down(&provisioner).await;
    assert!(plan.steps.is_empty(), "{plan:?}");
    assert!(plan.notes.iter().any(|note| note.contains(name) && note.contains("stays")), "{plan:?}");
}

#[tokio::test]
async fn a_bucket_of_somebody_elses_is_left_alone() {
    let world = World::new();
    let s3 = world.s3().await;
    let place =
        aws_sdk_s3::types::CreateBucketConfiguration::builder().location_constraint(REGION.into()).build();
    s3.create_bucket().bucket(BUCKET).create_bucket_configuration(place).send().await.unwrap();
    refused(&world, "bucket", BUCKET).await;
    assert!(s3.get_public_access_block().bucket(BUCKET).send().await.is_err(), "nothing was set");

    // But it may be used.
    let provisioner = world.provisioner(&[("make_bucket", "false")], &[]).await;
    let plan = set_up(&provisioner).await;
    assert!(plan.steps.iter().all(|step| step.kind != "bucket"), "{plan:?}");
    assert!(provisioner.verify().await.iter().all(|leg| leg.outcome.is_ok()));
    let plan = tear_down(&provisioner).await;
    assert!(plan.steps.iter().all(|step| step.kind != "bucket"), "{plan:?}");
    s3.head_bucket().bucket(BUCKET).send().await.unwrap();
}

#[tokio::test]
async fn a_role_of_somebody_elses_is_left_alone() {
    let world = World::new();
    let iam = aws_sdk_iam::Client::new(&world.config().await);
    iam.create_role().role_name(ROLE).assume_role_policy_document("{}").send().await.unwrap();
    refused(&world, "role", ROLE).await;
    assert!(iam.list_role_policies().role_name(ROLE).send().await.unwrap().policy_names().is_empty());

    // But it may be used.
    let arn = format!("arn:aws:iam::123456789012:role/{ROLE}");
    let provisioner = world.provisioner(&[], &[("role", &arn)]).await;
    let plan = set_up(&provisioner).await;
    assert!(plan.steps.iter().all(|step| step.kind != "role"), "{plan:?}");
    tear_down(&provisioner).await;
    iam.get_role().role_name(ROLE).send().await.unwrap();
}

#[tokio::test]
async fn a_function_of_somebody_elses_is_left_alone() {
    let world = World::new();
    let config = world.config().await;
    let iam = aws_sdk_iam::Client::new(&config);
    let role = iam.create_role().role_name("theirs").assume_role_policy_document("{}").send().await.unwrap();
    let lambda = aws_sdk_lambda::Client::new(&config);
    let code =
        aws_sdk_lambda::types::FunctionCode::builder().zip_file(aws_sdk_lambda::primitives::Blob::new("zip"));
    let create =
        lambda.create_function().function_name(FUNCTION).role(role.role().unwrap().arn()).code(code.build());
    create.runtime("python3.12".into()).handler("x.y").send().await.unwrap();
    refused(&world, "function", FUNCTION).await;
    let found = lambda.get_function_configuration().function_name(FUNCTION).send().await.unwrap();
    assert_eq!(found.handler(), Some("x.y"));
}

#[tokio::test]
async fn a_log_group_of_somebody_elses_is_left_alone() {
    let world = World::new();
    let logs = aws_sdk_cloudwatchlogs::Client::new(&world.config().await);
    logs.create_log_group().log_group_name(GROUP).send().await.unwrap();
    refused(&world, "log group", GROUP).await;
    // One whose name only begins like ours is no hindrance.
    logs.delete_log_group().log_group_name(GROUP).send().await.unwrap();
    logs.create_log_group().log_group_name(format!("{GROUP}-2")).send().await.unwrap();
    let provisioner = world.provisioner(&[], &[]).await;
    set_up(&provisioner).await;
    tear_down(&provisioner).await;
    assert_eq!(logs.describe_log_groups().send().await.unwrap().log_groups().len(), 1);
}

/// What planning says when the first request that `which` picks is answered so.
async fn answered(
    which: impl Fn(&rustwren_testkit::standins::Request) -> bool + Send + Sync + 'static,
    verdict: Verdict,
) -> Error {
    let mut world = World::new();
    let front =
        Front::before(
            world.moto.address(),
            move |request| if which(request) { verdict.clone() } else { Verdict::Pass },
        );
    world.endpoint = front.endpoint();
    world.provisioner(&[], &[]).await.plan().await.unwrap_err()
}

fn of_action(action: &'static str) -> impl Fn(&rustwren_testkit::standins::Request) -> bool {
    move |request| String::from_utf8_lossy(&request.body).starts_with(&format!("Action={action}&"))
}

#[tokio::test]
async fn a_missing_permission_is_named() {
    let denied = Verdict::Answer {
        status: 403,
        headers: vec![("content-type", "text/xml".to_owned())],
        body: "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User: ada is not authorized to \
               perform: iam:GetRole</Message></Error><RequestId>R1</RequestId></ErrorResponse>"
            .to_owned(),
    };
    let error = answered(of_action("GetRole"), denied).await;
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.message().contains("looking for the role wren-eu-west-1: AccessDenied (403)"), "{error}");
    assert_eq!(error.hint(), Some("allow iam:GetRole: docs/aws.md has the policy of whoever sets up"));

    let tagging = |request: &rustwren_testkit::standins::Request| request.path.ends_with("?tagging");
    let mut world = World::new();
    set_up(&world.provisioner(&[], &[]).await).await;
    let front = Front::before(world.moto.address(), move |request| {
        if tagging(request) { Verdict::s3_error(403, "AccessDenied", &[]) } else { Verdict::Pass }
    });
    world.endpoint = front.endpoint();
    let error = world.provisioner(&[], &[]).await.plan().await.unwrap_err();
    assert!(error.hint().is_some_and(|hint| hint.starts_with("allow s3:GetBucketTagging")), "{error}");
}

#[tokio::test]
async fn credentials_that_are_not_good_are_told_first() {
    let expired = Verdict::Answer {
        status: 403,
        headers: Vec::new(),
        body: "<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredToken</Code><Message>it is \
               expired</Message></Error></ErrorResponse>"
            .to_owned(),
    };
    let error = answered(of_action("GetCallerIdentity"), expired).await;
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.hint().is_some_and(|hint| hint.contains("expired")), "{error}");
}

#[tokio::test]
async fn a_bucket_elsewhere_is_told_with_its_place() {
    let head = |request: &rustwren_testkit::standins::Request| request.method == "HEAD";
    let moved = Verdict::s3_error(301, "", &[("x-amz-bucket-region", "us-west-2")]);
    let error = answered(head, moved).await;
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("is in us-west-2, and not in eu-west-1"), "{error}");
    let error = answered(head, Verdict::s3_error(403, "", &[])).await;
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.hint().is_some_and(|hint| hint.contains("belongs to another account")), "{error}");
}

#[tokio::test]
async fn a_runtime_that_cannot_run_there_is_refused_before_anything_is_asked_or_made() {
    let mut world = World::new();
    let front = Front::before(world.moto.address(), |_| Verdict::Pass);
    world.endpoint = front.endpoint();
    let arm = world.provisioner(&[], &[("architecture", "arm64")]).await;
    let error = arm.plan().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    assert!(
        error.hint().is_some_and(|hint| hint.contains("--target aarch64-unknown-linux-gnu.2.34")),
        "{error}"
    );
    let missing = world.try_provisioner(&[], &[], "nowhere").await.unwrap();
    assert_eq!(missing.plan().await.unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(front.served(), 0);
    // What does not need it does without.
    assert!(missing.destroy_plan().await.unwrap().steps.is_empty());
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let world = World::new();
    let long = "f".repeat(60);
    for (storage, compute, words) in [
        (&[("keep_jobs", "36h")][..], &[][..], "storage.keep_jobs` must be whole days"),
        (&[("prefix", "a*b")], &[], "storage.prefix` must not have"),
        (&[("tags", "x")], &[], "storage.tags` must"),
        (&[], &[("log_retention", "2d")], "compute.log_retention` must be one of"),
        (&[], &[("role", "my-role")], "compute.role` must be a role's ARN"),
        (&[], &[("function", &long)], "compute.function` must be shorter"),
    ] {
        let error = world.try_provisioner(storage, compute, "runtime").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains(words), "{error}");
    }
}
