//! Detached invocations: their agents, which outlive the client and leave nothing behind.

use std::any::Any;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use libtest_mimic::Trial;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use rustwren_core::entry::Call;
use rustwren_core::error::ErrorClass;
use rustwren_core::image::{ImageId, ProgramImage, image_key};
use rustwren_core::invoker::{Invocation, Invoker, JobSpec, Payload};
use rustwren_core::storage::Key;
use rustwren_core::worker::{Chunk, Function};
use rustwren_local::{DirectoryStorage, LocalInvoker, LocalOptions};
use rustwren_testkit::invoker_suite::program;
use tempfile::TempDir;

/// Says where it is, waits for a word, and leaves the word in a file. Its input is the folder.
pub(crate) fn report() -> &'static Function {
    fn run(chunk: &Chunk<'_>, _: &(dyn Any + Send + Sync)) {
        chunk.run(|input, _| {
            let folder = Path::new(std::str::from_utf8(input).unwrap());
            let mut socket = UnixStream::connect(folder.join("socket")).unwrap();
            let pids = format!("{} {}", std::process::id(), std::os::unix::process::parent_id());
            let depth = rustwren_core::env::worker_depth();
            let here = std::env::current_dir().unwrap();
            writeln!(socket, "{pids} {depth} {}", here.display()).unwrap();
            let mut word = String::new();
            BufReader::new(&socket).read_line(&mut word).unwrap();
            match word.trim() {
                "print" => print!("printed"),
                "panic" => panic!("as told"),
                "abort" => std::process::abort(),
                _ => {}
            }
            fs::write(folder.join("word"), word.trim()).unwrap();
            Ok(())
        });
    }
    &Function { open: program::open, run }
}

/// A place with a storage and a socket.
struct Place {
    dir: TempDir,
    listener: UnixListener,
}

fn options(folder: &Path, mode: &str) -> LocalOptions {
    LocalOptions {
        config: super::compute("2", mode),
        cache_dir: Some(folder.join("cache")),
        storage_variables: Vec::new(),
        storage: Arc::new(DirectoryStorage::open(folder.join("storage")).unwrap()),
    }
}

/// An invocation of [`report`] whose input lies in storage.
async fn invocation(folder: &Path, image: ImageId) -> Invocation {
    let key = Key::new("input").unwrap();
    let path = folder.to_str().unwrap();
    let record = [&[path.len() as u8], path.as_bytes()].concat();
    let len = record.len() as u64;
    options(folder, "direct").storage.put(&key, Bytes::from(record)).await.unwrap();
    let job = JobSpec::named("detached/job", image, "report", Call::Map);
    Invocation::first(Arc::new(job), 1, 1, Payload::Stored { key: "input".to_owned(), offset: 0, len })
}

fn own_image() -> ProgramImage {
    ProgramImage::of_this_program(None).unwrap()
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("socket")).unwrap();
        Self { dir, listener }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The task that runs now.
    fn task(&self) -> Task {
        let (socket, _) = self.listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(&socket).read_line(&mut line).unwrap();
        let [pid, agent, depth, folder] = line.trim().splitn(4, ' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let processes = [pid, agent].map(|pid| Watched::new(pid.parse().unwrap()));
        Task { socket, processes, depth: depth.parse().unwrap(), folder: folder.into() }
    }

    fn logs(&self) -> Vec<String> {
        let logs = fs::read_dir(self.path("cache/agents")).unwrap();
        logs.map(|log| fs::read_to_string(log.unwrap().path()).unwrap()).collect()
    }
}

struct Task {
    socket: UnixStream,
    /// The function process and the agent.
    processes: [Watched; 2],
    depth: u32,
    folder: PathBuf,
}

impl Task {
    /// Has it do something, and waits until nothing of it is left.
    fn tell(mut self, word: &str) {
        writeln!(self.socket, "{word}").unwrap();
        self.processes.iter().for_each(Watched::ends);
    }
}

struct Watched {
    pid: Pid,
    pidfd: OwnedFd,
}

impl Watched {
    fn new(pid: i32) -> Self {
        let pid = Pid::from_raw(pid).unwrap();
        Self { pid, pidfd: pidfd_open(pid, PidfdFlags::empty()).unwrap() }
    }

    fn ends(&self) {
        poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], None).unwrap();
    }

    /// What `/proc` says of it: group, session, terminal.
    fn session(&self) -> [i32; 3] {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid.as_raw_nonzero())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        [2, 3, 4].map(|field| fields[field].parse().unwrap())
    }
}

