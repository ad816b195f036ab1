//! Manifests, inputs and capsules come back as they were stored, or say what is wrong with them.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::poll_fn;
use proptest::prelude::*;
use rustwren_core::durable::{Capsule, Capsules, InputStore, Kind, MAX_CAPSULES, Manifest, Stored};
use rustwren_core::entry::{Call, Entry as Function, Target};
use rustwren_core::error::ErrorKind;
use rustwren_core::failure::{FailureKind, TaskError, TaskFailure};
use rustwren_core::image::ImageId;
use rustwren_core::invoker::{JobSpec, Payload};
use rustwren_core::protocol::records::{append_input, split_input};
use rustwren_core::scheduler::input::{Block, InputSource, Ready};
use rustwren_core::scheduler::retry::RetryPolicy;
use rustwren_core::scheduler::{JobOptions, OnError};

use crate::journal::id;
use crate::world::{Network, World};

fn spec(shared: Option<Payload>) -> JobSpec {
    JobSpec {
        id: id().to_string(),
        label: "my job".into(),
        entry: Function {
            image: ImageId([0xab; 32]),
            target: Target::Named { name: "crate::f".into(), call: Call::TryMapWith },
        },
        shared,
        task_timeout: Some(Duration::from_millis(1500)),
        concurrency: 3,
    }
}

fn options() -> JobOptions {
    JobOptions {
        chunk_size: Some(5),
        workers: Some(7),
        retry: RetryPolicy { retries: Some(2) },
        on_error: OnError::Collect,
        ..JobOptions::default()
    }
}

#[test]
fn a_manifest_has_all_that_a_driver_needs() {
    World::run(1, true, |world| async move {
        let store = world.store(Network::BAD);
        let stored = Payload::Stored { key: "jobs/job/shared".into(), offset: 0, len: 9 };
        let mut manifest = Manifest::new(
            &spec(Some(stored.clone())),
            Kind::Detached,
            &options(),
            "alloc::string::String",
            "bin/p",
        )
        .unwrap();
        manifest.inputs = Some(rustwren_core::durable::Inputs { elements: 9, bytes: 90, blocks: vec![4, 5] });
        assert_eq!(manifest.write(&store).await.unwrap(), None);
        assert_eq!(manifest.write(&store).await.unwrap(), None, "its own");
        let read = Manifest::read(&store, &id()).await.unwrap();
        assert_eq!(read, manifest);
        assert_eq!(read.spec(), spec(Some(stored)));
        let options = read.job_options(8);
        assert_eq!((options.chunk_size, options.workers, options.retry.retries), (Some(5), Some(7), Some(2)));
        assert_eq!((options.on_error, options.seed), (OnError::Collect, 8));
        assert_eq!(read.shared, Some(Stored { key: "jobs/job/shared".into(), len: 9 }));
        assert!(read.check_output("alloc::string::String").is_ok());
        let text = read.check_output("u64").unwrap_err().to_string();
        assert!(text.contains("alloc::string::String, not u64"), "{text}");
        // Somebody else's is handed back.
        let other = Manifest::new(&spec(None), Kind::Durable, &JobOptions::default(), "u8", "p").unwrap();
        assert_eq!(other.write(&store).await.unwrap(), Some(manifest));
    });
}

#[test]
fn a_manifest_that_is_missing_newer_or_broken_says_so() {
    World::run(1, true, |world| async move {
        let store = world.store(Network::GOOD);
        let error = Manifest::read(&store, &id()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.hint().unwrap().contains("rustwren jobs list"), "{error}");
        assert_eq!(Manifest::read_opt(&store, &id()).await.unwrap(), None);
        let manifest = Manifest::new(&spec(None), Kind::Durable, &options(), "u8", "p").unwrap();
        manifest.write(&store).await.unwrap();
        let key = "jobs/job/manifest";
        let whole =
            String::from_utf8(store.storage().get(&id().manifest_key().unwrap()).await.unwrap().to_vec())
                .unwrap();
        assert!(whole.contains("label = \"my job\"") && whole.contains(&"ab".repeat(32)), "{whole}");
        let version = |version: &str| whole.replace("version = 1", version);
        for (text, kind, says) in [
            (version("version = 2\nlater = 1"), ErrorKind::Incompatible, "version 2"),
            ("version = 7".to_owned(), ErrorKind::Incompatible, "version 7"),
            ("other = 1".to_owned(), ErrorKind::Internal, key),
            (whole[..40].to_owned(), ErrorKind::Internal, key),
            (whole.replace("id = \"job\"", "id = \"other\""), ErrorKind::Internal, "another job, other"),
        ] {
            world.change(key, |_| text.clone().into());
            let error = Manifest::read(&store, &id()).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{text}: {error}");
            assert!(error.to_string().contains(says) && error.hint().is_some(), "{text}: {error}");
        }
        // What a later program of the same version adds is no trouble.
        world.change(key, |_| version("version = 1\nadded = 1").into());
        assert_eq!(Manifest::read(&store, &id()).await.unwrap(), manifest);
    });
}

