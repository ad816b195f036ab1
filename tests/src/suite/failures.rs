//! Tasks that end badly, in every way a process can: each is blamed exactly, and nothing else is lost.

use std::time::Duration;

use rustwren::Error;
use rustwren::prelude::*;

use super::unless_dear;

crate::tests![
    a_panic,
    a_panic_in_async_code,
    an_abort,
    a_segmentation_fault,
    a_stack_overflow,
    an_exit,
    a_kill,
    an_endless_loop,
    an_endless_loop_in_async_code,
    an_async_wait_without_end,
    a_closed_socket,
    an_input_of_another_type,
    failures_in_the_middle_of_a_chunk,
    a_task_that_kills_its_process_is_tried_again,
    workers_killed_at_random,
    a_failure_carries_its_output,
    ten_megabytes_of_output,
    output_that_is_not_utf8,
    threads_that_die_together,
];

/// What element 13 of 40 does in the middle of a chunk, and how it is blamed. The others must not notice.
async fn blame(executor: &Executor, work: fn(&Executor) -> rustwren::MapBuilder<u64>) -> TaskError {
    let outcomes = work(executor).retries(0).outcomes().await.unwrap();
    assert_eq!(outcomes.len(), 40);
    let mut blamed = None;
    for (i, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(value) => assert_eq!(value, i as u64 * 2),
            Err(error) => {
                assert_eq!((error.index, i), (13, 13), "{error}");
                assert_eq!(error.attempts.len(), 1, "{error}");
                blamed = Some(error);
            }
        }
    }
    blamed.expect("element 13 fails")
}

fn kind(error: &TaskError) -> &FailureKind {
    error.kind().unwrap()
}

/// A map over 40 elements in chunks of 20 whose element 13 does something bad.
macro_rules! thirteen {
    (|$x:ident| $bad:expr) => {
        |executor: &Executor| {
            executor
                .map(
                    |$x: u64| {
                        if $x == 13 {
                            $bad;
                        }
                        $x * 2
                    },
                    0..40,
                )
                .chunk_size(20)
                .label("bad")
        }
    };
}

async fn a_panic(executor: Executor) {
    let error = blame(&executor, thirteen!(|x| panic!("unlucky {x}"))).await;
    let failure = error.last().unwrap();
    assert_eq!((kind(&error), &*failure.message), (&FailureKind::Panic, "unlucky 13"));
    let location = failure.location.as_deref().unwrap();
    assert!(location.contains("failures.rs:"), "{location}");
    let text = error.to_string();
    assert!(text.contains("task 13 of job bad panicked at") && text.contains("unlucky 13"), "{text}");
}

async fn a_panic_in_async_code(executor: Executor) {
    let error = blame(&executor, |executor| {
        executor
            .map_async(
                |x: u64| async move {
                    tokio::task::yield_now().await;
                    assert_ne!(x, 13, "unlucky");
                    x * 2
                },
                0..40,
            )
            .chunk_size(20)
    })
    .await;
    assert_eq!(kind(&error), &FailureKind::Panic);
    assert!(error.last().unwrap().message.contains("unlucky"));
}

async fn an_abort(executor: Executor) {
    let error = blame(&executor, thirteen!(|x| std::process::abort())).await;
    assert_eq!(kind(&error), &FailureKind::Signal(6));
}

async fn a_segmentation_fault(executor: Executor) {
    let error = blame(&executor, thirteen!(|x| raise("SEGV"))).await;
    assert_eq!(kind(&error), &FailureKind::Signal(11));
    assert!(error.to_string().contains("SIGSEGV"), "{error}");
}

/// Sends a signal to this process.
fn raise(signal: &str) {
    // The standard library's handler gives a SIGSEGV that was sent from outside a second chance.
    loop {
        let id = std::process::id().to_string();
        let status = std::process::Command::new("kill").arg(format!("-{signal}")).arg(id).status().unwrap();
        assert!(status.success());
    }
}

