//! Trouble on AWS: each kind is a recovery or a clear error, and nothing is lost.

use libtest_mimic::Trial;
use rustwren::blocking::block_on;
use rustwren::prelude::*;
use rustwren::{Error, ErrorKind, MapBuilder};
use rustwren_testkit::standins::lambda::Fault;

use rustwren_tests::grouped::Place as _;

use crate::place::Deployment;

type Test = (&'static str, fn(&Deployment));

/// One after the other in one place.
const TESTS: &[Test] = &[
    ("throttles of each reason", throttles),
    ("passing trouble", passing_trouble),
    ("a worker that dies", a_worker_that_dies),
    ("a worker that is killed for its memory", out_of_memory),
    ("a function that needs more memory than there is", a_function_without_memory),
    ("payloads at and above each limit", payloads),
    ("credentials that have expired", expired_credentials),
    ("a function that is deleted in the middle of a job", a_deleted_function),
];

pub(crate) fn trials() -> impl Iterator<Item = Trial> {
    let all = Trial::test("aws::trouble", || {
        let place = Deployment::new(20);
        for (name, test) in TESTS {
            eprintln!("{name}");
            test(&place);
        }
        Ok(())
    });
    [
        all,
        rustwren_tests::trial("aws::a worker that hangs", a_worker_that_hangs),
        rustwren_tests::trial("aws::a worker with another bucket", another_bucket),
        rustwren_tests::trial("aws::a detached job without credentials", a_detached_job_without_credentials),
        rustwren_tests::trial("aws::credentials stay with the worker", kept_credentials),
    ]
    .into_iter()
}

fn wait<O>(builder: impl IntoFuture<Output = rustwren::Result<Vec<O>>>) -> rustwren::Result<Vec<O>> {
    block_on(builder.into_future())
}

/// A map over 40 numbers; how often it was throttled, how often there was other trouble.
fn doubled(place: &Deployment) -> (u64, u64) {
    let executor = place.connect().unwrap();
    let job = block_on(executor.map(|x: u64| x * 2, 0..40).chunk_size(4).spawn()).unwrap();
    let handle = job.handle();
    assert_eq!(block_on(job.results()).unwrap(), (0..40).map(|x| x * 2).collect::<Vec<_>>());
    let stats = handle.stats();
    assert_eq!(stats.failures, 0, "{stats:?}");
    (stats.throttled, stats.transient)
}

fn throttles(place: &Deployment) {
    for reason in [
        "ConcurrentInvocationLimitExceeded",
        "FunctionInvocationRateLimitExceeded",
        "ReservedFunctionConcurrentInvocationLimitExceeded",
        "ReservedFunctionInvocationRateLimitExceeded",
        "CallerRateLimitExceeded",
        "ConcurrentSnapshotCreateLimitExceeded",
    ] {
        place.front.fail_next(Fault::Throttled { reason, retry_after: None });
        place.front.fail_next(Fault::Throttled { reason, retry_after: Some(0) });
        assert_eq!(doubled(place), (2, 0), "{reason}");
    }
}

fn passing_trouble(place: &Deployment) {
    let refused = |status, kind| Fault::Refused { status, kind, message: "as told" };
    for fault in [
        refused(500, "ServiceException"),
        refused(502, "EC2UnexpectedException"),
        refused(409, "ResourceConflictException"),
        refused(502, "ResourceNotReadyException"),
        Fault::Reset,
        Fault::LostAnswer,
    ] {
        place.front.fail_next(fault);
        assert_eq!(doubled(place), (0, 1), "{fault:?}");
    }
}

/// Sends a signal to the supervisor of this function process.
fn to_the_supervisor(signal: &str) {
    let parent = std::os::unix::process::parent_id().to_string();
    let status = std::process::Command::new("kill").arg(format!("-{signal}")).arg(parent).status().unwrap();
    assert!(status.success());
    // Until that has an effect.
    loop {
        std::thread::park();
    }
}

fn a_worker_that_dies(place: &Deployment) {
    let executor = place.connect().unwrap();
    let work = |x: u64| {
        if x == 13 && task().attempt() == 1 {
            to_the_supervisor("KILL");
        }
        x * 2
    };
    let job = block_on(executor.map(work, 0..20).chunk_size(5).spawn()).unwrap();
    let handle = job.handle();
    assert_eq!(block_on(job.results()).unwrap(), (0..20).map(|x| x * 2).collect::<Vec<_>>());
    let stats = handle.stats();
    // The second attempt may have been a backup's.
    assert!(stats.transient > 0 && stats.failures > 0, "{stats:?}");
}

/// The one failure of a job over one element, tried once.
fn failure(place: &Deployment, work: fn(&Executor) -> MapBuilder<u64>) -> TaskError {
    let executor = place.connect().unwrap();
    let outcomes = block_on(work(&executor).retries(0).outcomes()).unwrap();
    let [Err(error)] = &outcomes[..] else { panic!("{outcomes:?}") };
    error.clone()
}

/// The kernel ends whichever process of a worker it likes; that of the supervisor is the worst choice.
fn out_of_memory(place: &Deployment) {
    let error = failure(place, |executor| {
        let work = |x: u64| {
            to_the_supervisor("KILL");
            x
        };
        executor.map(work, [0])
    });
    assert_eq!(error.kind(), Some(&FailureKind::Lost), "{error}");
    let text = error.to_string();
    assert!(text.contains("Runtime.ExitError") && text.contains("out of memory"), "{text}");
}

fn a_function_without_memory(place: &Deployment) {
    let error = failure(place, |executor| {
        let work = |_: u64| {
            let mut blocks: Vec<Vec<u8>> = Vec::new();
            loop {
                blocks.push(vec![1; 64 << 20]);
            }
        };
        executor.map(work, [0])
    });
    assert_eq!(error.kind(), Some(&FailureKind::OutOfMemory), "{error}");
}

fn payloads(place: &Deployment) {
    let executor = place.connect().unwrap();
    let limits = executor.limits();
    let (input, output) = (limits.max_inline_input, limits.max_inline_output);
    // With the lengths in front, some of these are just within a limit, and some just above.
    for len in [input - 16, input, output - 16, output, output + 1, 2 * output] {
        let sent = vec![7_u8; len];
        let got = wait(executor.map(|bytes: Vec<u8>| bytes.len(), [sent])).unwrap();
        assert_eq!(got, [len]);
        let got = wait(executor.map(|len: usize| vec![7_u8; len], [len])).unwrap();
        assert!(got[0].len() == len && got[0].iter().all(|&byte| byte == 7));
    }
    // Many small ones that are too much together.
    let got = wait(executor.map(|k: u32| vec![7_u8; 100_000 + k as usize], 0..100).chunk_size(100)).unwrap();
    assert!(got.iter().zip(0..).all(|(bytes, k)| bytes.len() == 100_000 + k));
    // The shared value and the inputs travel together.
    for len in [input / 2 - 16, input / 2 + 16] {
        let (shared, sent) = (vec![7_u8; len], vec![8_u8; input - 16]);
        let work = |shared: &Vec<u8>, bytes: Vec<u8>| (shared.len(), bytes.len());
        let got = wait(executor.map_with(&shared, work, [sent])).unwrap();
        assert_eq!(got, [(len, input - 16)]);
    }
}

/// What a job says that meets this.
fn refusal(place: &Deployment, kind: &'static str, message: &'static str) -> Error {
    let executor = place.connect().unwrap();
    place.front.fail_next(Fault::Refused { status: 403, kind, message });
    wait(executor.map(|x: u64| x, 0..4).chunk_size(4)).unwrap_err()
}

fn expired_credentials(place: &Deployment) {
    let error =
        refusal(place, "ExpiredTokenException", "The security token included in the request is expired");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.hint().unwrap().contains("expired"), "{error}");
    let error = refusal(place, "AccessDeniedException", "not authorized to perform: lambda:InvokeFunction");
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.message().contains("lambda:InvokeFunction"), "{error}");
}

