//! Collections go through several steps.

use std::collections::HashMap;
use std::time::Duration;

use rustwren::prelude::*;
use rustwren::{ErrorKind, SerialBaseline, StepKind};

use super::unless_dear;

crate::tests![
    steps_of_every_kind,
    order_is_kept,
    lists_shrink_and_grow,
    an_empty_list,
    a_list_that_becomes_empty,
    no_steps,
    only_sequential_steps,
    sequential_steps_see_everything,
    sequential_steps_may_capture,
    async_steps,
    named_functions_as_steps,
    steps_with_settings_of_their_own,
    neighbouring_steps_share_a_process,
    a_failure_ends_the_pipeline,
    failures_are_collected,
    one_bad_item_of_a_list_fails_alone,
    one_item_that_kills_its_process_fails_alone,
    a_step_may_be_tried_again,
    a_million_items_one_by_one,
    items_flow_before_the_inputs_end,
    a_stream_that_is_dropped_ends_the_pipeline,
    the_report_counts,
    a_sampled_baseline,
    a_baseline_of_everything,
    a_timeout_for_lists_is_refused,
];

fn evens(list: Vec<u64>) -> Vec<u64> {
    list.into_iter().filter(|x| x % 2 == 0).collect()
}

#[remote]
fn thrice(x: u64) -> u64 {
    x * 3
}

async fn steps_of_every_kind(executor: Executor) {
    let done = Pipeline::new(0..100_u64)
        .map(|x| x + 1)
        .parallel(evens)
        .flat_map(|x| [x, x])
        .try_map(|x| x.checked_mul(10).ok_or("too large"))
        .map_async(async |x: u64| x + 1)
        .try_map_async(async |x: u64| Ok::<_, String>(x.to_string()))
        .sequential(|list: Vec<String>| list.into_iter().rev().collect::<Vec<_>>())
        .run(&executor)
        .await
        .unwrap();
    let expected: Vec<String> = (1..=100_u64)
        .filter(|x| x % 2 == 0)
        .flat_map(|x| [x, x])
        .map(|x| (x * 10 + 1).to_string())
        .rev()
        .collect();
    assert_eq!(done.items, expected);
    assert!(done.failed.is_empty());
}

async fn order_is_kept(executor: Executor) {
    // Early items take longest.
    let done = Pipeline::new(0..200_u64)
        .map(|x| {
            let until = std::time::Instant::now() + Duration::from_micros(200 - x);
            while std::time::Instant::now() < until {}
            x
        })
        .workers(2)
        .chunk_size(1)
        .parallel(|list: Vec<u64>| list.into_iter().map(|x| x * 2).collect())
        .chunk_size(7)
        .run(&executor)
        .await
        .unwrap();
    assert_eq!(done.items, (0..200).map(|x| x * 2).collect::<Vec<u64>>());
}

async fn lists_shrink_and_grow(executor: Executor) {
    let many = unless_dear(&executor, 3000, 300);
    // An invocation for each item is slow where many of them are lost.
    for (size, count) in [(1, 300), (3, many), (64, many), (5000, many)] {
        let done = Pipeline::new(0..count)
            .parallel(evens)
            .chunk_size(size)
            .parallel(|list: Vec<u64>| list.into_iter().flat_map(|x| [x, x + 1, x + 2]).collect())
            .run(&executor)
            .await
            .unwrap();
        let expected: Vec<u64> = (0..count).filter(|x| x % 2 == 0).flat_map(|x| [x, x + 1, x + 2]).collect();
        assert_eq!(done.items, expected, "lists of {size}");
    }
}

async fn an_empty_list(executor: Executor) {
    let done = Pipeline::new(Vec::<u64>::new())
        .parallel(evens)
        .map(|x| x + 1)
        .sequential(|list: Vec<u64>| {
            assert!(list.is_empty());
            list
        })
        .map(|x| x)
        .run(&executor)
        .await
        .unwrap();
    assert!(done.items.is_empty());
    assert_eq!((done.report.items, done.report.outputs, done.report.steps.len()), (0, 0, 4));
}

async fn a_list_that_becomes_empty(executor: Executor) {
    for inputs in [0, 100_u64] {
        // Jobs of their own, one of which has no inputs at all.
        let done = Pipeline::new(0..inputs)
            .map(|x| x)
            .chunk_size(7)
            .flat_map(|_: u64| None::<u64>)
            .chunk_size(5)
            .map(|x| x)
            .chunk_size(3)
            .run(&executor)
            .await
            .unwrap();
        assert!(done.items.is_empty());
        let counts = done.report.steps.iter().map(|step| (step.inputs, step.outputs)).collect::<Vec<_>>();
        assert_eq!(counts, [(inputs, inputs), (inputs, 0), (0, 0)]);
    }
}

async fn no_steps(executor: Executor) {
    assert_eq!(Pipeline::new(0..5_u8).run(&executor).await.unwrap().items, [0, 1, 2, 3, 4]);
}

