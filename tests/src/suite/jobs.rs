//! What tasks see, several jobs at once, jobs in jobs.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use rustwren::prelude::*;
use rustwren::storage::{Key, StorageExt};

use super::unless_dear;

crate::tests![
    a_task_knows_itself,
    a_task_knows_its_deadline,
    attempts_are_counted,
    two_jobs_at_once,
    many_jobs_at_once,
    nested_jobs,
    nested_jobs_share_no_worker_with_their_parents,
    workers_stay_warm,
    paths_that_are_not_utf8,
    no_more_workers_than_asked_for,
    own_objects,
    own_objects_of_tasks,
    waiting_on_a_plain_thread,
    labels_default_to_the_function,
];

async fn a_task_knows_itself(executor: Executor) {
    let seen = executor
        .map(
            |_: u64| {
                let task = task();
                (
                    task.is_remote(),
                    task.index(),
                    task.attempt(),
                    task.label().to_owned(),
                    task.job().to_owned(),
                )
            },
            (0..100).rev(),
        )
        .label("who")
        .await
        .unwrap();
    let job = seen[0].4.clone();
    assert!(!job.is_empty());
    for (i, of) in seen.into_iter().enumerate() {
        assert_eq!(of, (true, i as u64, 1, "who".to_owned(), job.clone()));
    }
    let inside = executor.map_async(|_: u64| async { task().index() }, 0..50).await.unwrap();
    assert_eq!(inside, (0..50).collect::<Vec<_>>());
    assert!(!task().is_remote());
}

async fn a_task_knows_its_deadline(executor: Executor) {
    let left = executor.map(|_: u8| task().time_left(), 0..3).timeout(Duration::from_hours(1)).await.unwrap();
    for left in left {
        let left = left.unwrap();
        assert!(left <= Duration::from_hours(1) && left > Duration::from_mins(30), "{left:?}");
    }
    assert_eq!(executor.call(|_: u8| task().time_left(), 0).await.unwrap(), None);
}

async fn attempts_are_counted(executor: Executor) {
    let attempts = executor
        .try_map(
            |x: u64| {
                let attempt = task().attempt();
                if u64::from(attempt) > x % 4 { Ok(attempt) } else { Err("again") }
            },
            0..40,
        )
        .retries(3)
        .await
        .unwrap();
    for (x, attempt) in attempts.into_iter().enumerate() {
        assert_eq!(attempt as usize, x % 4 + 1);
    }
}

async fn two_jobs_at_once(executor: Executor) {
    let (many, some) = (unless_dear(&executor, 50_000, 5_000), unless_dear(&executor, 5_000, 500));
    let a = executor.map(|x: u64| x + 1, 0..many).chunk_size(50).spawn().await.unwrap();
    let b = executor.map(|x: u64| x.to_string(), 0..some).chunk_size(7).spawn().await.unwrap();
    assert_ne!(a.id(), b.id());
    let b = b.results().await.unwrap();
    let a = a.results().await.unwrap();
    assert!(a.iter().enumerate().all(|(i, &y)| y == i as u64 + 1) && a.len() as u64 == many);
    assert!(b.iter().enumerate().all(|(i, y)| *y == i.to_string()) && b.len() as u64 == some);
}

async fn many_jobs_at_once(executor: Executor) {
    let mut jobs = Vec::new();
    for n in 0..unless_dear(&executor, 50, 20) {
        jobs.push(executor.map_with(&n, |n, x: u64| n * x, 0..n).spawn().await.unwrap());
    }
    for (n, job) in jobs.into_iter().enumerate() {
        let n = n as u64;
        assert_eq!(job.results().await.unwrap(), (0..n).map(|x| n * x).collect::<Vec<_>>());
    }
}

async fn nested_jobs(executor: Executor) {
    let sums = executor
        .try_map_async(
            |n: u64| async move {
                let inner = Executor::connect().await?;
                let squares = inner.map(|x: u64| x * x, 0..n).await?;
                Ok::<u64, rustwren::Error>(squares.iter().sum())
            },
            [10, 20, 30, 40],
        )
        .await
        .unwrap();
    assert_eq!(sums, [10_u64, 20, 30, 40].map(|n| (0..n).map(|x| x * x).sum::<u64>()));
}

async fn nested_jobs_share_no_worker_with_their_parents(executor: Executor) {
    // More parents than workers, each waiting for a child: a shared pool would be full of waiting parents.
    let depths = executor
        .try_map(
            |_: u64| {
                let inner = rustwren::blocking::connect()?;
                rustwren::blocking::block_on(inner.call(|depth: u8| depth + 1, 1))
            },
            0..8,
        )
        .chunk_size(1)
        .await
        .unwrap();
    assert_eq!(depths, [2; 8]);
}

