//! Looking on at a job: how far it has come, without its results.

use super::list::last_entry;
use super::stored::Stored;
use crate::durable::beat::{BeatWatch, Life};
use crate::durable::entry::{End, Entry, Spent, Tally};
use crate::durable::id::JobId;
use crate::durable::journal::removed;
use crate::durable::owner::Owner;
use crate::durable::store::Store;
use crate::error::Result;

/// What is known of a job that is looked at again and again.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Standing {
    /// How far it has come.
    pub tally: Tally,
    /// What it has used so far, as far as it was told.
    pub spent: Option<Spent>,
    /// Who has driven it last, and for the how manieth time somebody began to.
    pub driver: Option<(Owner, u64)>,
    /// How it ended, unless somebody has opened it again since.
    pub end: Option<End>,
}

/// Reads a job's journal as it grows, from its last entry on, and of each entry no more than it takes to know how the
/// job stands.
#[derive(Debug)]
pub struct Follow {
    store: Store,
    id: JobId,
    next: u64,
    standing: Standing,
    watch: BeatWatch,
}

impl Follow {
    /// Looks at a job that has a manifest for the first time.
    pub async fn open(store: &Store, id: &JobId) -> Result<Self> {
        let stored = Stored::of(store, id).await?;
        let mut follow = Self {
            store: store.clone(),
            id: id.clone(),
            next: stored.last.map_or(0, |(seq, _)| seq),
            standing: Standing::default(),
            watch: BeatWatch::new(store, id),
        };
        follow.read_on().await?;
        Ok(follow)
    }

    /// What was seen last.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Looks again: how the job stands now, and whether somebody works on it. That it was removed meanwhile is an error
    /// of kind [`Cancelled`](crate::error::ErrorKind::Cancelled).
    pub async fn look(&mut self) -> Result<(&Standing, Life)> {
        let life = self.watch.look().await?;
        // After the sign of life: a driver that has ended has written the end before.
        self.read_on().await?;
        if !matches!(life, Life::Alive(_))
            && self.standing.end.is_none()
            && self.store.head_opt(&self.id.manifest_key()?).await?.is_none()
        {
            return Err(removed(&self.id, None));
        }
        Ok((&self.standing, life))
    }

    async fn read_on(&mut self) -> Result<()> {
        while let Some(entry) = last_entry(&self.store, &self.id, self.next).await? {
            self.next += 1;
            let standing = &mut self.standing;
            match entry {
                Entry::Lead(lead) => {
                    standing.tally = lead.tally;
                    standing.driver = Some((lead.owner, lead.epoch));
                    standing.end = None;
                }
                Entry::Results(results) => {
                    (standing.tally, standing.spent) = (results.tally, Some(results.spent));
                }
                Entry::End(end) => {
                    standing.tally = end.tally;
                    standing.end = Some(end);
                }
                Entry::Clean(clean) => return Err(removed(&self.id, Some(&clean))),
            }
        }
        Ok(())
    }
}
