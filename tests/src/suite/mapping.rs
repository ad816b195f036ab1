//! Functions are mapped over inputs of every kind.

use rustwren::prelude::*;
use rustwren::{ErrorKind, MapBuilder};
use serde::{Deserialize, Serialize};

use super::unless_dear;

crate::tests![
    closures_and_plain_functions,
    named_functions,
    functions_that_fail,
    async_functions,
    async_functions_that_fail,
    a_shared_value,
    a_large_shared_value,
    one_call,
    tuples_and_structures,
    map_and_reduce,
    a_reduction_of_nothing,
    no_inputs,
    every_chunk_size,
    many_inputs,
    large_inputs_and_outputs,
    lazy_inputs,
    endless_inputs,
    inputs_that_panic,
    nothing_runs_before_it_is_awaited,
    threads_in_one_process,
];

fn triple(x: u64) -> u64 {
    x * 3
}

#[remote]
fn quadruple(x: u64) -> u64 {
    x * 4
}

#[remote]
fn even(x: u64) -> Result<u64, String> {
    if x.is_multiple_of(2) { Ok(x) } else { Err(format!("{x} is odd")) }
}

#[remote]
async fn later(x: u64) -> u64 {
    tokio::task::yield_now().await;
    x + 1
}

#[remote]
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape of a function with a shared value")]
fn scale(by: &u64, x: u64) -> u64 {
    by * x
}

async fn closures_and_plain_functions(executor: Executor) {
    let expected: Vec<u64> = (0..1000).map(|x| x * 3).collect();
    assert_eq!(executor.map(|x: u64| x * 3, 0..1000).await.unwrap(), expected);
    assert_eq!(executor.map(triple, 0..1000).await.unwrap(), expected);
    assert_eq!(executor.map(triple, (0..1000).collect::<Vec<_>>()).await.unwrap(), expected);
    let text = executor.map(|s: String| s.to_uppercase(), ["ä", "b"].map(String::from)).await.unwrap();
    assert_eq!(text, ["Ä", "B"]);
}

async fn named_functions(executor: Executor) {
    assert_eq!(quadruple(2), 8, "a #[remote] function is still a function");
    assert_eq!(executor.map(quadruple, 0..4).await.unwrap(), [0, 4, 8, 12]);
    assert_eq!(executor.try_map(even, [2, 4]).await.unwrap(), [2, 4]);
    assert_eq!(executor.map_async(later, 0..3).await.unwrap(), [1, 2, 3]);
    assert_eq!(executor.map_with(&10, scale, 0..3).await.unwrap(), [0, 10, 20]);
}

async fn functions_that_fail(executor: Executor) {
    assert_eq!(executor.try_map(even, [0, 2, 4]).await.unwrap(), [0, 2, 4]);
    let error = executor.try_map(|x: u64| even(x), 0..4).label("evens").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Task);
    let task = &error.tasks()[0];
    assert!(task.index % 2 == 1 && task.job == "evens", "{task}");
    assert_eq!(task.kind(), Some(&FailureKind::Returned));
    assert!(error.to_string().contains("is odd"), "{error}");
}

async fn async_functions(executor: Executor) {
    let outputs = executor
        .map_async(
            |x: u64| async move {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                x * 2
            },
            0..300,
        )
        .await
        .unwrap();
    assert_eq!(outputs, (0..300).map(|x| x * 2).collect::<Vec<_>>());
}

async fn async_functions_that_fail(executor: Executor) {
    let outcomes = executor.try_map_async(|x: u64| async move { even(x) }, 0..10).outcomes().await.unwrap();
    for (x, outcome) in outcomes.iter().enumerate() {
        assert_eq!(outcome.is_ok(), x % 2 == 0, "{x}: {outcome:?}");
    }
}

async fn a_shared_value(executor: Executor) {
    let table: Vec<String> = ["a", "b", "c"].map(String::from).to_vec();
    let outputs = executor.map_with(&table, |table, i: usize| table[i % 3].clone(), 0..9).await.unwrap();
    assert_eq!(outputs.concat(), "abcabcabc");
    let error = executor
        .try_map_with(&table, |table, i: usize| table.get(i).cloned().ok_or("too far"), 0..9)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("too far"), "{error}");
}

async fn a_large_shared_value(executor: Executor) {
    // As text: a `Vec<u8>` is encoded byte by byte, which takes its time in a debug build.
    let shared = "0123456789".repeat(2_000_000);
    let work = |shared: &String, i: usize| (shared.len(), shared.as_bytes()[i]);
    let outputs = executor.map_with(&shared, work, 0..100).await.unwrap();
    assert_eq!(outputs[77], (20_000_000, b'7'));
    assert_eq!(outputs.len(), 100);
}

