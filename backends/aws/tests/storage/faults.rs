//! What S3 says when something is wrong, and what networks do, from a front before moto: each is hidden, or an error of
//! its class with its mend.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use rustwren_aws::S3Storage;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::storage::{Key, PutOutcome, Storage, StorageExt};
use rustwren_testkit::standins::{Front, Moto, Request, Verdict};

use crate::place;

/// A storage behind a front, and what it must outlive.
struct Scene {
    storage: S3Storage,
    front: Front,
    _moto: Moto,
}

impl Scene {
    async fn new(judge: impl Fn(&Request) -> Verdict + Send + Sync + 'static) -> Self {
        let moto = Moto::start();
        let front = Front::before(moto.address(), judge);
        let storage = S3Storage::open(&place::config(front.endpoint(), moto.new_bucket())).await.unwrap();
        Self { storage, front, _moto: moto }
    }

    /// Where the first request that `matches` meets `verdict`, and all others pass.
    async fn once(matches: fn(&Request) -> bool, verdict: Verdict) -> Self {
        Self::times(1, matches, verdict).await
    }

    async fn times(times: usize, matches: fn(&Request) -> bool, verdict: Verdict) -> Self {
        let met = AtomicUsize::new(0);
        Self::new(move |request| {
            let is_met = matches(request) && met.fetch_add(1, Ordering::SeqCst) < times;
            if is_met { verdict.clone() } else { Verdict::Pass }
        })
        .await
    }
}

/// Answers everything with this error; no server is needed behind it.
async fn refusing(
    status: u16,
    code: &'static str,
    headers: &'static [(&'static str, &'static str)],
) -> (S3Storage, Front) {
    let front = Front::before("127.0.0.1:1", move |_| Verdict::s3_error(status, code, headers));
    let storage = S3Storage::open(&place::config(front.endpoint(), "some-bucket".to_owned())).await.unwrap();
    (storage, front)
}

fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

fn is_put(request: &Request) -> bool {
    request.method == "PUT"
}

fn is_get(request: &Request) -> bool {
    request.method == "GET"
}

/// Enough for three parts.
fn large() -> Bytes {
    let mut random = fastrand::Rng::with_seed(7);
    let mut bytes = vec![0; 13 << 20];
    random.fill(&mut bytes);
    Bytes::from(bytes)
}

/// The errors of every operation.
async fn all_errors(storage: &S3Storage) -> Vec<BackendError> {
    let k = key("k");
    vec![
        storage.put(&k, Bytes::from_static(b"v")).await.unwrap_err(),
        storage.put_if_absent(&k, Bytes::from_static(b"v")).await.unwrap_err(),
        storage.put(&k, large()).await.unwrap_err(),
        storage.get(&k).await.unwrap_err(),
        storage.get_range(&k, 1..2).await.unwrap_err(),
        storage.head(&k).await.unwrap_err(),
        storage.list_all("").await.unwrap_err(),
        storage.delete(&k).await.unwrap_err(),
    ]
}

#[tokio::test]
async fn every_operation_names_what_is_wrong_and_the_mend() {
    let region: &[_] = &[("x-amz-bucket-region", "eu-west-1")];
    for (status, code, headers, class, mend) in [
        (404, "NoSuchBucket", &[][..], ErrorClass::Misconfigured, "rustwren setup"),
        (301, "PermanentRedirect", region, ErrorClass::Misconfigured, "region = \"eu-west-1\""),
        (400, "AuthorizationHeaderMalformed", region, ErrorClass::Misconfigured, "region = \"eu-west-1\""),
        (400, "ExpiredToken", &[], ErrorClass::Denied, "expired"),
        (403, "InvalidAccessKeyId", &[], ErrorClass::Denied, "AWS_ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", &[], ErrorClass::Denied, "secret access key"),
        (403, "AccessDenied", &[], ErrorClass::Denied, "allow s3:"),
        (403, "RequestTimeTooSkewed", &[], ErrorClass::Misconfigured, "clock"),
    ] {
        let (storage, _front) = refusing(status, code, headers).await;
        for error in all_errors(&storage).await {
            assert_eq!(error.class(), class, "{error}");
            assert!(error.hint().unwrap_or_default().contains(mend), "{error}\nhint: {:?}", error.hint());
            assert!(error.to_string().contains("s3://some-bucket/a prefix/of ours"), "{error}");
            assert!(error.to_string().contains(code), "{error}");
        }
    }
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_no_missing_object() {
    let moto = Moto::start();
    let storage = S3Storage::open(&place::config(moto.endpoint(), "not-there".to_owned())).await.unwrap();
    for error in all_errors(&storage).await {
        assert_eq!(error.class(), ErrorClass::Misconfigured, "{error}");
        assert!(error.hint().unwrap_or_default().contains("not-there does not exist"), "{:?}", error.hint());
    }
}

#[tokio::test]
async fn nobody_there_and_no_credentials() {
    // A port that was free a moment ago.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = place::config(format!("http://{address}"), "some-bucket".to_owned());
    let error = S3Storage::open(&config).await.unwrap().get(&key("k")).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Transient, "{error}");
    assert!(error.hint().unwrap_or_default().contains("endpoint"), "{:?}", error.hint());
}