async fn a_stack_overflow(executor: Executor) {
    #[expect(unconditional_recursion, reason = "that is the point")]
    fn down(x: u64) -> u64 {
        std::hint::black_box([x; 100])[99] + down(x + 1)
    }
    let error = blame(&executor, thirteen!(|x| std::hint::black_box(down(x)))).await;
    assert_eq!(kind(&error), &FailureKind::StackOverflow);
}

async fn an_exit(executor: Executor) {
    let error = blame(&executor, thirteen!(|x| std::process::exit(3))).await;
    assert_eq!(kind(&error), &FailureKind::Exit(3));
    let error = blame(&executor, thirteen!(|x| std::process::exit(0))).await;
    assert_eq!(kind(&error), &FailureKind::Exit(0));
}

async fn a_kill(executor: Executor) {
    let error = blame(&executor, thirteen!(|x| raise("KILL"))).await;
    assert_eq!(kind(&error), &FailureKind::Signal(9));
}

async fn an_endless_loop(executor: Executor) {
    const LIMIT: Duration = Duration::from_millis(500);
    let error = blame(&executor, |executor| {
        thirteen!(|x| loop {
            std::hint::spin_loop();
        })(executor)
        .timeout(LIMIT)
    })
    .await;
    assert_eq!(kind(&error), &FailureKind::TimedOut(LIMIT));
}

async fn an_endless_loop_in_async_code(executor: Executor) {
    const LIMIT: Duration = Duration::from_millis(500);
    let error = blame(&executor, |executor| {
        let work = |x: u64| async move {
            tokio::task::yield_now().await;
            loop {
                if x != 13 {
                    break;
                }
                std::hint::spin_loop();
            }
            x * 2
        };
        executor.map_async(work, 0..40).chunk_size(20).timeout(LIMIT)
    })
    .await;
    assert_eq!(kind(&error), &FailureKind::TimedOut(LIMIT));
}

async fn an_async_wait_without_end(executor: Executor) {
    const LIMIT: Duration = Duration::from_millis(500);
    let error = blame(&executor, |executor| {
        let work = |x: u64| async move {
            if x == 13 {
                std::future::pending::<()>().await;
            }
            x * 2
        };
        executor.map_async(work, 0..40).chunk_size(20).timeout(LIMIT)
    })
    .await;
    assert_eq!(kind(&error), &FailureKind::TimedOut(LIMIT));
}

async fn a_closed_socket(executor: Executor) {
    fn close_all() {
        // A shell can close what the program cannot name: attach by /proc is not needed, exec closes CLOEXEC ones.
        use std::os::unix::process::CommandExt;
        let error = std::process::Command::new("sleep").arg("3600").exec();
        panic!("{error}");
    }
    // The process lives on as another program, which speaks no protocol: its end of the socket is closed.
    let error = blame(&executor, thirteen!(|x| close_all())).await;
    assert_eq!(kind(&error), &FailureKind::Connection);
}

async fn an_input_of_another_type(executor: Executor) {
    #[derive(serde::Deserialize)]
    struct Odd(u8);
    impl serde::Serialize for Odd {
        fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
            s.serialize_str(&"long".repeat(self.0 as usize))
        }
    }
    let error = executor.map(|x: Odd| x.0, [Odd(9)]).await.unwrap_err();
    assert_eq!(error.tasks()[0].kind(), Some(&FailureKind::Input), "{error}");
}

async fn failures_in_the_middle_of_a_chunk(executor: Executor) {
    let work = |x: u64| {
        assert_ne!(x % 10, 3, "three");
        if x % 10 == 7 {
            std::process::exit(7);
        }
        x
    };
    let outcomes = executor.map(work, 0..100).chunk_size(100).outcomes().await.unwrap();
    for (i, outcome) in outcomes.into_iter().enumerate() {
        match (i % 10, outcome) {
            (3, Err(error)) => assert_eq!(kind(&error), &FailureKind::Panic),
            (7, Err(error)) => assert_eq!(kind(&error), &FailureKind::Exit(7)),
            (_, Ok(value)) => assert_eq!(value, i as u64),
            (_, Err(error)) => panic!("{error}"),
        }
    }
}

