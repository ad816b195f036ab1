//! The suite of provisioners passes where the contract is kept, and fails where it is not.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use rustwren_core::error::Result;
use rustwren_core::provision::{Applied, Leg, Plan, Provisioner, Unwatched, Watch};
use rustwren_testkit::{Shelf, provisioner_suite};

fn shelf() -> Shelf {
    Shelf::new([("bucket", "encrypted"), ("role", "least"), ("worker", "512MB")])
}

#[tokio::test]
async fn a_shelf_keeps_the_contract() {
    let shelf = shelf();
    shelf.put_foreign("vase");
    provisioner_suite::run_all(Arc::new(shelf.clone())).await;
    assert_eq!(shelf.things().into_keys().collect::<Vec<_>>(), ["vase"], "nothing else is left");
}

#[tokio::test]
async fn what_is_not_ours_is_told_and_stays() {
    let shelf = shelf();
    shelf.put_foreign("role");
    let error = shelf.plan().await.unwrap_err();
    assert!(error.to_string().contains("role is somebody else's"), "{error}");
    let removal = shelf.destroy_plan().await.unwrap();
    assert!(removal.steps.is_empty() && removal.notes.len() == 1, "{removal:?}");
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    PlanningCreates,
    PlanningARemovalRemoves,
    LeavesTheLast,
    TellsNothing,
    ForgetsWhatIsThere,
}

#[derive(Debug)]
struct Faulty(Shelf, Fault);

#[async_trait]
impl Provisioner for Faulty {
    fn target(&self) -> String {
        self.0.target()
    }

    async fn plan(&self) -> Result<Plan> {
        let mut plan = self.0.plan().await?;
        match self.1 {
            Fault::PlanningCreates => drop(self.0.apply(&plan, &Unwatched).await?),
            Fault::ForgetsWhatIsThere if !plan.changes() => plan.steps.clear(),
            _ => {}
        }
        Ok(plan)
    }

    async fn apply(&self, plan: &Plan, watch: &dyn Watch) -> Result<Applied> {
        if self.1 == Fault::TellsNothing {
            self.0.apply(plan, &Unwatched).await
        } else {
            self.0.apply(plan, watch).await
        }
    }

    async fn verify(&self) -> Vec<Leg> {
        self.0.verify().await
    }

    async fn destroy_plan(&self) -> Result<Plan> {
        let plan = self.0.destroy_plan().await?;
        if self.1 == Fault::PlanningARemovalRemoves {
            self.0.destroy(&plan, &Unwatched).await?;
        }
        Ok(plan)
    }

    async fn destroy(&self, plan: &Plan, watch: &dyn Watch) -> Result<()> {
        let mut plan = plan.clone();
        if self.1 == Fault::LeavesTheLast {
            plan.steps.pop();
        }
        self.0.destroy(&plan, watch).await
    }
}

#[tokio::test]
async fn broken_promises_are_noticed() {
    let notices = |fault| async move {
        let run = provisioner_suite::run_all(Arc::new(Faulty(shelf(), fault)));
        AssertUnwindSafe(run).catch_unwind().await.is_err()
    };
    assert!(!notices(Fault::None).await);
    for fault in [
        Fault::PlanningCreates,
        Fault::PlanningARemovalRemoves,
        Fault::LeavesTheLast,
        Fault::TellsNothing,
        Fault::ForgetsWhatIsThere,
    ] {
        assert!(notices(fault).await, "{fault:?} goes unnoticed");
    }
}
