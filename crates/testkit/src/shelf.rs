//! A provisioner in memory: a shelf with things on it. For tests of whatever drives provisioners, and of their suite.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::{Applied, Change, Leg, Plan, Provisioner, Step, Watch};

/// What stands on it: each thing's name, and its value if it is ours.
pub type Things = BTreeMap<String, Option<String>>;

/// A provisioner that puts things on a shelf.
#[derive(Debug, Clone)]
pub struct Shelf {
    things: Arc<Mutex<Things>>,
    wanted: Vec<(&'static str, &'static str)>,
    broken: Option<&'static str>,
    next: Vec<String>,
}

impl Shelf {
    /// An empty shelf on which these things are to stand, each with its value.
    pub fn new(wanted: impl Into<Vec<(&'static str, &'static str)>>) -> Self {
        Self { things: Arc::default(), wanted: wanted.into(), broken: None, next: Vec::new() }
    }

    /// The same shelf, on which something else is to stand.
    pub fn wanting(&self, wanted: impl Into<Vec<(&'static str, &'static str)>>) -> Self {
        Self { wanted: wanted.into(), ..self.clone() }
    }

    /// The same shelf, on which this thing cannot be put.
    pub fn breaking(&self, name: &'static str) -> Self {
        Self { broken: Some(name), ..self.clone() }
    }

    /// The same shelf, with something left to do.
    pub fn leaving(&self, next: impl Into<String>) -> Self {
        Self { next: vec![next.into()], ..self.clone() }
    }

    /// What stands on it now.
    pub fn things(&self) -> Things {
        self.lock().clone()
    }

    /// Puts something on it that is not ours.
    pub fn put_foreign(&self, name: &str) {
        self.lock().insert(name.to_owned(), None);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Things> {
        self.things.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Provisioner for Shelf {
    fn target(&self) -> String {
        "a shelf".to_owned()
    }

    async fn plan(&self) -> Result<Plan> {
        let things = self.lock();
        let steps: Result<Vec<Step>> = self
            .wanted
            .iter()
            .map(|(name, value)| match things.get(*name) {
                None => Ok(Step::new("thing", *name, Change::Create).about(*value)),
                Some(Some(found)) => Ok(Step::new("thing", *name, Change::None)
                    .compare("value", Some(found), &(*value).to_owned())
                    .update_if_different()),
                Some(None) => Err(Error::new(ErrorKind::Config, format!("{name} is somebody else's"))
                    .with_hint("choose another name")),
            })
            .collect();
        Ok(Plan::new(steps?))
    }

    async fn apply(&self, plan: &Plan, watch: &dyn Watch) -> Result<Applied> {
        for (index, step) in plan.pending() {
            watch.started(index);
            tokio::task::yield_now().await;
            if self.broken == Some(step.name.as_str()) {
                return Err(Error::new(ErrorKind::Unavailable, "it fell down").with_hint("put it up again"));
            }
            if let Some((name, value)) = self.wanted.iter().find(|(name, _)| *name == step.name) {
                self.lock().insert((*name).to_owned(), Some((*value).to_owned()));
            }
            watch.done(index);
        }
        Ok(Applied { next: self.next.clone() })
    }

    async fn verify(&self) -> Vec<Leg> {
        let things = self.lock();
        let mut legs = Vec::new();
        for (name, value) in &self.wanted {
            let there = things.get(*name).is_some_and(|found| found.as_deref() == Some(*value));
            let missing = || {
                Error::new(ErrorKind::Config, format!("{name} is not there"))
                    .with_hint("run `rustwren setup`")
            };
            let outcome = if there { Ok((*value).to_owned()) } else { Err(missing()) };
            legs.push(Leg::new(*name, Duration::ZERO, outcome));
            if !there {
                break;
            }
        }
        legs
    }

    async fn destroy_plan(&self) -> Result<Plan> {
        let things = self.lock();
        let (ours, foreign): (Vec<_>, Vec<_>) = things
            .iter()
            .filter(|(name, _)| self.wanted.iter().any(|(wanted, _)| wanted == name))
            .partition(|(_, value)| value.is_some());
        let steps: Vec<Step> =
            ours.iter().rev().map(|(name, _)| Step::new("thing", name.as_str(), Change::Delete)).collect();
        let note = |plan: Plan, name: &str| plan.note(format!("{name} is somebody else's, and stays"));
        Ok(foreign.iter().fold(Plan::new(steps), |plan, (name, _)| note(plan, name)))
    }

    async fn destroy(&self, plan: &Plan, watch: &dyn Watch) -> Result<()> {
        for (index, step) in plan.pending() {
            watch.started(index);
            tokio::task::yield_now().await;
            self.lock().remove(&step.name);
            watch.done(index);
        }
        Ok(())
    }
}
