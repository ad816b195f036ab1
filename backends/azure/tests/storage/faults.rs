//! What Blob storage says when something is wrong, and what networks do, from a front before Azurite: each is hidden, or
//! an error of its class with its mend.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use rustwren_azure::BlobStorage;
use rustwren_azure::client::Credentials;
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::storage::{Key, PutOutcome, Storage, StorageExt};
use rustwren_testkit::standins::{Azurite, Front, Request, Verdict};

use crate::place;

/// A storage behind a front, in a container of its own.
struct Scene {
    storage: BlobStorage,
    front: Front,
    container: String,
}

impl Scene {
    fn new(azurite: &Azurite, judge: impl Fn(&Request) -> Verdict + Send + Sync + 'static) -> Self {
        let front = Front::before(azurite.blob_address(), judge);
        let container = azurite.new_container();
        let storage = BlobStorage::open(&place::config(&front.endpoint(), container.clone())).unwrap();
        Self { storage, front, container }
    }

    /// Where the first requests that `matches` meet `verdict`, and all others pass.
    fn times(azurite: &Azurite, times: usize, matches: fn(&Request) -> bool, verdict: Verdict) -> Self {
        let met = AtomicUsize::new(0);
        Self::new(azurite, move |request| {
            let is_met = matches(request) && met.fetch_add(1, Ordering::SeqCst) < times;
            if is_met { verdict.clone() } else { Verdict::Pass }
        })
    }

    /// The same container, without the front.
    fn other(&self, azurite: &Azurite) -> BlobStorage {
        BlobStorage::open(&place::config(&place::address(azurite), self.container.clone())).unwrap()
    }
}

/// Answers everything with this error; no server is needed behind it.
fn refusing(
    status: u16,
    code: &'static str,
    headers: &'static [(&'static str, &'static str)],
) -> (BlobStorage, Front) {
    let front = Front::before("127.0.0.1:1", move |_| Verdict::azure_error(status, code, headers));
    let storage = BlobStorage::open(&place::config(&front.endpoint(), "some-jobs".to_owned())).unwrap();
    (storage, front)
}

fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

fn is_get(request: &Request) -> bool {
    request.method == "GET"
}

/// It decides whether the object is there.
fn is_conditional(request: &Request) -> bool {
    request.method == "PUT" && request.header("if-none-match") == Some("*")
}

/// Enough for three parts.
fn large() -> Bytes {
    let mut random = fastrand::Rng::with_seed(7);
    let mut bytes = vec![0; 5 << 20];
    random.fill(&mut bytes);
    Bytes::from(bytes)
}

/// The errors of every operation.
async fn all_errors(storage: &BlobStorage) -> Vec<BackendError> {
    let k = key("k");
    vec![
        storage.put(&k, Bytes::from_static(b"v")).await.unwrap_err(),
        storage.put_if_absent(&k, Bytes::from_static(b"v")).await.unwrap_err(),
        storage.put(&k, large()).await.unwrap_err(),
        storage.put_if_absent(&k, large()).await.unwrap_err(),
        storage.get(&k).await.unwrap_err(),
        storage.get_range(&k, 1..2).await.unwrap_err(),
        storage.head(&k).await.unwrap_err(),
        storage.list_all("").await.unwrap_err(),
        storage.delete(&k).await.unwrap_err(),
    ]
}