async fn only_sequential_steps(executor: Executor) {
    let sorted = Pipeline::new(vec![3, 1, 2]).sequential(|mut list: Vec<i32>| {
        list.sort_unstable();
        list
    });
    assert_eq!(sorted.run(&executor).await.unwrap().items, [1, 2, 3]);
}

async fn sequential_steps_see_everything(executor: Executor) {
    let done = Pipeline::new(0..1000_u64)
        .map(|x| x)
        .sequential(|list: Vec<u64>| vec![list.len() as u64, list.iter().sum()])
        .map(|x| x + 1)
        .run(&executor)
        .await
        .unwrap();
    assert_eq!(done.items, [1001, 499_501]);
}

async fn sequential_steps_may_capture(executor: Executor) {
    let names: HashMap<u64, String> = (0..10).map(|x| (x, format!("number {x}"))).collect();
    let done = Pipeline::new(0..10_u64)
        .map(|x| 9 - x)
        .sequential(move |list: Vec<u64>| list.iter().map(|x| names[x].clone()).collect::<Vec<_>>())
        .run(&executor)
        .await
        .unwrap();
    assert_eq!((&*done.items[0], &*done.items[9]), ("number 9", "number 0"));
}

async fn async_steps(executor: Executor) {
    let done = Pipeline::new(0..500_u64)
        .map_async(async |x: u64| {
            tokio::time::sleep(Duration::from_millis(x % 7)).await;
            x
        })
        .concurrency(50)
        .run(&executor)
        .await
        .unwrap();
    assert_eq!(done.items, (0..500).collect::<Vec<u64>>());
}

async fn named_functions_as_steps(executor: Executor) {
    let done = Pipeline::new(0..10_u64).map(thrice).parallel(evens).run(&executor).await.unwrap();
    assert_eq!(done.items, [0, 6, 12, 18, 24]);
}

async fn steps_with_settings_of_their_own(executor: Executor) {
    let done = Pipeline::new(0..300_u64)
        .map(|_| std::process::id())
        .workers(1)
        .label("one")
        .map(|pid| (pid, std::process::id()))
        .label("many")
        .run(&executor)
        .await
        .unwrap();
    let labels: Vec<&str> = done.report.steps.iter().map(|step| &*step.label).collect();
    assert_eq!(labels, ["one", "many"]);
    assert_eq!(done.items.len(), 300);
}

async fn neighbouring_steps_share_a_process(executor: Executor) {
    let done = Pipeline::new(0..300_u64)
        .map(|_| std::process::id())
        .parallel(|pids: Vec<u32>| pids.into_iter().map(|pid| pid == std::process::id()).collect())
        .run(&executor)
        .await
        .unwrap();
    assert!(done.items.iter().all(|same| *same));
}

fn not_thirteen(x: u64) -> Result<u64, String> {
    if x == 13 { Err("unlucky".to_owned()) } else { Ok(x) }
}

async fn a_failure_ends_the_pipeline(executor: Executor) {
    let pipeline = Pipeline::new(0..).map(|x: u64| x).try_map(not_thirteen).map(|x| x).label("last");
    let error = pipeline.run(&executor).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Task);
    assert!(error.to_string().contains("in step not_thirteen: unlucky"), "{error}");
    assert_eq!(error.tasks()[0].index, 13);
    // In a job of its own, in the middle of others.
    let pipeline = Pipeline::new(0..)
        .map(|x: u64| x)
        .chunk_size(2)
        .try_map(not_thirteen)
        .chunk_size(3)
        .map(|x| x)
        .chunk_size(4);
    let error = pipeline.run(&executor).await.unwrap_err();
    assert!(
        error.to_string().contains("task 13 of job not_thirteen") && error.to_string().contains("unlucky"),
        "{error}"
    );
}

async fn failures_are_collected(executor: Executor) {
    for own in [false, true] {
        let mut pipeline = Pipeline::new(0..100_u64).map(|x| x).try_map(not_thirteen);
        if own {
            pipeline = pipeline.chunk_size(5);
        }
        let done = pipeline.map(|x| x * 2).on_error(OnError::Collect).run(&executor).await.unwrap();
        assert_eq!(done.items, (0..100).filter(|x| *x != 13).map(|x| x * 2).collect::<Vec<u64>>());
        assert_eq!(done.failed.iter().map(|error| error.index).collect::<Vec<_>>(), [13]);
        assert_eq!(done.report.steps.iter().map(|step| step.failed).sum::<u64>(), 1);
    }
}

async fn one_bad_item_of_a_list_fails_alone(executor: Executor) {
    let done = Pipeline::new(0..100_u64)
        .parallel(|list: Vec<u64>| list.into_iter().inspect(|x| assert_ne!(*x, 13, "unlucky")).collect())
        .chunk_size(25)
        .on_error(OnError::Collect)
        .run(&executor)
        .await
        .unwrap();
    assert_eq!(done.items, (0..100).filter(|x| *x != 13).collect::<Vec<u64>>());
    assert_eq!(done.failed[0].index, 13);
    assert!(done.failed[0].to_string().contains("unlucky"), "{}", done.failed[0]);
}

