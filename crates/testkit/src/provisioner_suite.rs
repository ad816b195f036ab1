//! The conformance suite of [`Provisioner`]: every promise of its contract that can be tried at any provider.
//!
//! A backend calls [`run_all`] from a test with a provisioner whose target is empty. It is empty again afterwards.

#![expect(clippy::missing_panics_doc, clippy::panic, reason = "checks panic when they fail")]

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::{self, Either};
use rustwren_core::provision::{Applied, Change, Plan, Provisioner, Unwatched, Watch};
use tokio::sync::Notify;

/// Goes through the life of what a provisioner makes: from nothing to everything, cut short after each step, and back.
pub async fn run_all(provisioner: Arc<dyn Provisioner>) {
    let provisioner = &*provisioner;
    let first = plan(provisioner).await;
    assert!(!first.steps.is_empty(), "there is something to set up");
    for step in &first.steps {
        assert_eq!(step.change, Change::Create, "nothing is there yet, so {step:?} is to be created");
    }
    assert_eq!(plan(provisioner).await, first, "planning changes nothing");
    assert!(destroy_plan(provisioner).await.steps.is_empty(), "there is nothing to remove");

    every_step_is_told(provisioner, &first).await;
    doing_it_again_changes_nothing(provisioner, &first).await;
    everything_is_removed(provisioner, &first).await;
    for steps in 1..first.steps.len() {
        a_run_that_was_cut_short_is_completed(provisioner, &first, steps).await;
    }
}

/// Applies the plan from nothing: its steps are told in its order, each as begun and then as done.
async fn every_step_is_told(provisioner: &dyn Provisioner, first: &Plan) {
    let told = Told::default();
    apply(provisioner, first, &told).await;
    let expected: Vec<(usize, bool)> =
        first.pending().flat_map(|(index, _)| [(index, false), (index, true)]).collect();
    assert_eq!(told.take(), expected, "steps (and whether they are done) are told in order");
    assert!(!provisioner.verify().await.is_empty(), "there is something to verify");
}

async fn doing_it_again_changes_nothing(provisioner: &dyn Provisioner, first: &Plan) {
    // By the plan that was: time may have passed since it was made.
    apply(provisioner, first, &Unwatched).await;
    let again = plan(provisioner).await;
    assert!(!again.changes(), "everything is there: {again:?}");
    let kinds = |plan: &Plan| -> Vec<(String, String)> {
        plan.steps.iter().map(|step| (step.kind.clone(), step.name.clone())).collect()
    };
    assert_eq!(kinds(&again), kinds(first), "what is as it should be stays in the plan");
    let told = Told::default();
    apply(provisioner, &again, &told).await;
    assert_eq!(told.take(), [], "a step that changes nothing is not told");
}

async fn everything_is_removed(provisioner: &dyn Provisioner, first: &Plan) {
    let removal = destroy_plan(provisioner).await;
    assert!(!removal.steps.is_empty(), "there is something to remove");
    for step in &removal.steps {
        assert_eq!(step.change, Change::Delete, "{step:?}");
    }
    assert_eq!(destroy_plan(provisioner).await, removal, "planning a removal removes nothing");
    assert!(!plan(provisioner).await.changes(), "planning a removal removes nothing");
    for time in ["once", "again"] {
        let done = provisioner.destroy(&removal, &Unwatched).await;
        done.unwrap_or_else(|error| panic!("removing {time}: {error}"));
    }
    let left = destroy_plan(provisioner).await;
    assert!(left.steps.is_empty(), "left: {left:?}");
    assert_eq!(&plan(provisioner).await, first, "it is as it was before");
}

/// Drops the run in the moment its nth step is done, and completes it by another.
async fn a_run_that_was_cut_short_is_completed(provisioner: &dyn Provisioner, first: &Plan, steps: usize) {
    let cut = Cut { after: Mutex::new(steps), now: Notify::new() };
    {
        let run = Box::pin(provisioner.apply(first, &cut));
        // Asked first: what is done by the same poll is as good as cut.
        if let Either::Right((done, _)) = future::select(Box::pin(cut.now.notified()), run).await {
            done.unwrap_or_else(|error| panic!("applying: {error}"));
        }
    }
    let rest = plan(provisioner).await;
    apply(provisioner, &rest, &Unwatched).await;
    let after = plan(provisioner).await;
    assert!(!after.changes(), "cut short after {steps} steps and completed: {after:?}");
    everything_is_removed(provisioner, first).await;
}

async fn plan(provisioner: &dyn Provisioner) -> Plan {
    provisioner.plan().await.unwrap_or_else(|error| panic!("planning: {error}"))
}

async fn destroy_plan(provisioner: &dyn Provisioner) -> Plan {
    provisioner.destroy_plan().await.unwrap_or_else(|error| panic!("planning the removal: {error}"))
}

async fn apply(provisioner: &dyn Provisioner, plan: &Plan, watch: &dyn Watch) -> Applied {
    provisioner.apply(plan, watch).await.unwrap_or_else(|error| panic!("applying: {error}"))
}

/// Notes what it is told: steps, and whether they are done.
#[derive(Default)]
struct Told(Mutex<Vec<(usize, bool)>>);

impl Told {
    fn note(&self, step: usize, done: bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((step, done));
    }

    fn take(&self) -> Vec<(usize, bool)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Watch for Told {
    fn started(&self, step: usize) {
        self.note(step, false);
    }

    fn done(&self, step: usize) {
        self.note(step, true);
    }
}

/// Says when so many steps are done.
struct Cut {
    after: Mutex<usize>,
    now: Notify,
}

impl Watch for Cut {
    fn started(&self, _step: usize) {}

    fn done(&self, _step: usize) {
        let mut left = self.after.lock().unwrap_or_else(PoisonError::into_inner);
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.now.notify_one();
        }
    }
}
