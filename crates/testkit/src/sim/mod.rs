//! Whole jobs under a simulated provider, in simulated time, on one thread: any run can be had again from its seed.
//!
//! - [`SimClock`] and [`SimExecutor`]: time that jumps from event to event, and tasks polled in an order drawn from
//!   a seed.
//! - [`SimInvoker`]: a provider with cold starts, throttling, crashes, lost workers, late and double results. Its
//!   [`Ledger`] checks each invocation against what the scheduler promises.
//! - [`Chaos`]: around the provider, for every second seed, the faults that users can turn on; its book is kept by an
//!   onlooker from what the scheduler sends and is told.
//! - [`Contest`]: the same tasks by several policies, and by the ideal one.
//! - [`Scenario`]: a provider and jobs drawn from a seed; [`run`] runs it and checks what comes out.

mod chaos;
mod clock;
mod consumer;
mod contest;
mod course;
mod executor;
mod invoker;
mod ledger;
mod mortal;
mod onlooker;
mod provider;
mod scenario;
mod source;
mod storage;
mod trial;
mod visit;
mod work;

pub use chaos::{Chaos, Faults};
pub use clock::SimClock;
pub use consumer::Consumer;
pub use contest::{Contest, Performance};
pub use executor::{SimExecutor, Spawner, Stuck};
pub use invoker::SimInvoker;
pub use ledger::{Account, Element, Ledger};
pub use mortal::{Keeping, Life, MortalFailure, MortalPlan, MortalReport, run_mortal, run_plan};
pub use provider::Provider;
pub use scenario::{Cancel, JobPlan, Scenario};
pub use source::Feed;
pub use storage::{SimStorage, StorageFaults};
pub use trial::{Failure, Report, run, run_chaos, run_scenario};
pub use work::{HashWork, Outcome, Poison, SuiteWork, Times, Work, input_of, output_of};