fn block(bodies: &[Vec<u8>]) -> Block {
    let mut bytes = Vec::new();
    for body in bodies {
        append_input(&mut bytes, |out| {
            out.extend_from_slice(body);
            Ok::<_, ()>(())
        })
        .unwrap();
    }
    Block { count: bodies.len() as u32, bytes: bytes.into() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn inputs_come_back_in_blocks_of_a_size(
        blocks in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..8), 0..12),
        most in 1_usize..300, seed: u64,
    ) {
        let all: Vec<Vec<u8>> = blocks.iter().flatten().cloned().collect();
        let source: Vec<Block> = blocks.iter().map(|bodies| block(bodies)).collect();
        let largest = source.iter().map(|block| block.bytes.len()).max().unwrap_or(0);
        World::run(seed, true, |world| async move {
            let inputs = InputStore::new(&world.store(Network::BAD), &id()).block_bytes(most);
            let mut told = 0;
            let stored = inputs.write(Box::new(Ready::new(source)), |n| told = n).await.unwrap();
            assert_eq!((stored.elements, told), (all.len() as u64, all.len() as u64));
            let objects = world.keys();
            assert_eq!(objects.len(), stored.blocks.len());
            let mut source = inputs.read(&stored);
            let mut read = Vec::new();
            while let Some(block) = poll_fn(|cx| source.poll_next(cx)).await {
                let block = block.unwrap();
                assert!(block.bytes.len() <= most.max(largest));
                let mut at = 0;
                while at < block.bytes.len() {
                    let (body, len) = split_input(&block.bytes[at..]).unwrap();
                    read.push(body.to_vec());
                    at += len;
                }
                assert_eq!(source.remaining(), Some((all.len() - read.len()) as u64));
            }
            assert_eq!(read, all);
            for (index, body) in all.iter().enumerate().take(3) {
                assert_eq!(inputs.element(&stored, index as u64).await.unwrap(), body[..]);
            }
            let text = inputs.element(&stored, all.len() as u64).await.unwrap_err().to_string();
            assert!(text.contains(&format!("has {} inputs", all.len())), "{text}");
        });
    }
}

#[test]
fn inputs_that_are_missing_or_broken_say_so() {
    World::run(1, true, |world| async move {
        let store = world.store(Network::GOOD);
        let inputs = InputStore::new(&store, &id()).block_bytes(1);
        let blocks = [block(&[vec![1; 9]]), block(&[vec![2; 9]])];
        let mut stored = inputs.write(Box::new(Ready::new(blocks)), |_| {}).await.unwrap();
        Manifest::new(&spec(None), Kind::Durable, &options(), "u8", "p")
            .unwrap()
            .write(&store)
            .await
            .unwrap();
        world.change("jobs/job/in/00000001", |bytes| {
            let mut bytes = bytes.to_vec();
            *bytes.last_mut().unwrap() ^= 1;
            bytes.into()
        });
        let text = inputs.element(&stored, 1).await.unwrap_err().to_string();
        assert!(text.contains("jobs/job/in/00000001") && text.contains("checksum"), "{text}");
        stored.blocks[0] = 2;
        let text = inputs.element(&stored, 0).await.unwrap_err().to_string();
        assert!(text.contains("other inputs than the manifest says"), "{text}");
        world.remove("jobs/job/in/00000001");
        let mut source = inputs.read(&stored);
        let error = poll_fn(|cx| source.poll_next(cx)).await;
        assert!(error.unwrap().is_err());
        let text = inputs.element(&stored, 2).await.unwrap_err().to_string();
        assert!(text.contains("missing") && text.contains("in/00000001"), "{text}");
        world.remove("jobs/job/manifest");
        let error = inputs.element(&stored, 2).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
    });
}

fn failed(index: u64) -> TaskError {
    let failure = TaskFailure::new(FailureKind::Panic, "no");
    TaskError { index, job: "my job".into(), input_bytes: 3, attempts: vec![failure], repro: None }
}

#[test]
fn a_failed_element_is_kept_with_its_input_and_shared_value() {
    World::run(1, true, |world| async move {
        let store = world.store(Network::BAD);
        let shared = Payload::Inline(vec![Bytes::from_static(b"sha"), Bytes::from_static(b"red")]);
        let mut capsules = Capsules::new(&store, &id(), "bin/p");
        assert!(!capsules.need_shared());
        for index in [12, 3] {
            assert!(capsules.keep(&spec(Some(shared.clone())), &failed(index), b"input").await.unwrap());
        }
        assert!(capsules.need_shared());
        assert_eq!(Capsule::list(&store, &id()).await.unwrap(), [3, 12]);
        let capsule = Capsule::read(&store, &id(), 12).await.unwrap();
        assert_eq!((&capsule.input[..], &capsule.error), (&b"input"[..], &failed(12)));
        assert_eq!((capsule.program.as_str(), &capsule.spec.entry), ("bin/p", &spec(None).entry));
        assert_eq!(capsule.shared(&store).await.unwrap().unwrap(), "shared");
        let error = Capsule::read(&store, &id(), 4).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.hint().unwrap().contains("jobs show job"), "{error}");
    });
}

#[test]
fn not_too_many_are_kept_and_not_too_much() {
    World::run(1, true, |world| async move {
        let store = world.store(Network::GOOD);
        let mut capsules = Capsules::new(&store, &id(), "p");
        for index in 0..60 {
            assert!(capsules.keep(&spec(None), &failed(index), b"i").await.unwrap());
        }
        // Another process of the same job goes on counting.
        let mut capsules = Capsules::new(&store, &id(), "p");
        let mut kept = 60;
        for index in 60..120 {
            kept += usize::from(capsules.keep(&spec(None), &failed(index), b"i").await.unwrap());
        }
        assert_eq!((kept, Capsule::list(&store, &id()).await.unwrap().len()), (MAX_CAPSULES, MAX_CAPSULES));

        world.remove("jobs/job/failed/0");
        let mut capsules = Capsules::new(&store, &id(), "p");
        let huge = vec![0; 257 << 20];
        assert!(!capsules.keep(&spec(None), &failed(0), &huge).await.unwrap());
        assert!(capsules.keep(&spec(None), &failed(0), b"i").await.unwrap());
    });
}
