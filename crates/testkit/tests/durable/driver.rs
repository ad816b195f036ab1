//! A driver of durable jobs in small: it stores inputs, leads, and commits results, with nothing behind it that runs
//! anything.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, poll_fn, select};
use rustwren_core::durable::{
    BeatWatch, Commit, CommittedByIndex, DEFAULT_LEASE, End, Entry, Heart, How, InputStore, JobId, Journal,
    Kind, Leadership, Life, Manifest, Outcome, Results, Sign, Store, Taken, Tally, found, take_lead,
};
use rustwren_core::entry::{Call, Entry as Function, Target};
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::image::ImageId;
use rustwren_core::invoker::{JobSpec, Payload};
use rustwren_core::protocol::records::{append_input, split_input, split_result};
use rustwren_core::scheduler::JobOptions;
use rustwren_core::scheduler::input::{Block, InputSource, Ready};
use rustwren_core::scheduler::stats::JobStats;

use crate::journal::record;
use crate::world::{World, owner};

pub const ELEMENTS: u64 = 24;
/// Elements in one block of inputs.
const PER_BLOCK: u64 = 4;

/// What drivers were told is committed: which result of which element.
pub type Promised = Arc<Mutex<BTreeMap<u64, Bytes>>>;

/// A process that works on a job.
#[derive(Clone)]
pub struct Driver {
    pub world: World,
    pub store: Store,
    pub name: String,
    pub id: JobId,
    /// How long its elements take together, at most.
    pub pause: Duration,
    pub promised: Promised,
    /// Whether it drives the job now.
    pub driving: Arc<AtomicBool>,
}

/// How a driver ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    /// The job is done, and all its results are these.
    Done(BTreeMap<u64, Bytes>),
    /// The job was removed.
    Removed,
}

fn is_removed(error: &Error) -> bool {
    error.kind() == ErrorKind::Cancelled
}

impl Driver {
    /// Stores a job and drives it to its end.
    pub async fn found(&self) -> Result<Ended> {
        let owner = owner(&self.name);
        let heart = Heart::start(&self.store, &self.id, owner, DEFAULT_LEASE, Some(ImageId([1; 32]))).await?;
        let beating = Arc::clone(&heart);
        let founding = async {
            let shared = Bytes::from_static(b"shared");
            self.store.storage().put(&self.id.shared_key()?, shared).await.or_else(|error| {
                // As any client would, which this one spares itself.
                if error.class().is_retryable() { Ok(()) } else { Err(error) }
            })?;
            self.world.sleep(self.world.up_to(self.pause)).await;
            let inputs = InputStore::new(&self.store, &self.id).block_bytes(200);
            let inputs = inputs.write(Box::new(Ready::new(blocks())), |_| {}).await?;
            let mut manifest = self.manifest()?;
            manifest.inputs = Some(inputs);
            found(&self.store, &manifest, heart).await
        };
        match while_beating(&beating, founding).await {
            Ok(Taken::Leading(leadership)) => self.lead(leadership, CommittedByIndex::new(&self.id)).await,
            Ok(Taken::Other(_)) => {
                beating.leave().await;
                self.attach().await
            }
            Err(error) if error.message() == DEPOSED => {
                beating.leave().await;
                self.attach().await
            }
            Err(error) if is_removed(&error) => Ok(Ended::Removed),
            Err(error) => Err(error),
        }
    }

    pub fn manifest(&self) -> Result<Manifest> {
        let target = Target::Named { name: "f".into(), call: Call::MapWith };
        let key = self.id.shared_key()?.to_string();
        let spec = JobSpec {
            id: self.id.to_string(),
            label: "f".into(),
            entry: Function { image: ImageId([1; 32]), target },
            shared: Some(Payload::Stored { key, offset: 0, len: 6 }),
            task_timeout: None,
            concurrency: 1,
        };
        Manifest::new(&spec, Kind::Durable, &JobOptions::default(), "u64", &self.name)
    }

    /// Attaches to the job: reads along while somebody drives it, and drives it when nobody does. An error of kind
    /// `Config` when there is no such job.
    pub async fn attach(&self) -> Result<Ended> {
        let done = async {
            Manifest::read(&self.store, &self.id).await?;
            let mut journal = Journal::open(&self.store, self.id.clone());
            let mut committed = CommittedByIndex::new(&self.id);
            let mut watch = BeatWatch::new(&self.store, &self.id);
            loop {
                journal.read_all(|logged| committed.add(logged).map(drop)).await?;
                if journal.view().end.is_some() {
                    return self.all(&committed).await;
                }
                let life = watch.look().await?;
                if let Life::Dead(_) | Life::Absent = life {
                    let owner = owner(&self.name);
                    let heart =
                        Heart::start(&self.store, &self.id, owner, DEFAULT_LEASE, Some(ImageId([1; 32])));
                    let heart = heart.await?;
                    let beating = Arc::clone(&heart);
                    let taking =
                        take_lead(journal, Arc::clone(&heart), |logged| committed.add(logged).map(drop));
                    match while_beating(&beating, taking).await {
                        Ok(Taken::Leading(leadership)) => return self.lead(leadership, committed).await,
                        Ok(Taken::Other(reader)) => {
                            heart.leave().await;
                            journal = reader;
                        }
                        Err(error) if error.message() == DEPOSED => {
                            heart.leave().await;
                            return Box::pin(self.attach()).await;
                        }
                        Err(error) => return Err(error),
                    }
                }
                self.world.sleep(Duration::from_secs(1)).await;
            }
        };
        match done.await {
            Err(error) if is_removed(&error) => Ok(Ended::Removed),
            done => done,
        }
    }