#[tokio::test]
async fn passing_trouble_is_hidden() {
    for verdict in [
        Verdict::s3_error(503, "SlowDown", &[]),
        Verdict::s3_error(503, "SlowDown", &[("retry-after", "0")]),
        Verdict::s3_error(500, "InternalError", &[]),
        Verdict::Drop,
        Verdict::LoseAnswer,
    ] {
        let scene = Scene::times(2, |_| true, verdict.clone()).await;
        let k = key("k");
        scene
            .storage
            .put(&k, Bytes::from_static(b"v"))
            .await
            .unwrap_or_else(|error| panic!("{verdict:?}: {error}"));
        assert_eq!(scene.front.served(), 3, "{verdict:?}");
        assert_eq!(scene.storage.get(&k).await.unwrap(), "v");
    }
}

#[tokio::test]
async fn trouble_that_stays_is_reported_after_a_bounded_number_of_tries() {
    let front = Front::before("127.0.0.1:1", |_| Verdict::s3_error(500, "InternalError", &[]));
    let storage = S3Storage::open(&place::config(front.endpoint(), "some-bucket".to_owned())).await.unwrap();
    let error = storage.get(&key("k")).await.unwrap_err();
    assert_eq!((error.class(), front.served()), (ErrorClass::Transient, 3), "{error}");

    // What asks for too long a pause is the caller's to wait for.
    let front =
        Front::before("127.0.0.1:1", |_| Verdict::s3_error(503, "SlowDown", &[("retry-after", "60")]));
    let storage = S3Storage::open(&place::config(front.endpoint(), "some-bucket".to_owned())).await.unwrap();
    let error = storage.get(&key("k")).await.unwrap_err();
    let retry_after = Some(std::time::Duration::from_mins(1));
    assert_eq!((error.class(), front.served()), (ErrorClass::Throttled { retry_after }, 1), "{error}");
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_its_own() {
    for size in [3, 13 << 20] {
        let is_last = move |request: &Request| {
            let is_whole = request.header("if-none-match") == Some("*");
            is_whole && ["PUT", "POST"].contains(&request.method.as_str())
        };
        let met = AtomicUsize::new(0);
        let scene = Scene::new(move |request| {
            if is_last(request) && met.fetch_add(1, Ordering::SeqCst) == 0 {
                Verdict::LoseAnswer
            } else {
                Verdict::Pass
            }
        })
        .await;
        let (k, data) = (key("k"), large().slice(..size));
        let outcome = scene.storage.put_if_absent(&k, data.clone()).await.unwrap();
        assert_eq!(outcome, PutOutcome::Created, "{size} bytes");
        assert!(scene.storage.get(&k).await.unwrap() == data);
        assert_eq!(scene.storage.put_if_absent(&k, data).await.unwrap(), PutOutcome::Exists);
    }
}

#[tokio::test]
async fn anothers_write_of_the_same_bytes_is_not_ones_own() {
    // The first attempt comes to nothing and says nothing; meanwhile another writes the same.
    let moto = Moto::start();
    let bucket = moto.new_bucket();
    let other = S3Storage::open(&place::config(moto.endpoint(), bucket.clone())).await.unwrap();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let front = Front::before(moto.address(), move |request| {
        if request.number == 0 {
            tell.send(()).unwrap();
            gate.lock().unwrap().recv().unwrap();
            return Verdict::Drop;
        }
        Verdict::Pass
    });
    let storage = S3Storage::open(&place::config(front.endpoint(), bucket)).await.unwrap();
    let (k, data) = (key("k"), Bytes::from_static(b"the same"));
    let write = storage.put_if_absent(&k, data.clone());
    let overtake = async {
        told.recv().await.unwrap();
        assert_eq!(other.put_if_absent(&k, data.clone()).await.unwrap(), PutOutcome::Created);
        go.send(()).unwrap();
    };
    let (outcome, ()) = tokio::join!(write, overtake);
    assert_eq!(outcome.unwrap(), PutOutcome::Exists);
}

#[tokio::test]
async fn conditional_writes_that_meet_are_tried_again() {
    let conflict = Verdict::s3_error(409, "ConditionalRequestConflict", &[]);
    let scene = Scene::times(3, is_put, conflict.clone()).await;
    let k = key("k");
    assert_eq!(scene.storage.put_if_absent(&k, Bytes::from_static(b"v")).await.unwrap(), PutOutcome::Created);
    assert_eq!(scene.front.served(), 4);

    // In parts, all of it is sent again.
    let scene = Scene::once(|request| request.header("if-none-match").is_some(), conflict).await;
    assert_eq!(scene.storage.put_if_absent(&k, large()).await.unwrap(), PutOutcome::Created);
    assert!(scene.storage.get(&k).await.unwrap() == large());
    assert_no_uploads(&scene).await;
}

async fn assert_no_uploads(scene: &Scene) {
    let location = scene.storage.location();
    let bucket = location.trim_start_matches("s3://").split('/').next().unwrap();
    let uploads = scene.storage.client().list_multipart_uploads().bucket(bucket).send().await.unwrap();
    assert!(uploads.uploads().is_empty(), "{uploads:?}");
}

#[tokio::test]
async fn an_upload_that_fails_is_aborted_and_nothing_is_seen_of_it() {
    let scene = Scene::new(|request| {
        let is_second = request.path.contains("partNumber=2");
        if is_second { Verdict::s3_error(403, "AccessDenied", &[]) } else { Verdict::Pass }
    })
    .await;
    let k = key("k");
    scene.storage.put(&k, Bytes::from_static(b"before")).await.unwrap();
    let error = scene.storage.put(&k, large()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Denied, "{error}");
    assert_eq!(scene.storage.get(&k).await.unwrap(), "before");
    assert_no_uploads(&scene).await;
}

#[tokio::test]
async fn an_upload_that_is_cancelled_is_aborted() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let scene = Scene::new(move |request| {
        let is_told = request.path.contains("partNumber=1") || request.method == "DELETE";
        if is_told {
            tell.send(request.method.clone()).unwrap();
        }
        Verdict::Pass
    })
    .await;
    let (k, data) = (key("k"), large());
    tokio::select! {
        biased;
        method = told.recv() => assert_eq!(method.as_deref(), Some("PUT")),
        done = scene.storage.put(&k, data) => panic!("it was to be cancelled: {done:?}"),
    }
    assert_eq!(told.recv().await.as_deref(), Some("DELETE"));
    assert!(!scene.storage.exists(&k).await.unwrap());
}

