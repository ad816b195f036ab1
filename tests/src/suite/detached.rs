//! Jobs that run on without the program that has started them, where workers are told what such jobs need.

use rustwren::prelude::*;

crate::tests![a_detached_job];

async fn a_detached_job(executor: Executor) {
    let work = |x: u64| (x * 2, std::process::id());
    let id = executor.map(work, 0..40).chunk_size(5).detach().await.unwrap();
    // The results are the job's own: whoever attaches takes part in nothing.
    let job = executor.attach::<(u64, u32)>(&id).await.unwrap();
    let outputs = job.results().await.unwrap();
    let here = std::process::id();
    assert!(outputs.iter().zip(0..).all(|(&(y, pid), x)| y == x * 2 && pid != here), "{outputs:?}");
    assert_eq!(outputs.len(), 40);
}