/// What was finished is kept, and the same program goes on with the rest when the function is back.
fn a_deleted_function(place: &Deployment) {
    let work = |x: u64| x + 1;
    let executor = place.connect().unwrap();
    let before = place.front.seen().invocations;
    place.front.delete_function_after(3);
    let mut job = block_on(executor.map(work, 0..40).chunk_size(4).resume().spawn()).unwrap();
    let error = std::iter::from_fn(|| block_on(job.next())).find_map(Result::err).unwrap();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.to_string().contains("Function not found"), "{error}");
    assert!(error.hint().unwrap().contains("rustwren setup"), "{error}");
    drop(executor);

    place.front.deploy_function();
    let executor = place.connect().unwrap();
    let got = wait(executor.map(work, 0..40).chunk_size(4).resume()).unwrap();
    assert_eq!(got, (1..=40).collect::<Vec<_>>());
    let invocations = place.front.seen().invocations - before;
    assert!(
        invocations <= 12,
        "{invocations} invocations for ten chunks, of which two may have been under way"
    );
}

/// The runtime hands back in time; where it cannot, Lambda ends it.
fn a_worker_that_hangs() {
    let place = Deployment::new(5);
    let error = failure(&place, |executor| {
        let work = |x: u64| {
            to_the_supervisor("STOP");
            x
        };
        executor.map(work, [0])
    });
    assert_eq!(error.kind(), Some(&FailureKind::Lost), "{error}");
    assert!(error.to_string().contains("Task timed out after 5.00 seconds"), "{error}");
    let executor = place.connect().unwrap();
    assert_eq!(wait(executor.map(|x: u64| x * 2, 0..4)).unwrap(), [0, 2, 4, 6], "it serves again");
}

/// Its driver would have no credentials. That is said at once.
fn a_detached_job_without_credentials() {
    let place = Deployment::new(20);
    let executor = place.connect_with(&[("compute.pass_env", "NOTHING_OF_AWS")]).unwrap();
    let error = block_on(executor.map(|x: u64| x, 0..4).detach()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.hint().unwrap().contains("pass_env = [\"AWS_*\"]"), "{error}");
    assert_eq!(place.front.seen().calls, 0);
}

/// The worker's storage is not the client's.
fn another_bucket() {
    let place = Deployment::with(20, &[("RUSTWREN__STORAGE__BUCKET", "no-such-bucket")]);
    let executor = place.connect().unwrap();
    let error = wait(executor.map(|x: u64| x, 0..4)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.to_string().contains("no-such-bucket"), "{error}");
    assert!(error.hint().is_some(), "{error}");
}

/// Unless the configuration says otherwise, as that of the other tests does.
fn kept_credentials() {
    let seen = |place: &Deployment| {
        let executor = place.connect().unwrap();
        let visible = |_: u8| {
            ["AWS_SECRET_ACCESS_KEY", "AWS_LAMBDA_RUNTIME_API"].map(|name| std::env::var(name).is_ok())
        };
        wait(executor.map(visible, [0])).unwrap()
    };
    assert_eq!(seen(&Deployment::with(20, &[("RUSTWREN__COMPUTE__PASS_ENV", "")])), [[false; 2]]);
    assert_eq!(seen(&Deployment::new(20)), [[true; 2]]);
}
