//! What invocations cost by a provider's published prices.

mod table;

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use table::{PRICES, PriceRow, PriceTable};

const NANOS: f64 = 1e9;

/// An amount of money in US dollars, in whole nano-dollars.
///
/// Whole numbers add up to the same sum in any order, compare exactly against a budget and never drift; a
/// nano-dollar is less than a hundredth of the cheapest call of any provider, and 64 bits hold 18 billion dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Usd(u64);

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many billionths of a dollar.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// So many millionths of a dollar.
    pub(crate) const fn from_micros(micros: u64) -> Self {
        Self(micros.saturating_mul(1000))
    }

    /// In millionths of a dollar, rounded up.
    pub(crate) const fn micros(self) -> u64 {
        self.0.div_ceil(1000)
    }

    /// So many dollars, to the nearest nano-dollar. `None` for what is not a number from 0 to 18 billion.
    pub fn from_dollars(dollars: f64) -> Option<Self> {
        let nanos = (dollars * NANOS).round();
        (0.0..u64::MAX as f64).contains(&nanos).then_some(Self(nanos as u64))
    }

    /// So many dollars, or the nearest amount that there is.
    pub fn saturating(dollars: f64) -> Self {
        // A conversion to whole numbers saturates, and what is not a number becomes 0.
        Self((dollars * NANOS).round() as u64)
    }

    /// In billionths of a dollar.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// In dollars.
    pub fn dollars(self) -> f64 {
        self.0 as f64 / NANOS
    }

    /// `self * part / whole`, rounded up; `self` if `whole` is 0.
    pub fn share(self, part: u64, whole: u64) -> Self {
        if whole == 0 || part >= whole {
            return self;
        }
        Self((u128::from(self.0) * u128::from(part)).div_ceil(u128::from(whole)) as u64)
    }
}

impl Add for Usd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Usd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// What is left, at least nothing.
impl Sub for Usd {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// In dollars and cents, and with two significant digits if it is less than that.
impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dollars = self.dollars();
        if self.0 == 0 || dollars >= 0.1 {
            return write!(f, "${dollars:.2}");
        }
        let digits = (1.0 - dollars.log10().floor()).clamp(2.0, 9.0) as usize;
        write!(f, "${dollars:.digits$}")
    }
}

/// What one invocation costs: a price per call, and prices per second of a worker of a certain size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// US dollars for a second of one gigabyte of memory.
    pub per_gb_second: f64,
    /// US dollars for a second of one virtual processor.
    pub per_vcpu_second: f64,
    /// US dollars for a call.
    pub per_request: f64,
    /// A worker's time is rounded up to a multiple of this.
    pub granularity: Duration,
    /// The shortest time that is charged.
    pub minimum: Duration,
    /// Memory of a worker in gigabytes, as the provider counts them.
    pub memory_gb: f64,
    /// Virtual processors of a worker, where they are charged for.
    pub vcpus: f64,
}

impl Price {
    /// So much for each second of a worker, and nothing else.
    pub fn of_time(per_second: Usd) -> Self {
        Self {
            per_gb_second: 0.0,
            per_vcpu_second: per_second.dollars(),
            per_request: 0.0,
            granularity: Duration::from_nanos(1),
            minimum: Duration::ZERO,
            memory_gb: 0.0,
            vcpus: 1.0,
        }
    }

    /// What a second of one worker costs, in US dollars.
    pub fn per_second(&self) -> f64 {
        self.per_gb_second * self.memory_gb + self.per_vcpu_second * self.vcpus
    }

    /// The time that is charged for an invocation that took this long.
    pub fn billed(&self, duration: Duration) -> Duration {
        let duration = duration.max(self.minimum);
        let step = self.granularity.as_nanos().max(1);
        let steps = duration.as_nanos().div_ceil(step);
        Duration::from_nanos(u64::try_from(steps.saturating_mul(step)).unwrap_or(u64::MAX))
    }

    /// What an invocation costs that took this long, rounded up to whole nano-dollars.
    pub fn cost(&self, duration: Duration) -> Usd {
        let seconds = self.billed(duration).as_secs_f64();
        let nanos = (self.per_request + self.per_second() * seconds) * NANOS;
        // What is a whole number but for the last bits of its floating-point fraction stays that number.
        Usd((nanos - 1e-3).ceil() as u64)
    }
}