async fn one_item_that_kills_its_process_fails_alone(executor: Executor) {
    let done = Pipeline::new(0..100_u64)
        .parallel(|list: Vec<u64>| {
            list.into_iter().map(|x| if x == 13 { std::process::abort() } else { x }).collect()
        })
        .chunk_size(25)
        .retries(0)
        .on_error(OnError::Collect)
        .run(&executor)
        .await
        .unwrap();
    assert_eq!(done.items, (0..100).filter(|x| *x != 13).collect::<Vec<u64>>());
    assert_eq!(done.failed.len(), 1);
    assert_eq!(done.failed[0].index, 13);
}

async fn a_step_may_be_tried_again(executor: Executor) {
    let done = Pipeline::new(0..20_u64)
        .try_map(|x| if task().attempt() > 1 || x % 5 != 0 { Ok(x) } else { Err("not yet") })
        .retries(1)
        .run(&executor)
        .await
        .unwrap();
    assert_eq!(done.items, (0..20).collect::<Vec<u64>>());
}

async fn a_million_items_one_by_one(executor: Executor) {
    let count = unless_dear(&executor, 1_000_000, 200_000);
    let mut stream = Pipeline::new(0..count)
        .flat_map(|x| (x % 3 != 0).then_some(x))
        .chunk_size(10_000)
        .map(|x| x + 1)
        .stream(&executor)
        .await
        .unwrap();
    let mut expected = (0..count).filter(|x| x % 3 != 0).map(|x| x + 1);
    while let Some(item) = stream.next().await {
        assert_eq!(Some(item.unwrap()), expected.next());
    }
    assert_eq!(expected.next(), None);
    let report = stream.report().await.unwrap();
    assert_eq!((report.items, report.outputs), (count, count - count.div_ceil(3)));
}

async fn items_flow_before_the_inputs_end(executor: Executor) {
    let (send, receive) = std::sync::mpsc::channel();
    let mut stream = Pipeline::new(receive)
        .map(|x: u64| x + 1)
        .chunk_size(1)
        .map(|x| x * 2)
        .stream(&executor)
        .await
        .unwrap();
    for x in 0..20 {
        // The next input is there only after the last output has come.
        send.send(x).unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap(), (x + 1) * 2);
    }
    drop(send);
    assert!(stream.next().await.is_none());
}

async fn a_stream_that_is_dropped_ends_the_pipeline(executor: Executor) {
    let mut stream =
        Pipeline::new(0..).map(|x: u64| x).chunk_size(10).map(|x| x).stream(&executor).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), 0);
    drop(stream);
    // The workers are free again.
    assert_eq!(executor.map(|x: u64| x, 0..10).await.unwrap().len(), 10);
}

async fn the_report_counts(executor: Executor) {
    let done = Pipeline::new(0..100_u64)
        .parallel(evens)
        .label("even")
        .flat_map(|x| [x, x, x])
        .label("threefold")
        .sequential(|list| list)
        .label("as it is")
        .run(&executor)
        .await
        .unwrap();
    let report = &done.report;
    let steps: Vec<_> =
        report.steps.iter().map(|step| (&*step.label, step.kind, step.inputs, step.outputs)).collect();
    let expected = [
        ("even", StepKind::Parallel, 100, 50),
        ("threefold", StepKind::Parallel, 50, 150),
        ("as it is", StepKind::Sequential, 150, 150),
    ];
    assert_eq!(steps, expected);
    assert!((1..=2).contains(&report.steps[0].workers), "{report}");
    assert!(matches!(report.serial, SerialBaseline::TaskTime { .. }));
    assert!(report.speedup() > 0.0);
}

async fn a_sampled_baseline(executor: Executor) {
    let done = Pipeline::new(0..400_u64)
        .map(|x| x + 1)
        .map_async(async |x: u64| x)
        .parallel(evens)
        .baseline(40)
        .run(&executor)
        .await
        .unwrap();
    let SerialBaseline::Estimated { samples, total, .. } = done.report.serial else {
        panic!("{}", done.report)
    };
    assert_eq!(samples, 40);
    assert!(!total.is_zero());
    assert!(done.report.to_string().contains("estimate with its 95 % interval"), "{}", done.report);
}

async fn a_baseline_of_everything(executor: Executor) {
    let done = Pipeline::new(0..30_u64).map(|x| x).baseline(100).run(&executor).await.unwrap();
    assert!(matches!(done.report.serial, SerialBaseline::Measured { .. }), "{}", done.report);
}

async fn a_timeout_for_lists_is_refused(executor: Executor) {
    let pipeline = Pipeline::new(0..3_u64).parallel(evens).timeout(Duration::from_secs(1));
    let error = pipeline.run(&executor).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("step evens takes lists") && error.hint().is_some(), "{error}");
}
