//! What the policies allow, with moto's enforcement on.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_types::error::metadata::ProvideErrorMetadata as _;
use rustwren_aws::client::Keys;
use rustwren_aws::provision::Account;
use rustwren_aws::provision::policy::{self, Objects, Scope};
use rustwren_core::error::ErrorKind;
use rustwren_core::provision::Provisioner as _;
use rustwren_testkit::standins::{Front, Moto, Request, Verdict};
use serde_json::{Value, json};

use crate::world::{BUCKET, FUNCTION, REGION, ROLE, World, set_up, tear_down};

/// From now on, moto checks who asks for what.
fn enforce(moto: &Moto) {
    let mut stream = TcpStream::connect(moto.address()).unwrap();
    let request = format!(
        "POST /moto-api/reset-auth HTTP/1.1\r\nhost: {}\r\ncontent-length: 1\r\nconnection: close\r\n\r\n0",
        moto.address()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 200 "), "{answer}");
}

fn scope() -> Scope {
    Scope {
        account: Account { id: "123456789012".to_owned(), partition: "aws".to_owned() },
        region: REGION.to_owned(),
        objects: Some(Objects { bucket: BUCKET.to_owned(), prefix: "rustwren/".to_owned() }),
        function: Some(FUNCTION.to_owned()),
        role: Some(ROLE.to_owned()),
    }
}

/// The policy as moto can judge it: for all services but S3 it takes every request as one about everything, and it knows
/// no conditions outside of trust policies.
fn for_moto(mut policy: Value) -> Value {
    for statement in policy["Statement"].as_array_mut().unwrap() {
        let statement = statement.as_object_mut().unwrap();
        statement.remove("Condition");
        let of_s3 = statement["Action"][0].as_str().is_some_and(|action| action.starts_with("s3:"));
        if !of_s3 {
            statement.insert("Resource".to_owned(), json!("*"));
        }
        // Which AWS asks s3:ListBucket for.
        if statement["Sid"] == "Bucket" {
            statement["Action"].as_array_mut().unwrap().push(json!("s3:HeadBucket"));
        }
    }
    policy
}

/// Hands a request on to another server than the one behind the front.
fn elsewhere(request: &Request, address: &str) -> Verdict {
    let mut stream = TcpStream::connect(address).unwrap();
    let Request { method, path, headers, body, .. } = request;
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    for (name, value) in headers.iter().filter(|(name, _)| name != "connection") {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    stream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let error = head.lines().find(|line| line.to_ascii_lowercase().starts_with("x-amzn-errortype: "));
    let error = error.and_then(|line| line.split_once(": "));
    let headers = error.map(|(_, code)| ("x-amzn-errortype", code.to_owned()));
    Verdict::Answer { status, headers: headers.into_iter().collect(), body: body.to_owned() }
}

/// Sends what is for Lambda to a moto that enforces nothing, where the function's role is known.
async fn without_lambda(world: &mut World) -> (Moto, Front) {
    let lenient = World::new();
    let iam = aws_sdk_iam::Client::new(&lenient.config().await);
    iam.create_role().role_name(ROLE).assume_role_policy_document("{}").send().await.unwrap();
    let lenient = lenient.moto;
    let address = lenient.address().to_owned();
    let front = Front::before(world.moto.address(), move |request| {
        // Lambda's paths begin with the date of the version of its API.
        if request.path.starts_with("/20") { elsewhere(request, &address) } else { Verdict::Pass }
    });
    world.endpoint = front.endpoint();
    (lenient, front)
}

/// A new user who may do this.
async fn user(world: &World, policy: &Value) -> Keys {
    let iam = aws_sdk_iam::Client::new(&world.config().await);
    iam.create_user().user_name("ada").send().await.unwrap();
    let put = iam.put_user_policy().user_name("ada").policy_name("all").policy_document(policy.to_string());
    put.send().await.unwrap();
    let key = iam.create_access_key().user_name("ada").send().await.unwrap().access_key.unwrap();
    Keys { id: key.access_key_id, secret: key.secret_access_key }
}

#[tokio::test]
async fn the_workers_role_opens_its_prefix_and_nothing_else() {
    let world = World::new();
    set_up(&world.provisioner(&[], &[]).await).await;
    let config = world.config().await;
    let plain = world.s3().await;
    for key in ["rustwren/x", "neighbour/x", "rustwren-2/x"] {
        plain.put_object().bucket(BUCKET).key(key).body(b"x".to_vec().into()).send().await.unwrap();
    }
    let sts = aws_sdk_sts::Client::new(&config);
    let role = format!("arn:aws:iam::123456789012:role/{ROLE}");
    let taken = sts.assume_role().role_arn(role).role_session_name("worker").send().await.unwrap();
    let taken = taken.credentials.unwrap();
    let session = Some(taken.session_token);
    let credentials = Credentials::new(taken.access_key_id, taken.secret_access_key, session, None, "role");
    enforce(&world.moto);

    let config =
        config.to_builder().credentials_provider(SharedCredentialsProvider::new(credentials)).build();
    let s3 = aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build();
    let s3 = aws_sdk_s3::Client::from_conf(s3);
    s3.get_object().bucket(BUCKET).key("rustwren/x").send().await.unwrap();
    s3.put_object().bucket(BUCKET).key("rustwren/y").body(b"y".to_vec().into()).send().await.unwrap();
    s3.delete_object().bucket(BUCKET).key("rustwren/y").send().await.unwrap();
    for key in ["neighbour/x", "rustwren-2/x"] {
        let read = s3.get_object().bucket(BUCKET).key(key).send().await.unwrap_err();
        assert_eq!(read.code(), Some("AccessDenied"), "{key}");
        let written =
            s3.put_object().bucket(BUCKET).key(key).body(Vec::new().into()).send().await.unwrap_err();
        assert_eq!(written.code(), Some("AccessDenied"), "{key}");
        let removed = s3.delete_object().bucket(BUCKET).key(key).send().await.unwrap_err();
        assert_eq!(removed.code(), Some("AccessDenied"), "{key}");
    }
    let removed = s3.delete_bucket().bucket(BUCKET).send().await.unwrap_err();
    assert_eq!(removed.code(), Some("AccessDenied"));
    let iam = aws_sdk_iam::Client::new(&config);
    let wide =
        iam.put_role_policy().role_name(ROLE).policy_name("rustwren").policy_document("{}").send().await;
    // moto says so in a form that names no code.
    assert_eq!(wide.unwrap_err().raw_response().map(|answer| answer.status().as_u16()), Some(403));
}

#[tokio::test]
async fn whoever_has_the_documented_policy_can_set_up_and_tear_down() {
    let mut world = World::new();
    world.keys = user(&world, &for_moto(policy::deployer(&scope()))).await;
    let _servers = without_lambda(&mut world).await;
    enforce(&world.moto);
    let first = world.provisioner(&[], &[]).await;
    set_up(&first).await;
    assert!(first.verify().await.iter().all(|leg| leg.outcome.is_ok()));
    let changed = [("memory", "512MiB"), ("reserved", "4"), ("tags", "a=b"), ("log_retention", "30d")];
    let second =
        world.try_provisioner(&[("tags", "a=b"), ("keep_jobs", "9d")], &changed, "other-runtime").await;
    set_up(&second.unwrap()).await;
    set_up(&first).await;
    let removed = tear_down(&first).await;
    assert_eq!(removed.steps.len(), 4);
    assert!(tear_down(&first).await.steps.is_empty());
}

#[tokio::test]
async fn a_missing_permission_ends_setup_with_its_name() {
    let mut world = World::new();
    let mut policy = for_moto(policy::deployer(&scope()));
    for statement in policy["Statement"].as_array_mut().unwrap() {
        let actions = statement["Action"].as_array_mut().unwrap();
        actions.retain(|action| action != "iam:CreateRole");
    }
    world.keys = user(&world, &policy).await;
    let _servers = without_lambda(&mut world).await;
    enforce(&world.moto);
    let provisioner = world.provisioner(&[], &[]).await;
    let plan = provisioner.plan().await.unwrap();
    let error = provisioner.apply(&plan, &rustwren_core::provision::Unwatched).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.message().contains("making the role wren-eu-west-1"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.starts_with("allow iam:CreateRole")), "{error}");
    // What was made before it can be removed.
    assert_eq!(tear_down(&provisioner).await.steps.len(), 1);
}
