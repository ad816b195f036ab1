//! Setup and teardown one thing after the other: for provisioners whose provider has a call or two for each thing.
//!
//! A [`Resource`] knows one kind of thing: how it is, how it should be, and the way between. A [`Course`] goes through
//! them in their order and keeps the promises of [`Provisioner`](super::Provisioner): each is looked at again before it is
//! touched, a plan that no longer holds is not carried out, and what is removed is first found to be ours.

use std::fmt;

use async_trait::async_trait;

use super::{Applied, Change, Leg, Plan, Step, Watch};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};

mod patience;

pub use patience::{Moment, Patience, Pauses, Refused};

/// What would become of a thing.
#[derive(Debug)]
pub struct Planned {
    /// Of the thing.
    pub step: Step,
    /// What a person should know.
    pub notes: Vec<String>,
}

impl From<Step> for Planned {
    fn from(step: Step) -> Self {
        Self { step, notes: Vec::new() }
    }
}

/// What the removal of a thing would take.
#[derive(Debug)]
pub enum Removal {
    /// It is not there, or goes with another.
    Nothing,
    /// It is ours.
    Ours(Step),
    /// It stays; why is for people.
    Stays(String),
}

/// One thing at a provider. `C` is what all of them know of the place: the account that is worked in, say.
#[async_trait]
pub trait Resource<C: Sync = ()>: Send + Sync + fmt::Debug {
    /// What setup would do now; an error for what is not ours. Reads only.
    async fn plan(&self, place: &C) -> Result<Planned>;

    /// Does what [`plan`](Self::plan) has just told. May be ended anywhere, and is done again then.
    async fn apply(&self, place: &C, step: &Step, patience: Patience<'_>) -> Result<()>;

    /// What teardown would do now. Reads only.
    async fn removal(&self, place: &C) -> Result<Removal>;

    /// Does what [`removal`](Self::removal) has told. May be ended anywhere, and is done again then.
    async fn remove(&self, place: &C, step: &Step, patience: Patience<'_>) -> Result<()>;
}

/// Things in the order in which they are made, in their place.
pub struct Course<'a, C = ()> {
    /// The things; they are removed in the opposite order.
    pub parts: Vec<&'a dyn Resource<C>>,
    /// Their place.
    pub place: &'a C,
    /// What waits.
    pub clock: &'a dyn Clock,
    /// How long is waited for what passes by itself.
    pub pauses: Pauses,
}

impl<C: Sync> fmt::Debug for Course<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Course").field("parts", &self.parts).finish_non_exhaustive()
    }
}

impl<'a, C: Sync> Course<'a, C> {
    fn patience<'b>(&'b self, watch: &'b dyn Watch, step: usize) -> Patience<'b> {
        Patience { clock: self.clock, watch, step, pauses: &self.pauses }
    }

    /// [`Provisioner::plan`](super::Provisioner::plan)
    pub async fn plan(&self) -> Result<Plan> {
        let mut plan = Plan::default();
        for part in &self.parts {
            let planned = part.plan(self.place).await?;
            plan.steps.push(planned.step);
            plan.notes.extend(planned.notes);
        }
        Ok(plan)
    }

    /// [`Provisioner::apply`](super::Provisioner::apply)
    pub async fn apply(&self, plan: &Plan, watch: &dyn Watch) -> Result<Applied> {
        for (index, planned) in plan.pending() {
            let part = self.parts.get(index).ok_or_else(|| stale(planned))?;
            watch.started(index);
            let now = part.plan(self.place).await?.step;
            if now.change != Change::None {
                if now != *planned {
                    return Err(stale(planned));
                }
                part.apply(self.place, &now, self.patience(watch, index)).await?;
            }
            watch.done(index);
        }
        Ok(Applied::default())
    }

    /// What each thing says of its removal, in the order in which they are removed.
    async fn removals(&self) -> Result<Vec<(&'a dyn Resource<C>, Removal)>> {
        let mut found = Vec::new();
        for &part in self.parts.iter().rev() {
            found.push((part, part.removal(self.place).await?));
        }
        Ok(found)
    }

    /// [`Provisioner::destroy_plan`](super::Provisioner::destroy_plan)
    pub async fn destroy_plan(&self) -> Result<Plan> {
        let mut plan = Plan::default();
        for (_, removal) in self.removals().await? {
            match removal {
                Removal::Nothing => {}
                Removal::Ours(step) => plan.steps.push(step),
                Removal::Stays(why) => plan.notes.push(why),
            }
        }
        Ok(plan)
    }

    /// [`Provisioner::destroy`](super::Provisioner::destroy)
    pub async fn destroy(&self, plan: &Plan, watch: &dyn Watch) -> Result<()> {
        let mut found = self.removals().await?;
        for (index, planned) in plan.pending() {
            watch.started(index);
            let same = |step: &Step| (&step.kind, &step.name) == (&planned.kind, &planned.name);
            let at =
                found.iter().position(|(_, removal)| matches!(removal, Removal::Ours(step) if same(step)));
            // What is no longer found is gone, or has been given to somebody else.
            if let Some(at) = at {
                let (part, _) = found.swap_remove(at);
                part.remove(self.place, planned, self.patience(watch, index)).await?;
            }
            watch.done(index);
        }
        Ok(())
    }
}

/// Looks at one thing that jobs depend on.
pub async fn leg(clock: &dyn Clock, name: &str, look: impl Future<Output = Result<String>>) -> Leg {
    let begun = clock.now();
    let outcome = look.await;
    Leg::new(name, clock.now().saturating_sub(begun), outcome)
}

fn stale(step: &Step) -> Error {
    let message = format!("the {} {} is no longer as it was when the plan was made", step.kind, step.name);
    Error::new(ErrorKind::Unavailable, message)
        .with_hint("run `rustwren setup` again to see what there is to do now")
}
