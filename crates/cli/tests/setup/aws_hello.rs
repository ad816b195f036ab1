//! The whole of `rustwren setup` on AWS: the zip that it uploads is what runs, under Lambda's official emulator, and what
//! it ends with is an answer of that.

use std::sync::{Arc, OnceLock};

use rustwren_testkit::standins::lambda::{Function, LambdaFront};
use rustwren_testkit::standins::{Front, Moto, Verdict};

use crate::aws::{assert_exit, home, rustwren};
use crate::text;

#[test]
fn a_setup_ends_with_an_answer_of_what_it_has_uploaded() {
    let moto = Moto::start();
    let folder = tempfile::tempdir().unwrap();
    let unpacked = folder.path().to_owned();
    // Lambda: moto keeps the function, and the environments run it.
    let running: Arc<OnceLock<LambdaFront>> = Arc::default();
    let lambda = Arc::clone(&running);
    let front = Front::before(moto.address(), move |request| {
        if request.method == "POST" && request.path.trim_end_matches('/') == "/2015-03-31/functions" {
            let mut function = Function::of_creation(&request.body, &unpacked);
            let cache = unpacked.join("tmp").to_str().unwrap().to_owned();
            let own = [("AWS_REGION", "eu-west-1"), ("RUSTWREN_CACHE_DIR", &cache)];
            // What a worker has from its role.
            let role = Moto::CREDENTIALS;
            function.environment.extend(own.iter().chain(&role).map(|&(k, v)| (k.to_owned(), v.to_owned())));
            assert!(lambda.set(LambdaFront::start(function)).is_ok(), "the function is made once");
        }
        match lambda.get() {
            Some(lambda) if request.path.ends_with("/invocations") => Verdict::PassTo(lambda.address()),
            _ => Verdict::Pass,
        }
    });
    let home = home(&front.endpoint(), "");
    let home = home.path();

    // The runtime that lies beside the command.
    let done = rustwren(home, &["setup", "--yes"]);
    assert_exit(&done, 0);
    let said = text(&done.stderr);
    assert!(said.contains("5 to create") && said.contains("a closure went the whole way"), "{said}");
    let seen = running.get().unwrap().seen();
    assert_eq!((seen.invocations, seen.environments), (1, 1), "{said}");

    let again = rustwren(home, &["setup"]);
    assert_exit(&again, 0);
    let said = text(&again.stderr);
    assert!(said.contains("no change: 5 as they should be"), "what is there is what would be uploaded: {said}");
    assert!(said.contains("a closure went the whole way"), "{said}");

    let doctor = rustwren(home, &["doctor"]);
    assert_exit(&doctor, 0);
    let legs = text(&doctor.stdout);
    for leg in ["credentials", "bucket", "function", "connect", "storage", "worker", "round trip"] {
        assert!(legs.contains(&format!("ok     {leg} ")), "{leg}: {legs}");
    }
    assert_eq!(running.get().unwrap().seen().environments, 1, "the worker has stayed warm");

    let removal = rustwren(home, &["teardown", "--yes"]);
    assert_exit(&removal, 0);
    assert!(text(&removal.stderr).contains("nothing is left"), "{}", text(&removal.stderr));
}
