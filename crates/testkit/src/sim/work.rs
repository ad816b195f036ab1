//! What simulated elements do: a known function of their input, so that a wrong result shows.

use std::collections::HashMap;
use std::time::Duration;

use rustwren_core::codec;
use rustwren_core::entry::{Call, Target};
use rustwren_core::failure::{FailureKind, TaskFailure};
use rustwren_core::invoker::JobSpec;

use crate::invoker_suite::BAD;

/// What became of one attempt at one element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The encoded output.
    Output(Vec<u8>),
    /// The function reports a failure.
    Fails(TaskFailure),
    /// It takes its process with it.
    Dies(FailureKind),
    /// It takes its worker with it, so that nobody can say what happened.
    Vanishes,
    /// It never ends.
    Hangs,
}

/// What the functions of simulated jobs do.
pub trait Work: Send + Sync + 'static {
    /// One attempt at one element of one job.
    fn attempt(&self, job: &JobSpec, index: u64, attempt: u32, input: &[u8]) -> Outcome;
}

/// An element that does not do what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poison {
    /// Panics at each of its first attempts, this many of them.
    Panics(u32),
    /// Is killed by SIGKILL at each of its first attempts, this many of them.
    Killed(u32),
    /// Faults (SIGSEGV) at each of its first attempts, this many of them.
    Faults(u32),
    /// Takes its whole worker with it at each of its first attempts, this many of them.
    Vanishes(u32),
}

/// The elements that misbehave, by job and index; all others give [`output_of`] their input.
#[derive(Debug, Clone, Default)]
pub struct HashWork {
    /// By the job's id.
    pub poison: HashMap<String, HashMap<u64, Poison>>,
}

impl Work for HashWork {
    fn attempt(&self, job: &JobSpec, index: u64, attempt: u32, input: &[u8]) -> Outcome {
        let poison = self.poison.get(&job.id).and_then(|elements| elements.get(&index));
        match poison {
            Some(Poison::Panics(n)) if attempt <= *n => {
                Outcome::Fails(TaskFailure::new(FailureKind::Panic, "poison"))
            }
            Some(Poison::Killed(n)) if attempt <= *n => Outcome::Dies(FailureKind::Signal(9)),
            Some(Poison::Faults(n)) if attempt <= *n => Outcome::Dies(FailureKind::Signal(11)),
            Some(Poison::Vanishes(n)) if attempt <= *n => Outcome::Vanishes,
            _ => Outcome::Output(output_of(input)),
        }
    }
}

fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The encoded input of an element: unlike any other's, and up to `most` bytes of padding long.
pub fn input_of(seed: u64, index: u64, most: usize) -> Vec<u8> {
    let x = mix(seed ^ mix(index + 1));
    let mut input = x.to_le_bytes().to_vec();
    input.resize(8 + x as usize % (most + 1), x as u8);
    input
}

/// The encoded output for an input: depends on every byte of it and is about as long.
pub fn output_of(input: &[u8]) -> Vec<u8> {
    let hash = input.iter().fold(7, |hash, byte| mix(hash ^ u64::from(*byte)));
    let mut output = hash.to_le_bytes().to_vec();
    output.resize(input.len(), hash as u8);
    output
}

/// Whether a simulated job's function takes lists: of as many elements as its worker likes.
pub(super) fn takes_lists(job: &JobSpec) -> bool {
    matches!(job.entry.target, Target::Named { call: Call::Steps, .. })
}

/// The one result of a list, from those of its elements.
pub(super) fn list_of(outputs: &[Vec<u8>]) -> Vec<u8> {
    let mut list = vec![outputs.len() as u8];
    for output in outputs {
        list.extend_from_slice(output);
    }
    list
}

/// What the functions of the invoker suite do ([`Functions::by_name`](crate::invoker_suite::Functions::by_name)).
#[derive(Debug, Clone, Copy, Default)]
pub struct SuiteWork;

impl Work for SuiteWork {
    fn attempt(&self, job: &JobSpec, _: u64, _: u32, input: &[u8]) -> Outcome {
        let bad = codec::decode::<Vec<u8>>(input).is_ok_and(|value| value == BAD);
        match job.label.as_str() {
            "fail" if bad => Outcome::Fails(TaskFailure::new(FailureKind::Returned, "failed as told")),
            "panic" if bad => Outcome::Fails(TaskFailure::new(FailureKind::Panic, "panicked as told")),
            "crash" if bad => Outcome::Dies(FailureKind::Signal(6)),
            "loop" if bad => Outcome::Hangs,
            _ => Outcome::Output(input.to_vec()),
        }
    }
}

/// How long elements take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Times {
    /// All the same.
    Constant(Duration),
    /// Exponential with this mean.
    Exponential(Duration),
    /// Pareto: at least `least`, and a tail that is heavier the smaller `alpha` is, cut off at `most`.
    Pareto {
        /// The shortest.
        least: Duration,
        /// The exponent of the tail.
        alpha: f64,
        /// The longest: whatever would take longer takes that long.
        most: Duration,
    },
}

impl Times {
    /// A time that is long enough for a longest.
    pub const HOUR: Duration = Duration::from_hours(1);

    /// The time that an element takes in every attempt.
    pub fn of(&self, seed: u64, index: u64) -> Duration {
        self.draw(&mut fastrand::Rng::with_seed(mix(seed ^ mix(index + 1))))
    }

    /// One element's time, at most an hour.
    pub fn draw(&self, rng: &mut fastrand::Rng) -> Duration {
        const MOST: f64 = 3600.0;
        let uniform = 1.0 - rng.f64();
        match *self {
            Self::Constant(time) => time,
            Self::Exponential(mean) => {
                Duration::from_secs_f64((-uniform.ln() * mean.as_secs_f64()).min(MOST))
            }
            Self::Pareto { least, alpha, most } => {
                let most = most.as_secs_f64().min(MOST);
                Duration::from_secs_f64((least.as_secs_f64() * uniform.powf(-1.0 / alpha)).min(most))
            }
        }
    }
}