async fn outlives_its_invoker(mode: &str) {
    let place = Place::new();
    let image = own_image();
    let invoker = LocalInvoker::new(options(place.dir.path(), mode));
    let invocation = invocation(place.dir.path(), image.id()).await;
    if mode == "packed" {
        let error = invoker.invoke_detached(invocation.clone()).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::NotFound);
        assert!(error.to_string().starts_with("the program of job report (image "), "{error}");
        let storage = options(place.dir.path(), mode).storage;
        storage.put(&image_key(image.id()).unwrap(), image.packed().unwrap()).await.unwrap();
    }
    invoker.invoke_detached(invocation).await.unwrap();
    invoker.shutdown().await;
    drop(invoker);
    let task = place.task();
    let agent = &task.processes[1];
    let own = agent.pid.as_raw_nonzero().get();
    assert_eq!(agent.session(), [own, own, 0], "a group and a session of its own, without a terminal");
    assert_eq!((task.depth, &task.folder), (1, &std::env::current_dir().unwrap()));
    task.tell("done");
    assert_eq!(fs::read_to_string(place.path("word")).unwrap(), "done");
    assert!(place.logs().is_empty(), "nothing was written, and no log is left");
}

/// Makes this program a client that detaches a job and waits to be killed.
pub(crate) const CLIENT: &str = "--client-that-is-killed";

pub(crate) fn client_that_is_killed() -> ! {
    let folder = PathBuf::from(std::env::args_os().next_back().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let invoker = LocalInvoker::new(options(&folder, "direct"));
        let invocation = invocation(&folder, own_image().id()).await;
        invoker.invoke_detached(invocation).await.unwrap();
    });
    println!("detached");
    loop {
        std::thread::park();
    }
}

/// Whatever becomes of the client's process group, as at a terminal that is closed or where Ctrl-C is pressed.
async fn outlives_its_client() {
    for signal in [Signal::INT, Signal::HUP, Signal::TERM, Signal::KILL] {
        let place = Place::new();
        let mut client = Command::new(std::env::current_exe().unwrap());
        client.arg(CLIENT).arg(place.dir.path()).stdout(Stdio::piped()).process_group(0);
        let mut client = client.spawn().unwrap();
        // It says so only when the agent has its invocation.
        let mut line = String::new();
        BufReader::new(client.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "detached\n");
        rustix::process::kill_process_group(Pid::from_child(&client), signal).unwrap();
        client.wait().unwrap();
        let task = place.task();
        rustix::process::kill_process(task.processes[1].pid, Signal::HUP).unwrap();
        task.tell("done");
        assert_eq!(fs::read_to_string(place.path("word")).unwrap(), "done");
    }
}

async fn a_killed_agent_takes_its_process_along() {
    for signal in [Signal::TERM, Signal::KILL] {
        let place = Place::new();
        let invoker = LocalInvoker::new(options(place.dir.path(), "direct"));
        invoker.invoke_detached(invocation(place.dir.path(), own_image().id()).await).await.unwrap();
        let task = place.task();
        rustix::process::kill_process(task.processes[1].pid, signal).unwrap();
        task.processes.iter().for_each(Watched::ends);
        assert!(!place.path("word").exists());
    }
}

async fn the_log_tells() {
    for (word, said) in [
        ("print", vec!["printed"]),
        ("panic", vec!["rustwren: task 0 panicked at ", "detached.rs:", "as told"]),
        ("abort", vec!["rustwren: job report: ", "task 0 its process was killed by signal 6"]),
    ] {
        let place = Place::new();
        let invoker = LocalInvoker::new(options(place.dir.path(), "direct"));
        invoker.invoke_detached(invocation(place.dir.path(), own_image().id()).await).await.unwrap();
        place.task().tell(word);
        let logs = place.logs();
        let [log] = &logs[..] else { panic!("{logs:?}") };
        assert!(said.iter().all(|said| log.contains(said)), "{word}: {log}");
    }
}

/// A program that knows nothing of agents.
async fn another_program() {
    let place = Place::new();
    let options = options(place.dir.path(), "direct");
    let image = ProgramImage::from_file(Path::new("/bin/cat"), None).unwrap();
    options.storage.put(&image_key(image.id()).unwrap(), image.packed().unwrap()).await.unwrap();
    let invoker = LocalInvoker::new(options);
    let error = invoker.invoke_detached(invocation(place.dir.path(), image.id()).await).await.unwrap_err();
    let text = error.to_string();
    let expected = "the agent that is to run job report without the client: it ended before it took the job (exit \
                    status: 1); its last output:\n";
    assert!(text.starts_with(expected) && text.contains("rustwren-agent"), "{text}");
    assert!(error.hint().unwrap().contains("rustwren::init()"), "{error}");
    assert!(place.logs().is_empty());
}

async fn a_home_that_cannot_be_written() {
    let place = Place::new();
    fs::write(place.path("cache"), "a file is in the way").unwrap();
    let invoker = LocalInvoker::new(options(place.dir.path(), "direct"));
    invoker.invoke_detached(invocation(place.dir.path(), own_image().id()).await).await.unwrap();
    place.task().tell("print");
}

pub(crate) fn trials() -> Vec<Trial> {
    use super::trial;
    vec![
        trial("detached, direct", || outlives_its_invoker("direct")),
        trial("detached, packed", || outlives_its_invoker("packed")),
        trial("a detached invocation outlives its client", outlives_its_client),
        trial("a killed agent takes its process along", a_killed_agent_takes_its_process_along),
        trial("the log of an agent tells", the_log_tells),
        trial("another program as agent", another_program),
        trial("a detached invocation without a cache folder", a_home_that_cannot_be_written),
    ]
}
