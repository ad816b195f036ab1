//! Who has no secret learns nothing, whatever it sends.

use std::net::SocketAddr;

use rustwren_tests::fleet::Fleet;

use crate::call::{Answer, INVOKE, Signature, call, now};
use crate::good_calls_go_on;

crate::tests![
    calls_without_a_right_signature_learn_nothing,
    a_call_is_taken_once,
    another_body_than_the_signed_one_is_refused,
    every_secret_in_use_is_accepted_and_no_other,
];

fn invoke(address: SocketAddr, signature: Option<&str>, body: &[u8]) -> Answer {
    call(address, "POST", INVOKE, signature, body)
}

fn calls_without_a_right_signature_learn_nothing(fleet: &Fleet) {
    let address = fleet.runtimes()[0].address();
    let secret = fleet.secret();
    let body = b"body";
    let right = || Signature::of(&secret, body);
    let unsigned = invoke(address, None, body);
    assert_eq!(unsigned.status, 401);
    assert!(unsigned.body.len() < 100, "{unsigned:?}");

    let header = right().header();
    let mut wrong: Vec<(String, String)> = vec![
        ("none".to_owned(), String::new()),
        ("noise".to_owned(), "v1 nonsense".to_owned()),
        ("another secret".to_owned(), Signature { secret: &"x".repeat(64), ..right() }.header()),
        ("another method".to_owned(), Signature { method: "GET", ..right() }.header()),
        ("another target".to_owned(), Signature { target: "/v1/other", ..right() }.header()),
        ("old".to_owned(), Signature { time: now() - 120, ..right() }.header()),
        ("very old".to_owned(), Signature { time: 0, ..right() }.header()),
        ("early".to_owned(), Signature { time: now() + 120, ..right() }.header()),
        ("longer".to_owned(), format!("{header}00")),
        ("huge".to_owned(), "v1 ".to_owned() + &"x".repeat(8_000)),
    ];
    for cut in (0..header.len()).step_by(7) {
        wrong.push((format!("cut after {cut}"), header[..cut].to_owned()));
    }
    for (what, signature) in &wrong {
        assert_eq!(invoke(address, Some(signature), body), unsigned, "{what} is answered differently");
    }
    // What there is besides invocations is as silent, and so is what is not there.
    for target in ["/", "/v1/nothing", "/v1/objects?key=a", "/v1/objects?prefix=&after=", "/v1/objects/../x"]
    {
        for method in ["GET", "PUT", "DELETE"] {
            assert_eq!(call(address, method, target, None, b""), unsigned, "{method} {target}");
        }
    }
    good_calls_go_on(fleet);
}

fn a_call_is_taken_once(fleet: &Fleet) {
    let address = fleet.runtimes()[0].address();
    let secret = fleet.secret();
    let header = Signature::of(&secret, b"nonsense").header();
    let first = invoke(address, Some(&header), b"nonsense");
    assert_eq!(first.status, 400, "it was taken, and is nonsense: {first:?}");
    let again = invoke(address, Some(&header), b"nonsense");
    assert_eq!(again, invoke(address, None, b"nonsense"), "what is heard again learns nothing");
    let anew = Signature::of(&secret, b"nonsense").header();
    assert_eq!(invoke(address, Some(&anew), b"nonsense").status, 400, "signed anew it is another call");
    good_calls_go_on(fleet);
}

fn another_body_than_the_signed_one_is_refused(fleet: &Fleet) {
    let address = fleet.runtimes()[0].address();
    let secret = fleet.secret();
    for (signed, sent) in [(&b"one"[..], &b"two"[..]), (b"one", b"on"), (b"one", b"one "), (b"one", b"")] {
        let header = Signature::of(&secret, signed).header();
        let answer = invoke(address, Some(&header), sent);
        assert_eq!(answer.status, 401, "{answer:?}");
    }
    good_calls_go_on(fleet);
}

/// The middle of a rotation: runtimes know the old and the new secret.
fn every_secret_in_use_is_accepted_and_no_other(fleet: &Fleet) {
    let address = fleet.runtimes()[0].address();
    fleet.rotate();
    let both = fleet.secrets();
    assert_eq!(both.len(), 2);
    let runtime = fleet.start_runtime();
    let status = |address, secret: &str| {
        invoke(address, Some(&Signature::of(secret, b"nonsense").header()), b"nonsense").status
    };
    assert_eq!(both.iter().map(|secret| status(runtime.address(), secret)).collect::<Vec<_>>(), [400, 400]);
    assert_eq!(status(address, &both[1]), 401, "a runtime that has not been given it does not know it");
    good_calls_go_on(fleet);
}
