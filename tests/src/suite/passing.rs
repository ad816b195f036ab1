//! Items that are too large to pass through the client, between the jobs of a pipeline.

use rustwren::ErrorKind;
use rustwren::prelude::*;
use rustwren::storage::StorageExt;
use rustwren_core::storage::Key;

crate::tests![
    large_and_small_items_keep_their_order,
    everything_in_storage,
    large_items_in_lists_and_async_steps,
    an_item_that_is_tried_again,
    a_failure_in_the_middle_leaves_nothing,
    failures_in_the_middle_are_collected,
    a_step_that_kills_its_process_is_run_again,
    large_items_in_a_stream,
    a_dropped_stream_leaves_nothing,
    two_rows_of_jobs,
];

/// Larger than what passes through the client.
const LARGE: usize = 100_000;

/// Large for every other number, and not like any other number's.
fn blob(x: u64) -> Vec<u8> {
    let len = if x.is_multiple_of(2) { LARGE + x as usize } else { x as usize };
    (0..len).map(|k| (k as u64).wrapping_mul(x + 1) as u8).collect()
}

/// What a later step knows an item by.
fn digest(blob: &[u8]) -> (usize, u64) {
    (blob.len(), blob.iter().fold(7, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte))))
}

fn digests(range: std::ops::Range<u64>) -> Vec<(usize, u64)> {
    range.map(|x| digest(&blob(x))).collect()
}

/// What workers have stored between steps.
async fn stored(executor: &Executor) -> Vec<Key> {
    let storage = executor.storage();
    let objects = loop {
        match storage.list_all("jobs/").await {
            // Where storage is shaky on purpose.
            Err(error) if error.class().is_retryable() => {}
            listed => break listed.unwrap(),
        }
    };
    objects.into_iter().map(|object| object.key).filter(|key| key.as_str().contains("/out/")).collect()
}

/// Waits until what workers have stored is gone. An invocation that is being cancelled when its job ends may store
/// one more object, and removes it then.
async fn nothing_stays(executor: &Executor) {
    while !stored(executor).await.is_empty() {
        tokio::task::yield_now().await;
    }
}

async fn large_and_small_items_keep_their_order(executor: Executor) {
    let done = Pipeline::new(0..60_u64)
        .map(blob)
        .chunk_size(7)
        .flat_map(|blob: Vec<u8>| [blob.clone(), blob])
        .chunk_size(4)
        .map(|blob: Vec<u8>| digest(&blob))
        .run(&executor)
        .await
        .unwrap();
    let expected: Vec<_> = digests(0..60).into_iter().flat_map(|digest| [digest, digest]).collect();
    assert_eq!(done.items, expected);
    assert_eq!(done.report.steps.iter().map(|step| step.outputs).collect::<Vec<_>>(), [60, 120, 120]);
    assert_eq!(stored(&executor).await, []);
}

async fn everything_in_storage(executor: Executor) {
    let done = Pipeline::new(0..3000_u64)
        .map(|x| x + 1)
        .chunk_size(100)
        .flat_map(|x| (x % 3 != 0).then_some(x))
        .chunk_size(70)
        .map(|x| x * 2)
        .store_above(0)
        .run(&executor)
        .await
        .unwrap();
    assert_eq!(done.items, (1..=3000).filter(|x| x % 3 != 0).map(|x| x * 2).collect::<Vec<u64>>());
    assert_eq!(stored(&executor).await, []);
}

async fn large_items_in_lists_and_async_steps(executor: Executor) {
    let done = Pipeline::new(0..40_u64)
        .map_async(async |x: u64| blob(x))
        .concurrency(8)
        .parallel(|blobs: Vec<Vec<u8>>| blobs.into_iter().rev().collect::<Vec<_>>())
        .chunk_size(4)
        .parallel(|blobs: Vec<Vec<u8>>| blobs.iter().map(Vec::len).collect())
        .chunk_size(3)
        .run(&executor)
        .await
        .unwrap();
    let mut lens: Vec<usize> = (0..40).map(|x| blob(x).len()).collect();
    // Where lists are cut is the scheduler's matter; what is in them is not.
    let mut items = done.items;
    lens.sort_unstable();
    items.sort_unstable();
    assert_eq!(items, lens);
}

