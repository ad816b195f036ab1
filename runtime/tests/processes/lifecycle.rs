//! Processes come and go.

use std::sync::Arc;
use std::time::Duration;

use rustwren_core::error::ErrorClass;
use rustwren_core::invoker::Events;
use rustwren_runtime::Program;

use crate::harness::{Recorder, exists, invocation, job, pool, pool_with, run, try_run};

crate::tests![
    nothing_is_left_after_shutdown,
    nothing_is_left_after_drop,
    nothing_is_left_when_the_client_is_killed,
    cancelled_loop_is_ended,
    cancelled_calls_make_room,
    init_not_reached,
    silent_program,
    slow_starts_do_not_hold_up_others,
    program_not_there,
    environment_is_cleaned,
    a_pool_survives_its_runtime,
    a_stopped_process_falls_silent,
];

async fn pids(pool: &rustwren_runtime::Pool) -> Vec<u32> {
    let job = Arc::new(job("pid"));
    futures_util::future::join_all((0..10).map(|_| try_run(pool, invocation(&job, &["x"])))).await;
    let pids = pool.pids();
    assert!(!pids.is_empty() && pids.iter().all(|&pid| exists(pid)));
    pids
}

async fn nothing_is_left_after_shutdown() {
    let pool = pool(2);
    let pids = pids(&pool).await;
    let spinning = try_run(&pool, invocation(&Arc::new(job("fault")), &["loop"]));
    let (ended, ()) = tokio::join!(spinning, async {
        tokio::task::yield_now().await;
        pool.shutdown();
    });
    assert_eq!(ended.err().unwrap().class(), ErrorClass::Cancelled);
    assert!(!pids.into_iter().any(exists));
    let refused = try_run(&pool, invocation(&Arc::new(job("echo")), &["x"])).await;
    assert_eq!(refused.err().unwrap().class(), ErrorClass::Cancelled);
}

async fn nothing_is_left_after_drop() {
    let pool = pool(2);
    let pids = pids(&pool).await;
    drop(pool);
    assert!(!pids.into_iter().any(exists));
}

/// Makes this program a client that is killed while its function process loops.
pub(crate) const CLIENT: &str = "--client-that-is-killed";

pub(crate) fn client_that_is_killed() -> ! {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let pool = pool(1);
        let recorder: Arc<Recorder> = Arc::default();
        let events: Arc<dyn Events> = recorder.clone();
        let inputs = invocation(&Arc::new(job("fault")), &["a", "loop"]);
        let die = async {
            // The first result comes while the second element loops.
            recorder.until(|told| !told.batches.lock().unwrap().is_empty()).await;
            println!("{}", pool.pids()[0]);
            let own = rustix::process::getpid();
            rustix::process::kill_process(own, rustix::process::Signal::KILL).unwrap();
        };
        let (_, ()) = tokio::join!(pool.invoke(inputs, &events), die);
    });
    panic!("it survived");
}

async fn nothing_is_left_when_the_client_is_killed() {
    let program = std::env::current_exe().unwrap();
    let client = std::process::Command::new(program).arg(CLIENT).output().unwrap();
    let pid = String::from_utf8(client.stdout).unwrap();
    let stat = format!("/proc/{}/stat", pid.trim().parse::<u32>().unwrap());
    // Gone, or dead and not yet taken note of by whoever inherited it.
    while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ") && !stat.contains(") X ")) {
        tokio::task::yield_now().await;
    }
}

async fn cancelled_loop_is_ended() {
    let pool = pool(1);
    let recorder: Arc<Recorder> = Arc::default();
    let events: Arc<dyn Events> = recorder.clone();
    let job = Arc::new(job("fault"));
    {
        let looping = pool.invoke(invocation(&job, &["loop"]), &events);
        let started = recorder.until(|told| !told.started.lock().unwrap().is_empty());
        tokio::select! {
            _ = looping => panic!("it ended"),
            () = started => {}
        }
    }
    // The only process is free again.
    assert_eq!(run(&pool, "echo", &["x"]).await.outputs(), [b"x"]);
}

async fn cancelled_calls_make_room() {
    let pool = pool(1);
    let events: Arc<dyn Events> = Arc::<Recorder>::default();
    run(&pool, "echo", &["x"]).await;
    let job = Arc::new(job("echo"));
    for _ in 0..20 {
        let mut calls: Vec<_> =
            (0..50).map(|_| Box::pin(pool.invoke(invocation(&job, &["x"]), &events))).collect();
        let first = calls.swap_remove(0);
        // Polls all of them once, so that they are queued, waits for one and drops the others.
        let others = futures_util::future::join_all(calls);
        tokio::select! {
            biased;
            _ = others => {}
            reply = first => assert!(reply.is_ok()),
        }
    }
    assert_eq!(run(&pool, "echo", &["x"]).await.outputs(), [b"x"]);
}

