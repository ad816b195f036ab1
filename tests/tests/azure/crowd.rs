//! Many at once, in one instance.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustwren::blocking::block_on;
use tokio::sync::Notify;

use crate::place::{Place, Plan};

/// Notes that it runs, sees how many do, and takes a while.
fn counted(input: (PathBuf, u64)) -> (u64, usize) {
    let (folder, x) = input;
    let own = folder.join(x.to_string());
    std::fs::write(&own, "").unwrap();
    std::thread::sleep(Duration::from_millis(20));
    let running = std::fs::read_dir(&folder).unwrap().count();
    std::fs::remove_file(&own).unwrap();
    (x * x, running)
}

/// The platform sends so many calls to one instance at once; the runtime in it does so many. The results, and the most
/// that ran at once.
fn crowd(calls: u64, workers: usize) -> usize {
    let place = Place::new(&Plan { per_instance: calls as usize, workers, ..Plan::default() });
    let folder = place.shared();
    let inputs = (0..calls).map(|x| (folder.clone(), x)).collect::<Vec<_>>();
    let executor = place.connect(calls);
    let job = executor.map(counted, inputs).chunk_size(1).retries(0);
    let found = block_on(job.into_future()).unwrap();
    let squares: Vec<u64> = found.iter().map(|(square, _)| *square).collect();
    assert_eq!(squares, (0..calls).map(|x| x * x).collect::<Vec<_>>());
    let seen = place.host.seen();
    assert!(seen.most_running[0] as u64 > calls / 2, "the calls came at once: {seen:?}");
    found.into_iter().map(|(_, running)| running).max().unwrap_or(0)
}

/// 200 calls come to one instance at once, as they did in 2017: no more of them run than the instance has room for, the
/// others come again, and it costs none of them an attempt.
pub(crate) fn burst() {
    assert!(crowd(200, 2) <= 2);
    // Without a bound in the runtime they would all run at once.
    assert!(crowd(24, 24) > 2);
}

static THERE: AtomicUsize = AtomicUsize::new(0);
static ALL: Notify = Notify::const_new();
const AT_ONCE: usize = 512;

/// Comes to its end once all are there.
async fn meet(x: u64) -> (u64, u32) {
    let mut all = std::pin::pin!(ALL.notified());
    all.as_mut().enable();
    if THERE.fetch_add(1, Ordering::SeqCst) + 1 == AT_ONCE {
        ALL.notify_waiters();
    } else {
        all.await;
    }
    (x * x, std::process::id())
}

/// 512 tasks in one function process of one runtime, each of which waits for all others: no result is lost, and none is
/// another's.
pub(crate) fn many_at_once() {
    let place = Place::new(&Plan::default());
    let executor = place.connect(1);
    let job =
        executor.map_async(meet, 0..AT_ONCE as u64).chunk_size(AT_ONCE as u32).concurrency(AT_ONCE as u32);
    let found = block_on(job.into_future()).unwrap();
    let squares: Vec<u64> = found.iter().map(|(square, _)| *square).collect();
    assert_eq!(squares, (0..AT_ONCE as u64).map(|x| x * x).collect::<Vec<_>>());
    assert!(found.iter().all(|(_, process)| *process == found[0].1), "all in one process");
}