#[tokio::test]
async fn parts_that_fail_in_passing_are_sent_again_alone() {
    let scene = Scene::once(|request| request.path.contains("partNumber=2"), Verdict::LoseAnswer).await;
    let k = key("k");
    scene.storage.put(&k, large()).await.unwrap();
    // Begun, three parts, one of them twice, completed.
    assert_eq!(scene.front.served(), 6);
    assert!(scene.storage.get(&k).await.unwrap() == large());
}

#[tokio::test]
async fn answers_that_end_early_are_asked_for_again() {
    for at in [0, 1, 1_000_000] {
        let scene = Scene::times(2, is_get, Verdict::CutAnswer(at)).await;
        let k = key("k");
        scene.storage.put(&k, large()).await.unwrap();
        assert!(scene.storage.get(&k).await.unwrap() == large(), "cut at {at}");
        assert!(scene.storage.get_range(&k, 10..6_000_000).await.unwrap() == large().slice(10..6_000_000));
    }
}

#[tokio::test]
async fn what_is_replaced_while_it_is_read_is_read_anew() {
    let moto = Moto::start();
    let bucket = moto.new_bucket();
    let other = S3Storage::open(&place::config(moto.endpoint(), bucket.clone())).await.unwrap();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let (gate, met) = (std::sync::Mutex::new(gate), AtomicUsize::new(0));
    let front = Front::before(moto.address(), move |request| {
        // Before the first part but the first: the object is another one by then.
        if request.header("if-match").is_some() && met.fetch_add(1, Ordering::SeqCst) == 0 {
            tell.send(()).unwrap();
            gate.lock().unwrap().recv().unwrap();
        }
        Verdict::Pass
    });
    let storage = S3Storage::open(&place::config(front.endpoint(), bucket)).await.unwrap();
    let (k, first) = (key("k"), large());
    let second = Bytes::from(vec![7; first.len()]);
    storage.put(&k, first.clone()).await.unwrap();
    let replace = async {
        told.recv().await.unwrap();
        other.put(&k, second.clone()).await.unwrap();
        go.send(()).unwrap();
    };
    let (read, ()) = tokio::join!(storage.get(&k), replace);
    let read = read.unwrap();
    assert!(read == second, "a mixture, or what was replaced before the reading ended");
}