async fn workers_stay_warm(executor: Executor) {
    let pids = |_: u64| std::process::id();
    let count = unless_dear(&executor, 1000, 100);
    let first: BTreeSet<u32> =
        executor.map(pids, 0..count).chunk_size(1).await.unwrap().into_iter().collect();
    let job = executor.map(pids, 0..count).chunk_size(1).spawn().await.unwrap();
    let handle = job.handle();
    let second: BTreeSet<u32> = job.results().await.unwrap().into_iter().collect();
    assert!(first.union(&second).count() <= 2, "{first:?} {second:?}");
    assert!(handle.stats().cold_starts as usize <= 2 - first.len().min(2));
}

async fn paths_that_are_not_utf8(executor: Executor) {
    use std::os::unix::ffi::OsStringExt;
    let folder = tempfile::tempdir().unwrap();
    let mut name = b"odd-\xff\xfe-".to_vec();
    name.extend_from_slice("ü.txt".as_bytes());
    let path = folder.path().join(OsString::from_vec(name));
    std::fs::write(&path, "found").unwrap();
    // serde refuses such a `PathBuf`; bytes do not care.
    let error = executor.map(|path: PathBuf| path.exists(), [path.clone()]).await.unwrap_err();
    assert!(error.to_string().contains("input 0"), "{error}");
    let text = executor
        .map(
            |bytes: Vec<u8>| {
                let path = PathBuf::from(OsString::from_vec(bytes));
                println!("reading {}", path.display());
                std::fs::read_to_string(path).unwrap()
            },
            [path.into_os_string().into_vec()],
        )
        .await
        .unwrap();
    assert_eq!(text, ["found"]);
}

async fn no_more_workers_than_asked_for(executor: Executor) {
    let folder = tempfile::tempdir().unwrap();
    let lock = folder.path().join("lock");
    let alone = |path: &PathBuf, x: u64| {
        std::fs::File::create_new(path)?;
        std::thread::yield_now();
        std::fs::remove_file(path)?;
        Ok::<u64, std::io::Error>(x)
    };
    let count = unless_dear(&executor, 500, 50);
    let outputs = executor.try_map_with(&lock, alone, 0..count).chunk_size(1).workers(1).await.unwrap();
    assert_eq!(outputs.len() as u64, count);
}

async fn own_objects(executor: Executor) {
    let storage = executor.storage();
    let key = Key::new(format!("own/{}", std::process::id())).unwrap();
    storage.put(&key, "kept".into()).await.unwrap();
    assert_eq!(storage.get(&key).await.unwrap(), "kept");
    storage.delete(&key).await.unwrap();
    assert!(!storage.exists(&key).await.unwrap());
}

/// What the client puts there tasks read, and the other way round; RustWren's own objects nobody changes so.
async fn own_objects_of_tasks(executor: Executor) {
    use rustwren::blocking::block_on;
    let storage = executor.storage();
    let name = format!("tasks/{}", std::process::id());
    storage.put(&Key::new(format!("{name}/client")).unwrap(), "from the client".into()).await.unwrap();
    let copy = |name: &String, index: u64| {
        let storage = task().storage().unwrap();
        let read = block_on(storage.get(&Key::new(format!("{name}/client")).unwrap())).unwrap();
        block_on(storage.put(&Key::new(format!("{name}/{index}")).unwrap(), read)).unwrap();
    };
    executor.map_with(&name, copy, 0..4).await.unwrap();
    let nested = |name: String| async move {
        let storage = task().storage().unwrap();
        let listed = storage.list_all(&name).await.unwrap();
        let refused = storage.put(&Key::new("jobs/x/manifest").unwrap(), "".into()).await.unwrap_err();
        (listed.len(), refused.to_string())
    };
    let (count, refused) = executor.map_async(nested, [name.clone()]).await.unwrap().remove(0);
    assert_eq!(count, 5);
    assert!(refused.contains("below jobs/ is RustWren's"), "{refused}");
    for object in storage.list_all(&name).await.unwrap() {
        assert_eq!(storage.get(&object.key).await.unwrap(), "from the client");
        storage.delete(&object.key).await.unwrap();
    }
}

async fn waiting_on_a_plain_thread(executor: Executor) {
    let thread = std::thread::spawn(move || {
        use rustwren::blocking::{self, Wait};
        let job = executor.map(|x: u64| x + 1, 0..1000).spawn().wait().unwrap();
        let mut outputs: Vec<u64> = blocking::iter(job).map(|result| result.unwrap().1).collect();
        outputs.sort_unstable();
        (outputs, executor.map(|x: u64| x, 0..3).wait().unwrap())
    });
    assert_eq!(thread.join().unwrap(), ((1..=1000).collect(), vec![0, 1, 2]));
}

async fn labels_default_to_the_function(executor: Executor) {
    fn render(x: u8) -> u8 {
        x
    }
    assert_eq!(executor.map(render, [1]).spawn().await.unwrap().label(), "render");
}
