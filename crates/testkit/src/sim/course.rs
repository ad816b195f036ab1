//! The course that one simulated invocation takes, worked out when its worker takes it.

use std::time::Duration;

use bytes::Bytes;
use rustwren_core::codec;
use rustwren_core::failure::{FailureKind, TaskFailure};
use rustwren_core::invoker::{Invocation, ResultBatch, Stopped};
use rustwren_core::protocol::records::{ResultTag, append_list, split_input};

use super::provider::Provider;
use super::work::{Outcome, Work, list_of, takes_lists};

/// The longest list.
const LIST: usize = 12;

/// Elements that ended with a result record: one, or a list.
#[derive(Debug, Clone)]
pub(super) struct Finished {
    pub(super) offset: u32,
    pub(super) count: u32,
    pub(super) record: Result<Vec<u8>, TaskFailure>,
}

/// From when on nothing is heard of an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Silence {
    /// It never reaches its worker.
    AtOnce,
    /// So long after it began.
    After(Duration),
}

/// How an invocation ends.
#[derive(Debug)]
pub(super) enum End {
    /// A reply with this reason to have stopped.
    Reply(Option<Stopped>),
    /// The worker is gone.
    Lost,
    /// It runs until it is given up.
    Never,
}

/// What happens once the worker has begun.
#[derive(Debug)]
pub(super) struct Course {
    /// Batches to stream, and when, counted from the beginning; ascending.
    pub(super) streamed: Vec<(Duration, Vec<Finished>)>,
    /// Results that come with the reply.
    pub(super) kept: Vec<Finished>,
    /// How long the elements took together.
    pub(super) compute: Duration,
    pub(super) end: End,
    /// Where nothing more is heard of it from some moment on.
    pub(super) silent: Option<Silence>,
    /// Whether the worker must be started anew afterwards.
    pub(super) died: bool,
}

impl Finished {
    pub(super) fn elements(&self) -> std::ops::Range<u32> {
        self.offset..self.offset + self.count
    }
}

/// The bodies of an invocation's input records.
pub(super) fn inputs(records: &[u8], count: u32) -> Result<Vec<&[u8]>, String> {
    let mut bodies = Vec::new();
    let mut at = 0;
    while at < records.len() {
        let (body, len) = split_input(&records[at..]).map_err(|error| error.to_string())?;
        bodies.push(body);
        at += len;
    }
    if bodies.len() == count as usize {
        Ok(bodies)
    } else {
        Err(format!("{} inputs for {count} elements", bodies.len()))
    }
}

/// Works out the course of an invocation with these inputs.
pub(super) fn course(
    provider: &Provider,
    work: &dyn Work,
    invocation: &Invocation,
    inputs: &[&[u8]],
    rng: &mut fastrand::Rng,
) -> Course {
    let mut run =
        Run { provider, invocation, rng, time: Duration::ZERO, finished: Vec::new(), streamed: Vec::new() };
    let (end, died) = run.elements(work, inputs);
    let Run { mut streamed, finished, time, .. } = run;
    if rng.f64() < provider.shuffle {
        let (times, mut batches): (Vec<_>, Vec<_>) = streamed.into_iter().unzip();
        rng.shuffle(&mut batches);
        streamed = times.into_iter().zip(batches).collect();
    }
    let mut kept = finished;
    let mut again = Vec::new();
    for (at, batch) in &streamed {
        if rng.f64() < provider.duplicate {
            if rng.bool() {
                again.push((*at, batch.clone()));
            } else {
                kept.extend(batch.iter().cloned());
            }
        }
    }
    streamed.extend(again);
    streamed.sort_by_key(|(at, _)| *at);
    let mut happens = |rate: f64| rate > 0.0 && rng.f64() < rate;
    let silent = if happens(provider.vanish) {
        Some(Silence::AtOnce)
    } else {
        happens(provider.silent).then(|| Silence::After(time.mul_f64(rng.f64())))
    };
    Course { streamed, kept, compute: time, end, silent, died }
}

