//! Every example goes from this machine to AWS by its configuration file alone.

use libtest_mimic::Trial;
use rustwren_testkit::standins::Moto;

use crate::place::Deployment;

pub(crate) fn trial() -> Trial {
    rustwren_tests::trial("aws::the examples switch by their configuration alone", switch)
}

fn switch() {
    let place = Deployment::new(20);
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("rustwren.toml");
    let (bucket, storage, lambda) = (&place.bucket, place.moto.endpoint(), place.front.endpoint());
    let text = format!(
        "provider = \"aws\"\n[storage]\nbucket = \"{bucket}\"\nendpoint = \"{storage}\"\n\
         [compute]\nendpoint = \"{lambda}\"\nworkers = 2\n"
    );
    std::fs::write(&config, text).unwrap();
    rustwren_tests::switch::all_examples(&config, &Moto::CREDENTIALS);
    let seen = place.front.seen();
    assert!(seen.invocations >= 6 && seen.invocations == seen.calls, "{seen:?}");
}