async fn one_call(executor: Executor) {
    assert_eq!(executor.call(|x: u64| x + 1, 41).await.unwrap(), 42);
    assert_ne!(executor.call(|()| std::process::id(), ()).await.unwrap(), std::process::id());
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Shape {
    Circle { radius: f64 },
    Named(String, Option<Box<Shape>>),
}

async fn tuples_and_structures(executor: Executor) {
    let pairs = [(1_u8, "one"), (2, "two")].map(|(n, s)| (n, s.to_owned()));
    let outputs = executor.map(|(n, s): (u8, String)| format!("{n}{s}"), pairs).await.unwrap();
    assert_eq!(outputs, ["1one", "2two"]);
    let shapes = vec![
        Shape::Circle { radius: 1.5 },
        Shape::Named("x".to_owned(), Some(Box::new(Shape::Circle { radius: f64::MAX }))),
    ];
    assert_eq!(executor.map(|s: Shape| s, shapes.clone()).await.unwrap(), shapes);
    assert_eq!(executor.map(|(): ()| (), vec![(); 10]).await.unwrap(), vec![(); 10]);
}

async fn map_and_reduce(executor: Executor) {
    let sum =
        executor.map_reduce(|x: u64| x * x, |all: Vec<u64>| all.iter().sum::<u64>(), 0..1000).await.unwrap();
    assert_eq!(sum, (0..1000).map(|x| x * x).sum::<u64>());
    let here = std::process::id();
    let (text, there) = executor
        .map_reduce(|x: u32| x.to_string(), |all: Vec<String>| (all.join(","), std::process::id()), 0..5)
        .chunk_size(2)
        .await
        .unwrap();
    assert_eq!(text, "0,1,2,3,4", "in input order");
    assert_ne!(there, here, "reduced on a worker");
}

async fn a_reduction_of_nothing(executor: Executor) {
    let count = executor.map_reduce(|x: u64| x, |all: Vec<u64>| all.len(), 0..0).await.unwrap();
    assert_eq!(count, 0);
}

async fn no_inputs(executor: Executor) {
    assert!(executor.map(triple, 0..0).await.unwrap().is_empty());
    let mut job = executor.map(triple, Vec::new()).spawn().await.unwrap();
    assert!(job.next().await.is_none());
    assert_eq!(job.progress().total, Some(0));
}

async fn every_chunk_size(executor: Executor) {
    let expected: Vec<u64> = (0..500).map(|x| x * 3).collect();
    for size in [1, 2, 3, 7, 499, 500, 501, u32::MAX] {
        assert_eq!(executor.map(triple, 0..500).chunk_size(size).await.unwrap(), expected, "{size}");
    }
}

async fn many_inputs(executor: Executor) {
    let outputs = executor.map(|x: u64| x ^ 0xff, 0..1_000_000).await.unwrap();
    assert_eq!(outputs.len(), 1_000_000);
    assert!(outputs.iter().enumerate().all(|(i, &y)| y == i as u64 ^ 0xff));
}

async fn large_inputs_and_outputs(executor: Executor) {
    let size = unless_dear(&executor, 100_000_000, 20_000_000) as usize;
    let work = |text: String| (text.as_bytes()[text.len() / 2], text);
    let outputs = executor.map(work, ["a", "b"].map(|fill| fill.repeat(size))).await.unwrap();
    for ((middle, text), expected) in outputs.into_iter().zip(*b"ab") {
        assert_eq!((middle, text.len()), (expected, size));
        assert!(text.bytes().all(|byte| byte == expected));
    }
}

async fn lazy_inputs(executor: Executor) {
    // Each input is made from a result of the one before: the iterator must be asked one by one.
    let (send, receive) = std::sync::mpsc::channel();
    send.send(1_u64).unwrap();
    let mut job = executor.map(|x: u64| x * 2, receive).spawn().await.unwrap();
    let mut send = Some(send);
    let mut last = 0;
    while let Some(result) = job.next().await {
        last = result.unwrap().1;
        if last < 1000 {
            if let Some(send) = &send {
                send.send(last).unwrap();
            }
        } else {
            send = None;
        }
    }
    assert_eq!(last, 1024);
    assert_eq!(job.progress().total, Some(10));
}

async fn endless_inputs(executor: Executor) {
    let mut job = executor.map(|x: u64| x, 0..).spawn().await.unwrap();
    let mut seen = 0;
    while seen < 100_000 {
        job.next().await.unwrap().unwrap();
        seen += 1;
    }
    assert_eq!(job.progress().total.filter(|&n| n < u64::MAX / 2), None);
    job.cancel();
    while let Some(result) = job.next().await {
        if let Err(error) = result {
            assert_eq!(error.kind(), ErrorKind::Cancelled);
            return;
        }
    }
    panic!("a cancelled job ends with an error");
}

async fn inputs_that_panic(executor: Executor) {
    let inputs = (0..10_u64).inspect(|&x| assert_ne!(x, 5, "no five"));
    let error = executor.map(triple, inputs).await.unwrap_err();
    assert!(error.to_string().contains("input 5") && error.to_string().contains("no five"), "{error}");
}

async fn nothing_runs_before_it_is_awaited(executor: Executor) {
    let (send, receive) = std::sync::mpsc::channel::<u64>();
    let builder: MapBuilder<u64> = executor.map(triple, receive);
    drop(builder);
    assert!(send.send(1).is_err(), "the inputs are dropped unread");
}

async fn threads_in_one_process(executor: Executor) {
    // All of a chunk's elements must be under way at once for any to end.
    let outputs = executor
        .map(
            |x: u64| {
                static TOGETHER: std::sync::Barrier = std::sync::Barrier::new(4);
                TOGETHER.wait();
                x
            },
            0..40,
        )
        .concurrency(4)
        .chunk_size(40)
        .workers(1)
        .await
        .unwrap();
    assert_eq!(outputs, (0..40).collect::<Vec<_>>());
}