struct Run<'a> {
    provider: &'a Provider,
    invocation: &'a Invocation,
    rng: &'a mut fastrand::Rng,
    time: Duration,
    finished: Vec<Finished>,
    streamed: Vec<(Duration, Vec<Finished>)>,
}

impl Run<'_> {
    /// Runs elements, as many at once as the process may, until all are done or something happens.
    fn elements(&mut self, work: &dyn Work, inputs: &[&[u8]]) -> (End, bool) {
        let count = inputs.len();
        let stops = |rng: &mut fastrand::Rng, rate: f64| (rng.f64() < rate).then(|| rng.usize(..count));
        let lost_at = stops(self.rng, self.provider.lost);
        let back_at = stops(self.rng, self.provider.hand_back);
        let lists = takes_lists(&self.invocation.job);
        let mut at_once = self.invocation.concurrency.max(1) as usize;
        let mut next = 0;
        while next < count {
            if lost_at.is_some_and(|at| at <= next) {
                return (End::Lost, true);
            }
            if back_at.is_some_and(|at| at <= next) {
                return (End::Reply(self.rng.bool().then(Stopped::default)), false);
            }
            if lists {
                at_once = if self.invocation.concurrency > 1 { self.rng.usize(1..=LIST) } else { 1 };
            }
            let group = next..count.min(next + at_once);
            let mut outcomes: Vec<(usize, Outcome)> = Vec::new();
            let mut longest = Duration::ZERO;
            for k in group {
                let index = self.invocation.first + k as u64;
                let mut outcome =
                    work.attempt(&self.invocation.job, index, self.invocation.attempt, inputs[k]);
                if self.rng.f64() < self.provider.crash {
                    outcome = Outcome::Dies(FailureKind::Signal(9));
                }
                let times = &self.provider.times;
                let time = self.provider.fixed_times.map(|seed| times.of(seed, index));
                longest = longest.max(time.unwrap_or_else(|| times.draw(self.rng)));
                outcomes.push((k, outcome));
            }
            if let Some(limit) = self.provider.max_duration.filter(|limit| self.time + longest > *limit) {
                let first = next as u32;
                if next > 0 {
                    return (End::Reply(Some(Stopped::default())), false);
                }
                self.time = limit;
                let failure = TaskFailure::new(FailureKind::TimedOut(limit), "simulated");
                return (
                    End::Reply(Some(Stopped { failed: vec![(first, failure)], ..Stopped::default() })),
                    true,
                );
            }
            next += outcomes.len();
            if let Some(end) = self.group(outcomes, longest) {
                return end;
            }
        }
        (End::Reply(None), false)
    }

    /// Runs elements at once. The end of the invocation, if one of them brings it.
    fn group(&mut self, outcomes: Vec<(usize, Outcome)>, longest: Duration) -> Option<(End, bool)> {
        if outcomes.iter().any(|(_, outcome)| *outcome == Outcome::Vanishes) {
            self.time += longest;
            return Some((End::Lost, true));
        }
        let limit = self.invocation.job.task_timeout;
        let mut time = longest;
        let mut culprits: Vec<(u32, FailureKind)> = Vec::new();
        let mut unfinished: Vec<u32> = Vec::new();
        let mut hangs = false;
        for (k, outcome) in &outcomes {
            match outcome {
                Outcome::Dies(kind) => culprits.push((*k as u32, kind.clone())),
                Outcome::Hangs => match limit {
                    Some(limit) => {
                        time = time.max(limit);
                        culprits.push((*k as u32, FailureKind::TimedOut(limit)));
                    }
                    None => hangs = true,
                },
                _ => {}
            }
        }
        if hangs && culprits.is_empty() {
            return Some((End::Never, true));
        }
        self.time += time;
        let is_list = outcomes.len() > 1 && takes_lists(&self.invocation.job);
        if is_list && !culprits.is_empty() {
            // Nobody can say which of them it was, and none has a result.
            let failure = |k: usize| (k as u32, TaskFailure::new(culprits[0].1.clone(), "simulated"));
            let suspects = outcomes.iter().map(|(k, _)| failure(*k)).collect();
            return Some((End::Reply(Some(Stopped { suspects, ..Stopped::default() })), true));
        }
        if is_list && let Some(list) = one_result(&outcomes) {
            self.finish(list);
            return None;
        }
        for (k, outcome) in outcomes {
            let offset = k as u32;
            let record = match outcome {
                Outcome::Output(output) => Ok(output),
                Outcome::Fails(failure) => Err(failure),
                Outcome::Dies(_) | Outcome::Vanishes | Outcome::Hangs => {
                    unfinished.push(offset);
                    continue;
                }
            };
            // What works beside a dying element may or may not be through.
            if !culprits.is_empty() && self.rng.bool() {
                unfinished.push(offset);
                continue;
            }
            self.finish(Finished { offset, count: 1, record });
        }
        let (first, kind) = culprits.first()?.clone();
        let failure = |kind: FailureKind| TaskFailure::new(kind, "simulated");
        let timed_out = matches!(kind, FailureKind::TimedOut(_));
        let mut stopped = Stopped::default();
        if !timed_out && self.rng.f64() < self.provider.suspects {
            unfinished.sort_unstable();
            stopped.suspects = unfinished.into_iter().map(|offset| (offset, failure(kind.clone()))).collect();
        } else {
            stopped.failed.push((first, failure(kind)));
        }
        Some((End::Reply(Some(stopped)), true))
    }

    fn finish(&mut self, finished: Finished) {
        self.finished.push(finished);
        if self.rng.f64() < self.provider.stream {
            self.streamed.push((self.time, std::mem::take(&mut self.finished)));
        }
    }
}

