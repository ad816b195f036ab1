//! The invoker without workers, under the real scheduler.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use rustwren_core::entry::{Call, Entry, Target};
use rustwren_core::image::ImageId;
use rustwren_core::invoker::{Invoker, JobSpec};
use rustwren_core::protocol::records::append_input;
use rustwren_core::scheduler::input::{Block, Ready};
use rustwren_core::scheduler::outbox::Outbox;
use rustwren_core::scheduler::slots::Slots;
use rustwren_core::scheduler::{Commands, JobOptions, JobRun, Resources};
use rustwren_core::storage::MemoryStorage;
use rustwren_testkit::InstantInvoker;
use rustwren_testkit::sim::{SimClock, SimExecutor};

#[test]
fn ten_thousand_are_in_flight() {
    const ELEMENTS: u32 = 25_000;
    let mut bytes = Vec::new();
    for index in 0..ELEMENTS {
        let body = |out: &mut Vec<u8>| {
            out.extend_from_slice(&index.to_le_bytes());
            Ok::<(), ()>(())
        };
        append_input(&mut bytes, body).unwrap();
    }
    let clock = SimClock::new();
    let mut executor = SimExecutor::new(clock.clone(), 1);
    let invoker = Arc::new(InstantInvoker::echo(10_000));
    let resources = Resources {
        slots: Slots::new(invoker.limits()),
        invoker: Arc::clone(&invoker) as Arc<dyn Invoker>,
        storage: Arc::new(MemoryStorage::new()),
        clock: Arc::new(clock),
    };
    let spec = JobSpec {
        id: "echo".to_owned(),
        label: "echo".to_owned(),
        entry: Entry {
            image: ImageId([0; 32]),
            target: Target::Named { name: "echo".to_owned(), call: Call::Map },
        },
        shared: None,
        task_timeout: None,
        concurrency: 1,
    };
    let options = JobOptions { chunk_size: Some(1), ..JobOptions::default() };
    let outbox = Outbox::new(Commands::default(), options.result_buffer);
    outbox.hold_all();
    let source = Ready::new([Block { count: ELEMENTS, bytes: Bytes::from(bytes) }]);
    let run = JobRun::new(Arc::new(spec), options, Box::new(source), outbox.clone(), resources);
    executor.spawner().spawn("job", run);
    let watched = outbox.clone();
    executor.block_on(async move { poll_fn(|cx| watched.poll_watch(cx, |_, ended| ended)).await }).unwrap();
    assert!(matches!(outbox.end(), Some(Ok(()))));
    assert_eq!(outbox.progress().done, u64::from(ELEMENTS));
    assert_eq!(invoker.most_held(), 10_000);
}
