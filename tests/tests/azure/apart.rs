//! Two jobs that run in one instance at the same time, one of which pries: nothing of the other is to be had.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use rustwren::blocking::block_on;
use rustwren::config::LoadOptions;
use rustwren::prelude::*;
use serde::{Deserialize, Serialize};

use crate::place::{Place, Plan};

const SECRET: &str = "the secret of the first job";

/// What is known of the process of the first job.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Victim {
    process: u32,
    /// Where it works, and files that it has written there and where everybody may write.
    folder: PathBuf,
    files: Vec<PathBuf>,
}

/// What there was to be had of it.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Findings(Vec<String>);

/// Keeps a secret in its files, in its environment and in its memory, says where, and ends when it is told to.
fn keep(test: SocketAddr) -> bool {
    let folder = std::env::current_dir().unwrap();
    let shared = PathBuf::from(format!("/tmp/rustwren-left-behind-{}", std::process::id()));
    let files = vec![folder.join("secret"), std::env::temp_dir().join("other-secret"), shared];
    for file in &files {
        fs::write(file, SECRET).unwrap();
    }
    let victim = Victim { process: std::process::id(), folder, files };
    let mut stream = TcpStream::connect(test).unwrap();
    writeln!(stream, "{}", serde_json::to_string(&victim).unwrap()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap() > 0
}

/// Waits for whoever is to be there at the same time.
fn meet(test: SocketAddr) -> u32 {
    let mut line = String::new();
    BufReader::new(TcpStream::connect(test).unwrap()).read_line(&mut line).unwrap();
    std::process::id()
}

/// Looks for all that may be had of another job's process, and of the runtime above it.
fn pry(input: (Victim, u16)) -> Findings {
    let (victim, port) = input;
    let mut found = Findings::default();
    let mut note = |what: String, had: bool| {
        if had {
            found.0.push(what);
        }
    };
    for file in &victim.files {
        note(format!("reads {}", file.display()), fs::read_to_string(file).is_ok_and(|text| text == SECRET));
        note(format!("changes {}", file.display()), fs::OpenOptions::new().append(true).open(file).is_ok());
    }
    note("lists its folder".to_owned(), fs::read_dir(&victim.folder).is_ok());
    let proc = PathBuf::from(format!("/proc/{}", victim.process));
    // Nothing is at the address at which it begins, so opening it is all that can be tried.
    note("opens its memory".to_owned(), fs::File::open(proc.join("mem")).is_ok());
    note(
        "reads its environment".to_owned(),
        fs::read(proc.join("environ")).is_ok_and(|bytes| !bytes.is_empty()),
    );
    note("follows its folder".to_owned(), fs::read_dir(proc.join("cwd")).is_ok());
    let own = std::env::current_dir().unwrap();
    note("finds things in its own folder".to_owned(), fs::read_dir(&own).unwrap().count() > 0);
    note("lists the folder of folders".to_owned(), own.parent().is_some_and(|dir| fs::read_dir(dir).is_ok()));
    if port > 0 {
        note("is heard by the runtime".to_owned(), is_heard(port));
    }
    found
}

fn is_heard(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let asked = stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    let mut line = String::new();
    asked.is_ok() && BufReader::new(stream).read_line(&mut line).is_ok_and(|read| read > 0)
}

/// Runs both jobs. What the second has found, and what the first has left behind after its end.
fn run(connect: &dyn Fn() -> Executor, port: u16) -> (Findings, Victim) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (first, second, third) = (connect(), connect(), connect());
    let mut keeping = block_on(first.map(keep, [address]).label("first").spawn()).unwrap();
    let mut reader = BufReader::new(listener.accept().unwrap().0);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let victim: Victim = serde_json::from_str(&line).unwrap();
    let pried = second.map(pry, [(victim.clone(), port)]).label("second");
    let mut found = block_on(pried.into_future()).unwrap();
    writeln!(reader.get_mut(), "go on").unwrap();
    assert!(block_on(keeping.next()).unwrap().unwrap().1);

    // Two tasks of another job take the places of both, and with them go their processes.
    let meeting = third.map(meet, [address, address]).workers(2).chunk_size(1).label("third");
    let third = block_on(meeting.spawn()).unwrap();
    let there = [listener.accept().unwrap().0, listener.accept().unwrap().0];
    for mut stream in &there {
        writeln!(stream, "go on").unwrap();
    }
    let processes = block_on(third.results()).unwrap();
    assert!(!processes.contains(&victim.process), "{processes:?}");
    (found.remove(0), victim)
}

fn is_gone(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err()
}

pub(crate) fn apart() {
    let place = Place::new(&Plan { per_instance: 2, workers: 2, ..Plan::default() });
    // Up, so that its port is known.
    block_on(place.connect(1).map(|x: u8| x, [1]).into_future()).unwrap();
    let port = port_of(place.host.handler(0).unwrap());
    let (found, victim) = run(&|| place.connect(2), port);
    assert!(
        rustix::process::geteuid().is_root(),
        "tasks of one job are kept from another's by users of their own, which only root can give: run this test as root"
    );
    assert_eq!(found, Findings::default());
    // What it has left behind goes with its process, which the third job's has replaced.
    for path in victim.files.iter().chain([&victim.folder]) {
        assert!(is_gone(path), "{} is still there", path.display());
    }

    // The mechanism switched off: on one's own machine, where all that runs is one's own, processes share everything.
    let own = || {
        let options = LoadOptions::of_process().set("provider", "local").set("client.progress", "never");
        block_on(Executor::connect_with(&options.set("compute.workers", 2))).unwrap()
    };
    let (found, victim) = run(&own, 0);
    for had in ["reads", "changes", "opens its memory", "reads its environment", "lists its folder"] {
        assert!(found.0.iter().any(|found| found.starts_with(had)), "{had}: {found:?}");
    }
    for path in &victim.files {
        assert!(!is_gone(path), "{} is gone", path.display());
        fs::remove_file(path).unwrap();
    }
}

/// The port that a handler has been told to listen on.
fn port_of(process: u32) -> u16 {
    let environment = fs::read(format!("/proc/{process}/environ")).unwrap();
    let mut variables = environment.split(|&byte| byte == 0);
    let port = variables.find_map(|variable| variable.strip_prefix(b"FUNCTIONS_CUSTOMHANDLER_PORT="));
    std::str::from_utf8(port.unwrap()).unwrap().parse().unwrap()
}