/// The result of a list, unless an element of it fails: then each has its own.
fn one_result(outcomes: &[(usize, Outcome)]) -> Option<Finished> {
    let output = |(_, outcome): &(usize, Outcome)| match outcome {
        Outcome::Output(output) => Some(output.clone()),
        _ => None,
    };
    let outputs: Vec<Vec<u8>> = outcomes.iter().map(output).collect::<Option<_>>()?;
    let (first, _) = outcomes.first()?;
    Some(Finished { offset: *first as u32, count: outputs.len() as u32, record: Ok(list_of(&outputs)) })
}

/// Finished elements as batches of consecutive ones. `stored` turns a large output into where it is stored.
pub(super) fn batches(
    finished: &[Finished],
    mut stored: impl FnMut(u32, &[u8]) -> Option<Vec<u8>>,
) -> Result<Vec<ResultBatch>, String> {
    let mut sorted: Vec<&Finished> = finished.iter().collect();
    sorted.sort_by_key(|one| one.offset);
    sorted.dedup_by_key(|one| one.offset);
    let mut out: Vec<(u32, u32, Vec<u8>)> = Vec::new();
    for Finished { offset, count: elements, record } in sorted {
        if out.last().is_none_or(|(first, count, _)| first + count != *offset) {
            out.push((*offset, 0, Vec::new()));
        }
        let Some((_, count, records)) = out.last_mut() else {
            continue;
        };
        *count += elements;
        let (tag, body) = match record {
            Ok(output) => match stored(*offset, output) {
                Some(place) => (ResultTag::Stored, place),
                None => (ResultTag::Output, output.clone()),
            },
            Err(failure) => (ResultTag::Failure, codec::to_vec(failure).map_err(|error| error.to_string())?),
        };
        append_list(records, *elements, tag, |out| {
            out.extend_from_slice(&body);
            Ok::<(), String>(())
        })?;
    }
    let batch = |(offset, count, records)| ResultBatch { offset, count, records: Bytes::from(records) };
    Ok(out.into_iter().map(batch).collect())
}