async fn an_item_that_is_tried_again(executor: Executor) {
    let done = Pipeline::new(0..20_u64)
        .map(blob)
        .chunk_size(5)
        .try_map(|blob: Vec<u8>| if task().attempt() > 2 { Ok(digest(&blob)) } else { Err("not yet") })
        .retries(5)
        .run(&executor)
        .await
        .unwrap();
    assert_eq!(done.items, digests(0..20));
    assert_eq!(stored(&executor).await, []);
}

fn not_thirteen(blob: Vec<u8>) -> Result<Vec<u8>, String> {
    if blob.len() == 13 || blob.len() == LARGE + 14 { Err("unlucky".to_owned()) } else { Ok(blob) }
}

async fn a_failure_in_the_middle_leaves_nothing(executor: Executor) {
    let pipeline = Pipeline::new(0..)
        .map(blob)
        .chunk_size(3)
        .try_map(not_thirteen)
        .chunk_size(2)
        .map(|blob: Vec<u8>| blob.len())
        .chunk_size(1);
    let error = pipeline.run(&executor).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Task);
    assert!(error.to_string().contains("unlucky"), "{error}");
    nothing_stays(&executor).await;
}

async fn failures_in_the_middle_are_collected(executor: Executor) {
    let done = Pipeline::new(0..30_u64)
        .map(blob)
        .chunk_size(4)
        .try_map(not_thirteen)
        .chunk_size(3)
        .map(|blob: Vec<u8>| digest(&blob))
        .on_error(OnError::Collect)
        .run(&executor)
        .await
        .unwrap();
    let good: Vec<_> = (0..30).filter(|x| ![13, 14].contains(x)).map(|x| digest(&blob(x))).collect();
    assert_eq!(done.items, good);
    let mut failed: Vec<_> = done.failed.iter().map(|error| (error.index, error.input_bytes)).collect();
    failed.sort_unstable();
    assert_eq!(failed.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [13, 14]);
    assert!(failed[1].1 > LARGE as u64, "what it took counts, and not what stood for it: {failed:?}");
    assert_eq!(stored(&executor).await, []);
}

async fn a_step_that_kills_its_process_is_run_again(executor: Executor) {
    let done = Pipeline::new(0..20_u64)
        .map(blob)
        .chunk_size(5)
        .map(|blob: Vec<u8>| {
            if blob.len() == LARGE + 8 && task().attempt() == 1 {
                std::process::abort();
            }
            digest(&blob)
        })
        .chunk_size(5)
        .retries(5)
        .run(&executor)
        .await
        .unwrap();
    assert_eq!(done.items, digests(0..20));
    assert_eq!(stored(&executor).await, []);
}

async fn large_items_in_a_stream(executor: Executor) {
    let mut stream = Pipeline::new(0..50_u64)
        .map(blob)
        .chunk_size(5)
        .map(|blob: Vec<u8>| digest(&blob))
        .stream(&executor)
        .await
        .unwrap();
    for expected in digests(0..50) {
        assert_eq!(stream.next().await.unwrap().unwrap(), expected);
    }
    assert!(stream.next().await.is_none());
    assert_eq!(stream.report().await.unwrap().outputs, 50);
    assert_eq!(stored(&executor).await, []);
}

async fn a_dropped_stream_leaves_nothing(executor: Executor) {
    let mut stream = Pipeline::new(0..)
        .map(blob)
        .chunk_size(3)
        .map(|blob: Vec<u8>| digest(&blob))
        .stream(&executor)
        .await
        .unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), digest(&blob(0)));
    drop(stream);
    nothing_stays(&executor).await;
}

async fn two_rows_of_jobs(executor: Executor) {
    let done = Pipeline::new(0..20_u64)
        .map(blob)
        .chunk_size(3)
        .map(|blob: Vec<u8>| (blob.len() as u64).min(20))
        .sequential(|mut lens: Vec<u64>| {
            lens.sort_unstable();
            lens
        })
        .map(blob)
        .chunk_size(6)
        .map(|blob: Vec<u8>| digest(&blob))
        .run(&executor)
        .await
        .unwrap();
    let mut lens: Vec<u64> = (0..20).map(|x| (blob(x).len() as u64).min(20)).collect();
    lens.sort_unstable();
    assert_eq!(done.items, lens.into_iter().map(|x| digest(&blob(x))).collect::<Vec<_>>());
    assert_eq!(stored(&executor).await, []);
}
