//! Programs in storage, held by jobs and removed by cleans.

use std::time::Duration;

use rustwren_core::durable::jobs::{Selection, clean};
use rustwren_core::durable::{Heart, JobId, hold_image};
use rustwren_core::image::{ImageId, image_key};

use crate::cleaning::{abandoned, at_every_moment, driver};
use crate::moment::Stopping;
use crate::world::{Network, World, killed_after, owner};

const LEASE: Duration = Duration::from_secs(15);

async fn upload(world: &World, image: u8) {
    let key = image_key(ImageId([image; 32])).unwrap();
    world.store(Network::GOOD).storage().put(&key, "program".into()).await.unwrap();
}

fn images(world: &World) -> Vec<u8> {
    let there = |image: &u8| world.keys().contains(&image_key(ImageId([*image; 32])).unwrap().to_string());
    (0..9).filter(there).collect()
}

#[test]
fn images_that_a_job_names_stay() {
    World::run(1, true, |world| async move {
        let store = world.store(Network::GOOD);
        let by = owner("cleaner");
        for image in 0..4 {
            upload(&world, image).await;
        }
        // Drivers of these tests have program 1.
        abandoned(&world, "job").await;
        let id = JobId::new("connected").unwrap();
        let heart = Heart::start(&store, &id, owner("client"), LEASE, Some(ImageId([2; 32]))).await.unwrap();
        // Neither an older job nor a part of them.
        let none = Selection::OlderThan(Duration::from_secs(3600));
        assert_eq!(clean(&store, &none, false, &by).await.unwrap().images, []);
        assert_eq!(images(&world), [0, 1, 2, 3]);
        let dry = clean(&store, &Selection::All, true, &by).await.unwrap();
        let done = clean(&store, &Selection::All, false, &by).await.unwrap();
        assert_eq!((&dry, &done.images[..]), (&done, &[ImageId([0; 32]), ImageId([3; 32])][..]));
        assert_eq!(images(&world), [1, 2]);
        // Somebody who does not say what he needs may need all.
        upload(&world, 0).await;
        let other = JobId::new("other").unwrap();
        let silent = Heart::start(&store, &other, owner("client"), LEASE, None).await.unwrap();
        assert_eq!(clean(&store, &Selection::All, false, &by).await.unwrap().images, []);
        silent.stop().await.unwrap();
        heart.stop().await.unwrap();
        world.sleep(LEASE * 10).await;
        let dry = clean(&store, &Selection::All, true, &by).await.unwrap();
        assert_eq!(dry.images.len(), 3, "{dry:?}");
        clean(&store, &Selection::All, false, &by).await.unwrap();
        assert!(world.keys().is_empty(), "{:?}", world.keys());
    });
}

/// Holds the image and runs for a while. Whether it was there, or had to be uploaded.
async fn uses_an_image(world: &World) {
    let store = world.store(Network::GOOD);
    let (id, image) = (JobId::new("user").unwrap(), ImageId([5; 32]));
    let heart = Heart::start(&store, &id, owner("user"), LEASE, Some(image)).await.unwrap();
    if !hold_image(&store, image).await.unwrap() {
        upload(world, 5).await;
    }
    assert_eq!(killed_after(world, LEASE * 3, heart.next_sign()).await, None);
    assert_eq!(images(world), [5], "it is needed");
    heart.stop().await.unwrap();
}

#[test]
fn an_image_that_a_job_has_found_stays_whenever_a_clean_comes() {
    let moments = at_every_moment(|world, moment| async move {
        upload(&world, 5).await;
        let (store, by) = (world.store_at(&moment), owner("cleaner"));
        let cleaning = Stopping::new(&moment, clean(&store, &Selection::All, false, &by));
        let using = async {
            moment.comes_or(&world, Duration::from_secs(100)).await;
            let go_on = async {
                world.sleep(LEASE).await;
                moment.let_go();
            };
            futures_util::future::join(uses_an_image(&world), go_on).await;
        };
        let (cleaned, ()) = futures_util::future::join(cleaning, using).await;
        cleaned.unwrap();
        moment.has_come()
    });
    assert!(moments > 10, "it stood still at {moments} moments only");
}

#[test]
fn a_clean_that_was_killed_does_not_keep_jobs_from_an_image_for_long() {
    let moments = at_every_moment(|world, moment| async move {
        upload(&world, 5).await;
        let (store, by) = (world.store_at(&moment), owner("cleaner"));
        let cleaning = Stopping::new(&moment, clean(&store, &Selection::All, false, &by));
        let killed = killed_after(&world, Duration::from_secs(100), cleaning).await.is_none();
        let begun = world.now();
        uses_an_image(&world).await;
        assert!(world.now() < begun + Duration::from_secs(70) + LEASE * 3);
        world.sleep(Duration::from_secs(100)).await;
        let store = world.store(Network::GOOD);
        clean(&store, &Selection::All, false, &by).await.unwrap();
        assert!(world.keys().is_empty(), "{:?}", world.keys());
        killed
    });
    assert!(moments > 10, "it was killed at {moments} moments only");
}

#[test]
fn cleans_at_once_share_the_work() {
    World::run(1, true, |world| async move {
        for image in 0..9 {
            upload(&world, image).await;
        }
        for name in ["a", "b", "c"] {
            driver(&world, world.store(Network::GOOD), "d", name).found().await.unwrap();
        }
        let by = owner("cleaner");
        let stores: Vec<_> = (0..3).map(|_| world.store(Network::GOOD)).collect();
        let cleans = stores.iter().map(|store| clean(store, &Selection::All, false, &by));
        for cleaned in futures_util::future::join_all(cleans).await {
            assert_eq!(cleaned.unwrap().kept, []);
        }
        assert!(world.keys().is_empty(), "{:?}", world.keys());
    });
}