async fn init_not_reached() {
    let pool = pool_with(2, |options| options.program = Program::Path("/bin/cat".into()));
    let error = try_run(&pool, invocation(&Arc::new(job("echo")), &["x"])).await.err().unwrap();
    assert_eq!(error.class(), ErrorClass::Misconfigured);
    let text = error.to_string();
    assert!(text.contains("rustwren::init()") && text.contains("exit code 1"), "{text}");
    assert!(text.contains("rustwren-function-process"), "its stderr is shown: {text}");
    assert!(error.hint().unwrap().contains("#[rustwren::main]"));
}

async fn silent_program() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sleeper");
    std::fs::write(&path, "#!/bin/sh\nsleep 1000\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&path, executable).unwrap();
    let pool = pool_with(1, |options| {
        options.program = Program::Path(path);
        options.start_timeout = Duration::from_millis(50);
    });
    let error = try_run(&pool, invocation(&Arc::new(job("echo")), &["x"])).await.err().unwrap();
    assert!(error.to_string().contains("did not within 50ms"), "{error}");
    assert!(pool.pids().is_empty());
}

/// More processes than may start at once never reach init; those behind them start and serve.
async fn slow_starts_do_not_hold_up_others() {
    let stuck = std::thread::available_parallelism().map_or(1, usize::from) + 2;
    let dir = tempfile::tempdir().unwrap();
    let (path, own) = (dir.path().join("starter"), std::env::current_exe().unwrap());
    // Whoever makes one of the folders stays there.
    let script = format!(
        "#!/bin/sh\ni=0; while [ $i -lt {stuck} ]; do mkdir {place}/$i 2>/dev/null && exec sleep 100000; i=$((i+1)); done\n\
         exec {own} \"$@\"\n",
        place = dir.path().display(),
        own = own.display()
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let pool = pool_with(stuck + 1, |options| {
        options.program = Program::Path(path);
        options.start_timeout = Duration::from_hours(24);
    });
    let job = Arc::new(job("echo"));
    let calls = (0..=stuck).map(|_| Box::pin(try_run(&pool, invocation(&job, &["x"]))));
    let (ran, _, _) = futures_util::future::select_all(calls).await;
    assert_eq!(ran.unwrap().outputs(), [b"x"]);
}

async fn program_not_there() {
    let pool = pool_with(1, |options| {
        options.program = Program::Path("/nowhere/at/all".into());
    });
    let error = try_run(&pool, invocation(&Arc::new(job("echo")), &["x"])).await.err().unwrap();
    assert_eq!(error.class(), ErrorClass::Misconfigured);
}

async fn environment_is_cleaned() {
    let pool = pool_with(1, |options| {
        options.set.push(("GIVEN".into(), "yes".into()));
        options.depth = 2;
    });
    let names = ["GIVEN", "RUSTWREN_WORKER_DEPTH", "RUSTWREN_WORKER_IMAGE"];
    let ran = run(&pool, "environment", &names).await;
    assert_eq!(ran.outputs(), [&b"yes"[..], b"3", b""]);
}

async fn a_pool_survives_its_runtime() {
    let pool = Arc::new(pool(1));
    let there = Arc::clone(&pool);
    let run_there = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(&there, "echo", &["x"])).outputs()
    };
    for _ in 0..2 {
        let outputs = tokio::task::spawn_blocking(run_there.clone()).await.unwrap();
        assert_eq!(outputs, [b"x"]);
    }
    assert!(pool.pids().is_empty(), "the runtime that looked after it is gone");
}

async fn a_stopped_process_falls_silent() {
    let pool = pool_with(2, |options| options.heartbeat = Some(Duration::from_millis(5)));
    let recorder: Arc<Recorder> = Arc::default();
    let events: Arc<dyn Events> = recorder.clone();
    let job = Arc::new(job("fault"));
    let calls = [invocation(&job, &["loop"]), invocation(&job, &["loop"])];
    let ids = calls.each_ref().map(|call| call.id);
    let looping = futures_util::future::join_all(calls.map(|call| pool.invoke(call, &events)));
    let beats = |told: &Recorder, id| told.alive.lock().unwrap().iter().filter(|&&beat| beat == id).count();
    let watch = async {
        recorder.until(|told| ids.iter().all(|&id| beats(told, id) > 2)).await;
        let pid = rustix::process::Pid::from_raw(pool.pids()[0].cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        // One of them comes to an end, while the other's goes on.
        let mut silent = [0, 0];
        let mut before = ids.map(|id| beats(&recorder, id));
        while silent.iter().all(|&beats| beats < 20) {
            recorder.changed.notified().await;
            let now = ids.map(|id| beats(&recorder, id));
            for (call, other) in [(0, 1), (1, 0)] {
                silent[call] += now[other] - before[other];
                if now[call] > before[call] {
                    silent[call] = 0;
                }
            }
            before = now;
        }
    };
    tokio::select! {
        _ = looping => panic!("they ended"),
        () = watch => {}
    }
    let pids = pool.pids();
    drop(pool);
    assert!(!pids.into_iter().any(exists), "a stopped process can be ended");
}
