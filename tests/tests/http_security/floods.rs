//! Who has no secret, or means no good with it, costs little.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustwren_tests::fleet::Fleet;
use rustwren_tests::listening::Listening;

use crate::call::{INVOKE, Signature, answer, connect, head};
use crate::good_calls_go_on;

crate::tests![
    a_gigabyte_without_a_signature_is_not_read,
    a_gigabyte_with_a_signature_is_cut_at_the_limit,
    slow_senders_are_cut_off,
    ten_thousand_idle_connections,
];

const GIGABYTE: u64 = 1 << 30;
/// What a runtime may grow by under such a call: far from a gigabyte.
const GROWTH: u64 = 96 << 20;

/// The most memory that a runtime has had in use so far, in bytes.
fn peak(runtime: &Listening) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", runtime.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kilobytes << 10
}

/// Sends a gigabyte until nobody takes it any more. How much was taken, and the status that came back, if any did.
fn send_gigabyte(address: SocketAddr, head: &str, chunked: bool) -> (u64, Option<u16>) {
    let mut stream = connect(address);
    stream.write_all(head.as_bytes()).unwrap();
    let part = vec![b'x'; 1 << 16];
    let framed = [format!("{:x}\r\n", part.len()).as_bytes(), &part, b"\r\n"].concat();
    let part = if chunked { &framed } else { &part };
    let mut sent = 0;
    while sent < GIGABYTE {
        match stream.write(part) {
            Ok(n) => sent += n as u64,
            Err(error) if [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset].contains(&error.kind()) => {
                break;
            }
            Err(error) => panic!("after {sent} bytes: {error}"),
        }
    }
    // A reset may have overtaken the answer.
    (sent, answer(&mut stream).ok().map(|answer| answer.status))
}

fn a_gigabyte_without_a_signature_is_not_read(fleet: &Fleet) {
    let runtime = &fleet.runtimes()[0];
    let before = peak(runtime);
    for (length, chunked) in
        [(format!("content-length: {GIGABYTE}"), false), ("transfer-encoding: chunked".to_owned(), true)]
    {
        let head = head("POST", INVOKE, None, &length);
        let (sent, status) = send_gigabyte(runtime.address(), &head, chunked);
        // What the two sockets hold was sent; nothing of it was read beyond a bound.
        assert!(sent < 64 << 20, "{sent} bytes were taken");
        assert!(status.is_none_or(|status| status == 401), "{status:?}");
    }
    let growth = peak(runtime) - before;
    assert!(growth < GROWTH, "the runtime grew by {growth} bytes");
    good_calls_go_on(fleet);
}

fn a_gigabyte_with_a_signature_is_cut_at_the_limit(fleet: &Fleet) {
    let runtime = &fleet.runtimes()[0];
    let secret = fleet.secret();
    let before = peak(runtime);
    for (length, chunked) in
        [(format!("content-length: {GIGABYTE}"), false), ("transfer-encoding: chunked".to_owned(), true)]
    {
        let signature = Signature::of(&secret, b"whatever").header();
        let head = head("POST", INVOKE, Some(&signature), &length);
        let (sent, status) = send_gigabyte(runtime.address(), &head, chunked);
        // The longest body, and what the two sockets hold.
        assert!(sent < 128 << 20, "{sent} bytes were taken");
        assert!(status.is_none_or(|status| status == 413), "{status:?}");
    }
    let growth = peak(runtime) - before;
    assert!(growth < GROWTH, "the runtime grew by {growth} bytes");
    good_calls_go_on(fleet);
}

fn slow_senders_are_cut_off(fleet: &Fleet) {
    let address = fleet.runtimes()[0].address();
    let secret = fleet.secret();
    let signature = Signature::of(&secret, &[b'x'; 1000]).header();
    let beginnings = [
        String::new(),
        "POST".to_owned(),
        format!("POST {INVOKE} HTTP/1.1\r\nhost: fleet\r\n"),
        head("POST", INVOKE, None, "content-length: 1000"),
        head("POST", INVOKE, Some(&signature), "content-length: 1000") + "x",
    ];
    let mut senders: Vec<TcpStream> = Vec::new();
    for beginning in beginnings.iter().cycle().take(250) {
        let mut stream = connect(address);
        stream.write_all(beginning.as_bytes()).unwrap();
        senders.push(stream);
    }
    good_calls_go_on(fleet);
    // The runtime hangs up by itself; reading waits for that.
    for mut sender in senders {
        let mut rest = Vec::new();
        match sender.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
        }
        let text = String::from_utf8_lossy(&rest);
        let status = text.split(' ').nth(1);
        assert!(matches!(status, None | Some("401" | "408" | "400")), "{text}");
    }
    good_calls_go_on(fleet);
}

/// Lets this process have this many files open.
fn raise_open_files(wanted: u64) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        // An unprivileged process may raise itself as far as its hard limit, and only root may raise that.
        let maximum = Some(limit.maximum.map_or(wanted, |maximum| maximum.max(wanted)));
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).unwrap();
    }
}

fn ten_thousand_idle_connections(fleet: &Fleet) {
    const CONNECTIONS: u64 = 10_000;
    raise_open_files(CONNECTIONS + 1_000);
    let runtime = &fleet.runtimes()[0];
    let before = peak(runtime);
    let mut idle = Vec::new();
    for n in 0..CONNECTIONS {
        let mut stream = connect(runtime.address());
        // Half of them say something first.
        if n.is_multiple_of(2) {
            stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: fleet\r\n").unwrap();
        }
        idle.push(stream);
        if n.is_multiple_of(2_500) {
            good_calls_go_on(fleet);
        }
    }
    good_calls_go_on(fleet);
    let growth = peak(runtime) - before;
    assert!(growth < 256 << 20, "the runtime grew by {growth} bytes");
    drop(idle);
    good_calls_go_on(fleet);
}