fn assert_all(errors: &[BackendError], class: ErrorClass, mend: &str) {
    for error in errors {
        assert_eq!(error.class(), class, "{error}");
        assert!(error.hint().unwrap_or_default().contains(mend), "{error}\nhint: {:?}", error.hint());
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

#[tokio::test]
async fn every_operation_names_what_is_wrong_and_the_mend() {
    for (status, code, class, mend) in [
        (404, "ContainerNotFound", ErrorClass::Misconfigured, "container create"),
        (403, "AuthenticationFailed", ErrorClass::Denied, "AZURE_STORAGE_KEY"),
        (403, "AuthorizationPermissionMismatch", ErrorClass::Denied, "Storage Blob Data Contributor"),
        (403, "AuthorizationFailure", ErrorClass::Denied, "firewall"),
        (403, "KeyBasedAuthenticationNotPermitted", ErrorClass::Denied, "az login"),
        (401, "NoAuthenticationInformation", ErrorClass::Denied, "az login"),
    ] {
        let (storage, _front) = refusing(status, code, &[]);
        let errors = all_errors(&storage).await;
        assert_all(&errors, class, mend);
        for error in errors {
            assert!(error.to_string().contains("/devstoreaccount1/some-jobs/a prefix/of ours"), "{error}");
            assert!(error.to_string().contains(code), "{error}");
        }
    }
}

#[tokio::test]
async fn nobody_there() {
    // A port that was free a moment ago.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = place::config(&format!("http://{address}"), "some-jobs".to_owned());
    let storage = BlobStorage::open(&config).unwrap();
    assert_all(&all_errors(&storage).await, ErrorClass::Transient, "endpoint");
}

#[tokio::test]
async fn trouble_that_stays_is_reported_after_a_bounded_number_of_tries() {
    let (storage, front) = refusing(500, "InternalError", &[]);
    let error = storage.get(&key("k")).await.unwrap_err();
    assert_eq!((error.class(), front.served()), (ErrorClass::Transient, 3), "{error}");

    let (storage, front) = refusing(503, "ServerBusy", &[]);
    let error = storage.get(&key("k")).await.unwrap_err();
    assert_eq!((error.class(), front.served()), (ErrorClass::Throttled { retry_after: None }, 8), "{error}");

    // What asks for too long a pause is the caller's to wait for.
    let (storage, front) = refusing(503, "ServerBusy", &[("retry-after", "60")]);
    let error = storage.get(&key("k")).await.unwrap_err();
    let retry_after = Some(std::time::Duration::from_mins(1));
    assert_eq!((error.class(), front.served()), (ErrorClass::Throttled { retry_after }, 1), "{error}");
}

/// One test, since each needs a server of its own.
#[tokio::test]
async fn faults_of_a_service_that_is_there() {
    let azurite = Azurite::start();
    credentials_that_are_not_good(&azurite).await;
    a_container_that_is_not_there_is_no_missing_object(&azurite).await;
    passing_trouble_is_hidden(&azurite).await;
    a_write_whose_answer_is_lost_is_its_own(&azurite).await;
    anothers_write_of_the_same_bytes_is_not_ones_own(&azurite).await;
    what_is_there_is_not_sent_again_in_blocks(&azurite).await;
    blocks_that_another_write_removed_are_sent_again(&azurite).await;
    an_upload_that_fails_leaves_what_was_there(&azurite).await;
    blocks_that_fail_in_passing_are_sent_again_alone(&azurite).await;
    answers_that_end_early_are_asked_for_again(&azurite).await;
    what_is_replaced_while_it_is_read_is_read_anew(&azurite).await;
}

async fn credentials_that_are_not_good(azurite: &Azurite) {
    let container = azurite.new_container();
    let with = |credentials| {
        let mut config = place::config(&place::address(azurite), container.clone());
        config.access = place::access(azurite.blob_endpoint(), credentials);
        BlobStorage::open(&config)
    };
    let wrong = with(Credentials::Key("d3Jvbmc=".to_owned())).unwrap();
    let errors = all_errors(&wrong).await;
    assert_all(&errors, ErrorClass::Denied, "AZURE_STORAGE_KEY");
    assert!(!format!("{errors:?} {wrong:?}").contains("d3Jvbmc"));

    let expired = azurite.sas("2020-01-01T00:00:00Z");
    let signature = expired.split("sig=").nth(1).unwrap().to_owned();
    let storage = with(Credentials::Sas(expired)).unwrap();
    let errors = all_errors(&storage).await;
    assert_all(&errors, ErrorClass::Denied, "expired");
    assert!(!format!("{errors:?} {storage:?}").contains(&signature));

    let error = with(Credentials::Key("no base64!".to_owned())).unwrap_err();
    assert!(error.to_string().contains("base64") && !error.to_string().contains("no base64!"), "{error}");
}

async fn a_container_that_is_not_there_is_no_missing_object(azurite: &Azurite) {
    let storage =
        BlobStorage::open(&place::config(&place::address(azurite), "not-there".to_owned())).unwrap();
    assert_all(&all_errors(&storage).await, ErrorClass::Misconfigured, "not-there does not exist");
}

async fn passing_trouble_is_hidden(azurite: &Azurite) {
    for verdict in [
        Verdict::azure_error(503, "ServerBusy", &[]),
        Verdict::azure_error(503, "ServerBusy", &[("retry-after", "0")]),
        Verdict::azure_error(500, "OperationTimedOut", &[]),
        Verdict::Drop,
        Verdict::LoseAnswer,
    ] {
        let scene = Scene::times(azurite, 2, |_| true, verdict.clone());
        let k = key("k");
        let put = scene.storage.put(&k, Bytes::from_static(b"v")).await.map_err(|error| error.to_string());
        assert_eq!(put, Ok(()), "{verdict:?}");
        assert_eq!(scene.front.served(), 3, "{verdict:?}");
        assert_eq!(scene.storage.get(&k).await.unwrap(), "v");
    }
}

async fn a_write_whose_answer_is_lost_is_its_own(azurite: &Azurite) {
    for size in [3, 5 << 20] {
        let scene = Scene::times(azurite, 1, is_conditional, Verdict::LoseAnswer);
        let (k, data) = (key("k"), large().slice(..size));
        let outcome = scene.storage.put_if_absent(&k, data.clone()).await.unwrap();
        assert_eq!(outcome, PutOutcome::Created, "{size} bytes");
        assert!(scene.storage.get(&k).await.unwrap() == data);
        assert_eq!(scene.storage.put_if_absent(&k, data).await.unwrap(), PutOutcome::Exists);
    }
}

async fn anothers_write_of_the_same_bytes_is_not_ones_own(azurite: &Azurite) {
    for size in [3, 5 << 20] {
        // The first attempt comes to nothing and says nothing; meanwhile another writes the same.
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let (go, gate) = std::sync::mpsc::channel::<()>();
        let (gate, met) = (std::sync::Mutex::new(gate), AtomicUsize::new(0));
        let scene = Scene::new(azurite, move |request| {
            if is_conditional(request) && met.fetch_add(1, Ordering::SeqCst) == 0 {
                tell.send(()).unwrap();
                gate.lock().unwrap().recv().unwrap();
                return Verdict::Drop;
            }
            Verdict::Pass
        });
        let other = scene.other(azurite);
        let (k, data) = (key("k"), large().slice(..size));
        let write = scene.storage.put_if_absent(&k, data.clone());
        let overtake = async {
            told.recv().await.unwrap();
            assert_eq!(other.put_if_absent(&k, data.clone()).await.unwrap(), PutOutcome::Created);
            go.send(()).unwrap();
        };
        let (outcome, ()) = tokio::join!(write, overtake);
        assert_eq!(outcome.unwrap(), PutOutcome::Exists, "{size} bytes");
    }
}

async fn what_is_there_is_not_sent_again_in_blocks(azurite: &Azurite) {
    let scene = Scene::new(azurite, |_| Verdict::Pass);
    let k = key("k");
    scene.other(azurite).put(&k, Bytes::from_static(b"v")).await.unwrap();
    assert_eq!(scene.storage.put_if_absent(&k, large()).await.unwrap(), PutOutcome::Exists);
    assert_eq!(scene.front.served(), 1, "it asks first");
}

async fn blocks_that_another_write_removed_are_sent_again(azurite: &Azurite) {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let (gate, met) = (std::sync::Mutex::new(gate), AtomicUsize::new(0));
    let scene = Scene::new(azurite, move |request| {
        if request.path.contains("comp=blocklist") && met.fetch_add(1, Ordering::SeqCst) == 0 {
            tell.send(()).unwrap();
            gate.lock().unwrap().recv().unwrap();
        }
        Verdict::Pass
    });
    let (other, k) = (scene.other(azurite), key("k"));
    let between = async {
        told.recv().await.unwrap();
        // In blocks: Azurite keeps those of others where an object is written at once.
        other.put(&k, Bytes::from(vec![7; 5 << 20])).await.unwrap();
        go.send(()).unwrap();
    };
    let (put, ()) = tokio::join!(scene.storage.put(&k, large()), between);
    put.unwrap();
    assert_eq!(scene.front.served(), 8, "three blocks and their list, twice");
    assert!(scene.storage.get(&k).await.unwrap() == large(), "the last writer wins");
}

async fn an_upload_that_fails_leaves_what_was_there(azurite: &Azurite) {
    let scene = Scene::times(
        azurite,
        usize::MAX,
        |request| request.path.contains("comp=blocklist"),
        Verdict::azure_error(403, "AuthorizationPermissionMismatch", &[]),
    );
    let k = key("k");
    scene.storage.put(&k, Bytes::from_static(b"before")).await.unwrap();
    let error = scene.storage.put(&k, large()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Denied, "{error}");
    assert_eq!(scene.storage.get(&k).await.unwrap(), "before");
    let absent = key("absent");
    scene.storage.put(&absent, large()).await.unwrap_err();
    assert!(!scene.storage.exists(&absent).await.unwrap());
    assert_eq!(scene.storage.list_all("").await.unwrap().len(), 1);
}

async fn blocks_that_fail_in_passing_are_sent_again_alone(azurite: &Azurite) {
    let scene = Scene::times(azurite, 1, |request| request.path.contains("blockid="), Verdict::LoseAnswer);
    let k = key("k");
    scene.storage.put(&k, large()).await.unwrap();
    assert_eq!(scene.front.served(), 5, "three blocks, one of them twice, and their list");
    assert!(scene.storage.get(&k).await.unwrap() == large());
}

async fn answers_that_end_early_are_asked_for_again(azurite: &Azurite) {
    for at in [0, 1, 1_000_000] {
        let scene = Scene::times(azurite, 2, is_get, Verdict::CutAnswer(at));
        let k = key("k");
        scene.storage.put(&k, large()).await.unwrap();
        assert!(scene.storage.get(&k).await.unwrap() == large(), "cut at {at}");
        assert!(scene.storage.get_range(&k, 10..4_500_000).await.unwrap() == large().slice(10..4_500_000));
    }
}

async fn what_is_replaced_while_it_is_read_is_read_anew(azurite: &Azurite) {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let (gate, met) = (std::sync::Mutex::new(gate), AtomicUsize::new(0));
    let scene = Scene::new(azurite, move |request| {
        // Before the first part but the first: the object is another one by then.
        if request.header("if-match").is_some() && met.fetch_add(1, Ordering::SeqCst) == 0 {
            tell.send(()).unwrap();
            gate.lock().unwrap().recv().unwrap();
        }
        Verdict::Pass
    });
    let (other, k, first) = (scene.other(azurite), key("k"), large());
    let second = Bytes::from(vec![7; first.len()]);
    scene.storage.put(&k, first).await.unwrap();
    let replace = async {
        told.recv().await.unwrap();
        other.put(&k, second.clone()).await.unwrap();
        go.send(()).unwrap();
    };
    let (read, ()) = tokio::join!(scene.storage.get(&k), replace);
    assert!(read.unwrap() == second, "a mixture, or what was replaced before the reading ended");
}
