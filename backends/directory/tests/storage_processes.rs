//! Many processes and many storages over one directory.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;

use bytes::Bytes;
use futures_util::future::join_all;
use rustwren_core::storage::{Key, PutOutcome, Storage, StorageExt};
use rustwren_directory::DirectoryStorage;

/// Set for the processes that the test starts from its own program.
const ROOT: &str = "RUSTWREN_TEST_STORAGE_ROOT";
const PROCESSES: usize = 16;
const WRITERS_EACH: usize = 4;
const ROUNDS: usize = 20;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn key(round: usize) -> Key {
    // In a directory that may have to be made first, by one of the racers.
    Key::new(format!("round/{round}/k")).unwrap()
}

/// What a writer writes: its name and a tail whose length depends on it.
fn content(process: &str, writer: usize) -> Bytes {
    Bytes::from(format!("{process}.{writer}:").repeat(1 + writer * 5_000))
}

/// A racer: waits for a line with the round, writes, answers with the writers that created the object.
fn race(root: &Path) {
    let storage = DirectoryStorage::open(root).unwrap();
    let me = std::process::id().to_string();
    for line in std::io::stdin().lines() {
        let round: usize = line.unwrap().parse().unwrap();
        let key = key(round);
        let puts = (0..WRITERS_EACH).map(|writer| storage.put_if_absent(&key, content(&me, writer)));
        let outcomes = block_on(join_all(puts)).into_iter().enumerate();
        let won = outcomes.filter_map(|(writer, outcome)| {
            (outcome.unwrap() == PutOutcome::Created).then(|| format!(" {writer}"))
        });
        // The test harness writes lines of its own to the same stream.
        println!("\nraced{}", won.collect::<String>());
    }
}

struct Racer {
    child: Child,
    output: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Racer {
    fn start(root: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "of_racing_processes_one_creates", "--nocapture"])
            .env(ROOT, root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, output }
    }

    fn say(&mut self, round: usize) {
        let stdin = self.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{round}").unwrap();
        stdin.flush().unwrap();
    }

    /// What the winning writers of this process wrote.
    fn winners(&mut self) -> Vec<Bytes> {
        let name = self.child.id().to_string();
        loop {
            let line = self.output.next().expect("a racer died").unwrap();
            if let Some(writers) = line.strip_prefix("raced") {
                return writers.split_whitespace().map(|w| content(&name, w.parse().unwrap())).collect();
            }
        }
    }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a variable between this test and itself, not one of the project's"
)]
fn of_racing_processes_one_creates() {
    if let Some(root) = std::env::var_os(ROOT) {
        return race(Path::new(&root));
    }
    let dir = tempfile::tempdir().unwrap();
    let storage = DirectoryStorage::open(dir.path()).unwrap();
    let mut racers: Vec<_> = (0..PROCESSES).map(|_| Racer::start(dir.path())).collect();
    for round in 0..ROUNDS {
        for racer in &mut racers {
            racer.say(round);
        }
        let winners: Vec<_> = racers.iter_mut().flat_map(Racer::winners).collect();
        assert_eq!(winners.len(), 1, "writers that created the object in round {round}");
        assert!(block_on(storage.get(&key(round))).unwrap() == winners[0], "the object is not the winner's");
    }
    for mut racer in racers {
        drop(racer.child.stdin.take());
        assert!(racer.child.wait().unwrap().success());
    }
    assert_eq!(block_on(storage.list_all("")).unwrap().len(), ROUNDS);
    assert_eq!(std::fs::read_dir(dir.path().join(".rustwren-tmp")).unwrap().count(), 0);
}

/// Writers and deleters in the same directories: a directory that one finds empty and removes is one that
/// another is about to write to.
#[test]
fn writes_survive_the_removal_of_empty_directories() {
    const THREADS: usize = 8;
    let dir = tempfile::tempdir().unwrap();
    let start = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (start, root) = (&start, dir.path());
            scope.spawn(move || {
                let storage = DirectoryStorage::open(root).unwrap();
                let key = Key::new(format!("a/b/c/{thread}")).unwrap();
                start.wait();
                block_on(async {
                    for round in 0..200_usize {
                        let data = Bytes::from(round.to_string());
                        if round.is_multiple_of(2) {
                            storage.put(&key, data.clone()).await.unwrap();
                        } else {
                            let created = storage.put_if_absent(&key, data.clone()).await.unwrap();
                            assert_eq!(created, PutOutcome::Created);
                        }
                        assert_eq!(storage.get(&key).await.unwrap(), data);
                        let listed = storage.list_all("a/").await.unwrap();
                        assert!(listed.iter().any(|object| object.key == key), "an object is not listed");
                        storage.delete(&key).await.unwrap();
                        assert!(!storage.exists(&key).await.unwrap());
                    }
                });
            });
        }
    });
    let storage = DirectoryStorage::open(dir.path()).unwrap();
    assert_eq!(block_on(storage.list_all("")).unwrap(), []);
}