    /// Drives the job to its end, or reads along when it is deposed.
    async fn lead(&self, mut leadership: Leadership, mut committed: CommittedByIndex) -> Result<Ended> {
        let heart = Arc::clone(leadership.heart());
        self.driving.store(true, Ordering::Relaxed);
        let driving = async {
            let deposed = self.drive(&mut leadership, &mut committed).await?;
            self.driving.store(false, Ordering::Relaxed);
            Ok((deposed, leadership))
        };
        match while_beating(&heart, driving).await {
            Ok((false, _)) => self.all(&committed).await,
            Ok((true, _)) => {
                heart.leave().await;
                Box::pin(self.attach()).await
            }
            Err(error) if error.message() == DEPOSED => {
                heart.leave().await;
                Box::pin(self.attach()).await
            }
            Err(error) if is_removed(&error) => Ok(Ended::Removed),
            Err(error) => Err(error),
        }
    }

    /// Commits what is missing, in an order of its own. Whether it was deposed.
    async fn drive(&self, leadership: &mut Leadership, committed: &mut CommittedByIndex) -> Result<bool> {
        let manifest = Manifest::read_opt(&self.store, &self.id).await?;
        let Some(inputs) = manifest.and_then(|manifest| manifest.inputs) else {
            // Removed since, which the next commit would tell.
            return Err(Error::new(ErrorKind::Cancelled, "the manifest is gone"));
        };
        self.read_inputs(&inputs).await?;
        loop {
            let missing: Vec<u64> = committed.gaps(0..ELEMENTS).flatten().collect();
            let entry = if missing.is_empty() {
                let tally = Tally { done: committed.done(), failed: 0 };
                Entry::End(End { how: How::Done, stats: JobStats::default(), tally })
            } else {
                self.world.sleep(self.world.up_to(self.pause / ELEMENTS as u32)).await;
                let mut results = Results::default();
                for _ in 0..self.world.draw(|rng| rng.u64(1..4)) {
                    let index = missing[self.world.draw(|rng| rng.usize(..missing.len()))];
                    results.push_run(index, 1, record(format!("{index} by {}", self.name).as_bytes()));
                }
                results.tally = Tally { done: committed.done() + results.groups.len() as u64, failed: 0 };
                Entry::Results(results)
            };
            let commit = match &entry {
                Entry::End(end) => leadership.end(end.clone()).await?,
                _ => leadership.commit(&entry).await?,
            };
            match commit {
                Commit::Written(_) if matches!(entry, Entry::End(_)) => return Ok(false),
                Commit::Written(seq) => {
                    let size = entry.encode(0)?.len() as u64;
                    let logged = rustwren_core::durable::Logged { seq, size, entry };
                    let new = committed.add(&logged)?;
                    self.promised.lock().unwrap().extend(new.iter().flat_map(split));
                }
                Commit::Lost(logged) => drop(committed.add(&logged)?),
                Commit::Deposed(_) => return Ok(true),
            }
        }
    }

    async fn read_inputs(&self, inputs: &rustwren_core::durable::Inputs) -> Result<()> {
        let mut source = InputStore::new(&self.store, &self.id).read(inputs);
        let mut index = 0_u64;
        while let Some(block) = poll_fn(|cx| source.poll_next(cx)).await {
            let block = block?;
            let mut at = 0;
            for _ in 0..block.count {
                let (body, len) = split_input(&block.bytes[at..]).unwrap();
                assert_eq!(body, input(index));
                (at, index) = (at + len, index + 1);
            }
        }
        assert_eq!(index, ELEMENTS);
        Ok(())
    }

    /// All results, out of the storage.
    async fn all(&self, committed: &CommittedByIndex) -> Result<Ended> {
        let read = match committed.read(&self.store, 0..ELEMENTS).await {
            // An ended job may be removed at any time.
            Err(_) if !self.world.keys().contains(&self.id.manifest_key()?.to_string()) => {
                return Ok(Ended::Removed);
            }
            read => read?,
        };
        let all: BTreeMap<u64, Bytes> = read.iter().flat_map(split).collect();
        assert_eq!(all.len() as u64, ELEMENTS);
        Ok(Ended::Done(all))
    }
}

/// Each element's record.
pub fn split(outcome: &Outcome) -> Vec<(u64, Bytes)> {
    let Outcome::Results { first, count, records } = outcome else { panic!("{outcome:?}") };
    let mut at = 0;
    let record = |index| {
        let (_, _, len) = split_result(&records[at..]).unwrap();
        at += len;
        (index, records.slice(at - len..at))
    };
    (*first..first + u64::from(*count)).map(record).collect()
}

const DEPOSED: &str = "deposed";

/// Does something while signs of life are given, and stops when they say so.
async fn while_beating<T>(heart: &Heart, work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut work = std::pin::pin!(work);
    loop {
        let sign = std::pin::pin!(heart.next_sign());
        match select(work.as_mut(), sign).await {
            Either::Left((done, _)) => return done,
            Either::Right((Sign::Cancel, _)) => {}
            Either::Right((Sign::Removed, _)) => return Err(Error::new(ErrorKind::Cancelled, "removed")),
            Either::Right((Sign::Deposed(_), _)) => return Err(Error::new(ErrorKind::Internal, DEPOSED)),
        }
    }
}

fn input(index: u64) -> Vec<u8> {
    vec![index as u8; 40]
}

fn blocks() -> Vec<Block> {
    let firsts = (0..ELEMENTS).step_by(PER_BLOCK as usize);
    let block = |first| {
        let mut bytes = Vec::new();
        for index in first..first + PER_BLOCK {
            append_input(&mut bytes, |out| {
                out.extend(input(index));
                Ok::<_, ()>(())
            })
            .unwrap();
        }
        Block { count: PER_BLOCK as u32, bytes: bytes.into() }
    };
    firsts.map(block).collect()
}
