//! Elements go in, results come out.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use rustwren_core::error::ErrorClass;
use rustwren_core::invoker::Payload;

use crate::harness::{invocation, job, pool, run, run_with, try_run};

crate::tests![
    echo_in_order,
    many_small_calls,
    empty_and_large,
    task_info,
    shared_values,
    unknown_function,
    threads,
    async_concurrency,
    short_ones_do_not_wait_for_a_long_one_before_them,
    short_ones_go_to_processes_that_were_idle,
    calls_do_not_wait_behind_a_long_one,
    inputs_in_many_parts,
];

async fn echo_in_order() {
    let pool = pool(2);
    let inputs: Vec<String> = (0..100_000).map(|i| i.to_string()).collect();
    let ran = run(&pool, "echo", &inputs).await;
    assert!(ran.reply.stopped.is_none());
    assert_eq!(ran.outputs(), inputs.iter().map(|i| i.as_bytes().to_vec()).collect::<Vec<_>>());
    assert_eq!(ran.recorder.started.lock().unwrap().len(), 1);
    assert!(ran.reply.usage.cold);
}

async fn many_small_calls() {
    let pool = pool(2);
    let job = Arc::new(job("echo"));
    let calls = (0..5000_u32).map(|i| {
        let (job, pool) = (&job, &pool);
        async move {
            let ran = try_run(pool, invocation(job, &[i.to_le_bytes()])).await.unwrap();
            assert_eq!(ran.outputs(), [i.to_le_bytes().to_vec()]);
        }
    });
    join_all(calls).await;
}

async fn empty_and_large() {
    let pool = pool(1);
    let ran = run(&pool, "echo", &[&b""[..], b""]).await;
    assert_eq!(ran.outputs(), [b"", b""]);
    let large: Vec<u8> = (0..100 << 20).map(|i: u32| (i % 251) as u8).collect();
    let ran = run(&pool, "echo", &[&b"a"[..], &large, b"b"]).await;
    assert!(ran.outputs() == [b"a".to_vec(), large, b"b".to_vec()]);
}

async fn task_info() {
    let ran = run(&pool(1), "whoami", &["", ""]).await;
    assert_eq!(ran.outputs(), [&b"job-whoami whoami 100 1"[..], b"job-whoami whoami 101 1"]);
}

async fn shared_values() {
    let pool = pool(1);
    let with = |shared: &'static [u8]| {
        let mut job = job("shared");
        job.shared = Some(Payload::Inline(vec![Bytes::from_static(shared), Bytes::from_static(b"")]));
        Arc::new(job)
    };
    for (name, shared) in [("one", &b"one "[..]), ("two", b"two ")] {
        let ran = try_run(&pool, invocation(&with(shared), &["x", "y"])).await.unwrap();
        assert_eq!(ran.outputs(), [format!("{name} x").into_bytes(), format!("{name} y").into_bytes()]);
    }
    let error = try_run(&pool, invocation(&with(b"panic"), &["x"])).await.err().unwrap();
    assert!(error.to_string().contains("cannot open this"), "{error}");
}

async fn unknown_function() {
    let pool = pool(1);
    let error = try_run(&pool, invocation(&Arc::new(job("nope")), &["x"])).await.err().unwrap();
    assert_eq!(error.class(), ErrorClass::Misconfigured);
    assert!(error.to_string().contains("there is no function nope"), "{error}");
    assert_eq!(run(&pool, "echo", &["x"]).await.outputs(), [b"x"]);
}

async fn threads() {
    let mut job = job("barrier");
    job.concurrency = 3;
    let inputs: Vec<[u8; 1]> = (0..30).map(|i| [i]).collect();
    let ran = try_run(&pool(1), invocation(&Arc::new(job), &inputs)).await.unwrap();
    assert_eq!(ran.outputs(), inputs);
}

async fn async_concurrency() {
    let mut job = job("async_barrier");
    job.concurrency = 3;
    let inputs: Vec<[u8; 1]> = (0..30).map(|i| [i]).collect();
    let ran = try_run(&pool(1), invocation(&Arc::new(job), &inputs)).await.unwrap();
    assert_eq!(ran.outputs(), inputs);
}

/// The first element of the chunk ends only when the last has run: on the other process.
async fn short_ones_do_not_wait_for_a_long_one_before_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("last").display().to_string();
    let pool = pool(2);
    let job = Arc::new(job("touch_or_wait"));
    let mut inputs = vec![format!("wait {path}")];
    inputs.extend((0..50).map(|_| "nothing x".to_owned()));
    inputs.push(format!("touch {path}"));
    // A second call, so that there is a second process.
    let (ran, other) = tokio::join!(
        try_run(&pool, invocation(&job, &inputs)),
        try_run(&pool, invocation(&job, &["nothing x"]))
    );
    let pids = ran.unwrap().outputs();
    other.unwrap();
    assert_ne!(pids[0], pids[inputs.len() - 1]);
}

/// The same for a call that comes when all processes are there and none has anything to do.
async fn short_ones_go_to_processes_that_were_idle() {
    let dir = tempfile::tempdir().unwrap();
    let pool = pool(2);
    let job = Arc::new(job("touch_or_wait"));
    let mut pids = std::collections::HashSet::new();
    while pids.len() < 2 {
        let calls = (0..10).map(|_| try_run(&pool, invocation(&job, &["nothing x"])));
        pids.extend(join_all(calls).await.into_iter().flat_map(|ran| ran.unwrap().outputs()));
    }
    for round in 0..20 {
        let path = dir.path().join(round.to_string()).display().to_string();
        let mut inputs = vec![format!("wait {path}")];
        inputs.extend((0..50).map(|_| "nothing x".to_owned()));
        inputs.push(format!("touch {path}"));
        let outputs = try_run(&pool, invocation(&job, &inputs)).await.unwrap().outputs();
        assert_ne!(outputs[0], outputs[inputs.len() - 1]);
    }
}

/// The same with calls of one element each, which have been sent ahead of time to the process that is held up.
async fn calls_do_not_wait_behind_a_long_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("last").display().to_string();
    let pool = pool(2);
    let job = Arc::new(job("touch_or_wait"));
    // Short calls first, so that both processes are given many at once.
    join_all((0..2000).map(|_| try_run(&pool, invocation(&job, &["nothing x"])))).await;
    let mut inputs = vec![format!("wait {path}")];
    inputs.extend((0..200).map(|_| "nothing x".to_owned()));
    inputs.push(format!("touch {path}"));
    let calls = inputs.iter().map(|input| try_run(&pool, invocation(&job, &[input])));
    for ran in join_all(calls).await {
        assert!(ran.unwrap().outcomes[0].is_some());
    }
}

async fn inputs_in_many_parts() {
    let mut invocation = invocation(&Arc::new(job("echo")), &["a", "bc", ""]);
    let Payload::Inline(parts) = &invocation.inputs else { panic!() };
    let bytes = parts.concat();
    invocation.inputs = Payload::Inline(bytes.iter().map(|&b| Bytes::from(vec![b])).collect());
    let ran = run_with(&pool(1), invocation, Arc::default()).await.unwrap();
    assert_eq!(ran.outputs(), [&b"a"[..], b"bc", b""]);
}
