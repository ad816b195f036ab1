//! What tasks print.

use std::sync::Arc;

use rustwren_core::worker::MAX_OUTPUT;

use crate::harness::{Recorder, invocation, job, pool, run, run_with};

crate::tests![each_element_has_its_own, a_flood_is_cut, output_comes_while_the_element_runs, fast_ones_share];

async fn each_element_has_its_own() {
    // Without line ends: what is printed is seen all the same.
    let ran = run(&pool(1), "say", &["zero", "one", "two"]).await;
    for (element, name) in [(0, "zero"), (1, "one"), (2, "two")] {
        assert_eq!(ran.recorder.log_of(element, false), format!("out {name}"));
        assert_eq!(ran.recorder.log_of(element, true), format!("err {name}"));
    }
}

async fn a_flood_is_cut() {
    let pool = pool(1);
    let ran = run(&pool, "shout", &["10000000", "100"]).await;
    assert_eq!(ran.outputs().len(), 2);
    let log = ran.recorder.log_of(0, false);
    assert!(log.starts_with("xxx"));
    assert!(log.len() as u64 >= MAX_OUTPUT && log.len() < MAX_OUTPUT as usize + 200, "{}", log.len());
    assert!(
        log.contains(&format!("{} more bytes of output dropped", 10_000_000 - MAX_OUTPUT)),
        "{}",
        &log[log.len() - 99..]
    );
    assert_eq!(ran.recorder.log_of(1, false), format!("{}\n", "x".repeat(99)));
}

async fn output_comes_while_the_element_runs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("go").display().to_string();
    let pool = pool(1);
    let recorder: Arc<Recorder> = Arc::default();
    let go = async {
        recorder.until(|told| told.log_of(0, false) == "before\n").await;
        std::fs::write(&path, "").unwrap();
    };
    let invocation = invocation(&Arc::new(job("say_and_wait")), &[&path]);
    let (ran, ()) = tokio::join!(run_with(&pool, invocation, Arc::clone(&recorder)), go);
    assert_eq!(ran.unwrap().outputs().len(), 1);
}

async fn fast_ones_share() {
    let ran = run(&pool(1), "shout", &vec!["100"; 1000]).await;
    let logs = ran.recorder.logs.lock().unwrap();
    assert_eq!(logs.iter().map(|(_, l)| l.bytes.len()).sum::<usize>(), 100 * 1000);
    assert!(logs.iter().all(|(_, l)| l.offset + l.count <= 1000));
}