async fn a_task_that_kills_its_process_is_tried_again(executor: Executor) {
    let work = |x: u64| {
        if x.is_multiple_of(7) && task().attempt() < 3 {
            std::process::abort();
        }
        (x, task().attempt())
    };
    let outputs = executor.map(work, 0..50).retries(2).await.unwrap();
    for (i, (x, attempt)) in outputs.into_iter().enumerate() {
        assert_eq!((x, attempt), (i as u64, if i % 7 == 0 { 3 } else { 1 }));
    }
}

async fn workers_killed_at_random(executor: Executor) {
    let all = unless_dear(&executor, 10_000, 1_500);
    let mut job = executor
        .map(|x: u64| (x * x, std::process::id()), 0..all)
        .retries(100)
        .chunk_size(25)
        .spawn()
        .await
        .unwrap();
    let mut random = fastrand::Rng::with_seed(42);
    let mut seen = vec![false; all as usize];
    let (mut kills, mut last) = (0, 0);
    while let Some(result) = job.next().await {
        let (index, (square, pid)) = result.unwrap();
        assert_eq!(square, index * index);
        assert!(!std::mem::replace(&mut seen[index as usize], true), "{index} came twice");
        if pid != last && random.u32(..20) == 0 {
            // It may be gone already, or be another's: then there is nothing to kill.
            let killed =
                std::process::Command::new("kill").arg("-KILL").arg(pid.to_string()).output().unwrap();
            kills += u32::from(killed.status.success());
            last = pid;
        }
    }
    assert!(seen.iter().all(|&seen| seen));
    assert!(kills > 0, "processes were killed");
}

async fn a_failure_carries_its_output(executor: Executor) {
    let error = executor
        .map(
            |x: u64| {
                println!("out of {x}");
                eprintln!("err of {x}");
                assert_ne!(x, 2, "two");
            },
            0..3,
        )
        .chunk_size(3)
        .await
        .unwrap_err();
    let tail = &error.tasks()[0].last().unwrap().log_tail;
    assert!(tail.contains("out of 2") && tail.contains("err of 2"), "{tail:?}");
    assert!(!tail.contains("of 1"), "{tail:?}");
    let dying = |x: u64| {
        print!("last words of {x}");
        std::io::Write::flush(&mut std::io::stdout()).unwrap();
        std::process::abort();
    };
    let error: Error = executor.map::<_, _, (), _>(dying, 0..1).retries(0).await.unwrap_err();
    assert!(error.tasks()[0].last().unwrap().log_tail.contains("last words of 0"), "{error}");
}

async fn ten_megabytes_of_output(executor: Executor) {
    let outputs = executor
        .map(
            |x: u64| {
                let line = "x".repeat(99);
                for _ in 0..100_000 {
                    println!("{line}");
                }
                x
            },
            0..3,
        )
        .await
        .unwrap();
    assert_eq!(outputs, [0, 1, 2]);
}

async fn output_that_is_not_utf8(executor: Executor) {
    let error = executor
        .map(
            |_: u8| {
                std::io::Write::write_all(&mut std::io::stdout(), b"\xff\xfe ok\n").unwrap();
                panic!("now");
            },
            0..1,
        )
        .await
        .map(|_: Vec<()>| ())
        .unwrap_err();
    assert!(error.tasks()[0].last().unwrap().log_tail.contains(" ok"), "{error}");
}

async fn threads_that_die_together(executor: Executor) {
    // Four elements share a process that one of them kills: the other three are innocent.
    let work = |x: u64| {
        if x == 13 {
            std::process::abort();
        }
        x * 2
    };
    let outcomes =
        executor.map(work, 0..40).concurrency(4).chunk_size(20).retries(0).outcomes().await.unwrap();
    for (i, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(value) => assert_eq!(value, i as u64 * 2),
            Err(error) => assert_eq!((i, kind(&error)), (13, &FailureKind::Signal(6))),
        }
    }
}
