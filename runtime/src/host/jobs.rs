//! Jobs that invocations belong to. Each invocation that came as bytes has brought its job along, and a pool tells jobs
//! apart by where they are in memory: so that it reads a shared value once, each of them is kept for a while.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use rustwren_core::invoker::JobSpec;

/// Jobs remembered for each image. A job that was forgotten is told to its processes again.
const REMEMBERED: usize = 32;

/// The jobs of one image that came last.
#[derive(Debug, Default)]
pub(super) struct Jobs(Mutex<VecDeque<Arc<JobSpec>>>);

impl Jobs {
    /// The job that is remembered as equal to this, which is this one if it is new.
    pub(super) fn remember(&self, job: Arc<JobSpec>) -> Arc<JobSpec> {
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let job = match jobs.iter().position(|known| **known == *job) {
            Some(at) => jobs.remove(at).unwrap_or(job),
            None => job,
        };
        jobs.push_front(Arc::clone(&job));
        jobs.truncate(REMEMBERED);
        job
    }
}

#[cfg(test)]
mod tests {
    use rustwren_core::entry::{Call, Entry, Target};
    use rustwren_core::image::ImageId;

    use super::*;

    fn job(id: usize) -> Arc<JobSpec> {
        let target = Target::Named { name: "f".to_owned(), call: Call::Map };
        Arc::new(JobSpec {
            id: format!("job-{id}"),
            label: "job".to_owned(),
            entry: Entry { image: ImageId([0; 32]), target },
            shared: None,
            task_timeout: None,
            concurrency: 1,
        })
    }

    #[test]
    fn equal_jobs_are_one_until_they_are_forgotten() {
        let jobs = Jobs::default();
        let first = jobs.remember(job(0));
        for id in 1..REMEMBERED {
            jobs.remember(job(id));
            assert!(Arc::ptr_eq(&jobs.remember(job(0)), &first), "it came last");
        }
        for id in 1..=REMEMBERED {
            jobs.remember(job(id));
        }
        assert!(!Arc::ptr_eq(&jobs.remember(job(0)), &first));
    }
}
