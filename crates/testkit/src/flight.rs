//! Benchmarks of many invocations under way at once: a server that is a process of its own and answers late, and what the
//! client takes until it has all answers.

#![expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a measurement that cannot be made ends")]

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use rustwren_core::entry::Call;
use rustwren_core::image::ImageId;
use rustwren_core::invoker::{Events, Invocation, Invoker, JobSpec, LogLine, Payload, ResultBatch, Usage};
use rustwren_core::protocol::answer::{Answer, PREAMBLE};
use tokio::net::TcpSocket;

/// The argument by which a benchmark's program becomes the server, followed by how many calls to expect.
pub const SERVER: &str = "--server";
/// How late the server answers where many calls are to be under way.
pub const DELAY: Duration = Duration::from_secs(5);

/// As runtimes say it.
const LISTENING: &str = "listening on ";

/// What one side took.
#[derive(Debug, Clone, Copy)]
pub struct Taken {
    /// Processor time until everything was dispatched.
    pub dispatch: Duration,
    /// Processor time in all.
    pub cpu: Duration,
    /// From the start until the server held all of them, or had taken them.
    pub all_in_flight: Duration,
    /// The largest resident memory beyond what it was before.
    pub memory: u64,
}

impl Taken {
    /// Prints a line of it, for so many calls.
    pub fn print(&self, name: &str, count: usize) {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;
        println!(
            "{name:20} {:7.1} us of CPU each until all were dispatched, {:7.1} us in all; all in flight after {:6.2} s; \
             {:5.1} KB each",
            each(self.dispatch),
            each(self.cpu),
            self.all_in_flight.as_secs_f64(),
            self.memory as f64 / 1024.0 / count as f64,
        );
    }
}

/// The time since 1970, which all processes agree about.
pub fn now() -> Duration {
    let now = clock_gettime(ClockId::Realtime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Processor time of this process.
pub fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// A size in `/proc/self/status`, in bytes.
pub fn status(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the state of this process");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the field is there");
    let size = line.trim_start_matches(':').trim().trim_end_matches(" kB");
    size.parse::<u64>().expect("a size in kB") * 1024
}

/// Lets this process have as many connections as it may.
pub fn raise_limit() {
    let mut limits = getrlimit(Resource::Nofile);
    limits.current = limits.maximum;
    setrlimit(Resource::Nofile, limits).expect("a limit may be raised to its maximum");
}

/// The server's process, and the lines that it writes.
#[derive(Debug)]
pub struct Server {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    address: String,
}

impl Server {
    /// Starts this program again, as the server of so many calls.
    pub fn start(count: usize) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg(SERVER).arg(count.to_string()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("this program starts once more");
        let mut lines = BufReader::new(child.stdout.take().expect("what it writes")).lines();
        let line = lines.next().expect("a line").expect("where it listens");
        let address = line.strip_prefix(LISTENING).expect("where it listens").to_owned();
        Self { child, lines, address }
    }

    /// `127.0.0.1:port`
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How long after this, by the clock of the system since 1970, it had all calls.
    pub fn all_in_flight(&mut self, begun: Duration) -> Duration {
        let line = self.lines.next().expect("a line").expect("when it had all calls");
        Duration::from_micros(line.parse().expect("microseconds")).saturating_sub(begun)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

/// The answer of an invocation that did nothing, as it travels to clients of runtimes.
pub fn nothing() -> Vec<u8> {
    let mut answer = PREAMBLE.to_vec();
    Answer::append_end(&mut answer, None, &Usage::default()).expect("an answer without a result");
    answer
}

/// What a server answers a call with.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The body.
    pub body: Bytes,
    /// Its type.
    pub kind: &'static str,
    /// How late it comes.
    pub delay: Duration,
    /// A header of this name and value has its call answered at once, with 202 and nothing else.
    pub at_once: Option<(&'static str, &'static str)>,
}

struct Shared {
    reply: Reply,
    expected: usize,
    came: AtomicUsize,
}

/// Serves until it is killed. Writes where it listens, and then when it had all calls, in microseconds since 1970.
pub fn serve(expected: usize, reply: Reply) -> ! {
    raise_limit();
    let shared = Arc::new(Shared { reply, expected, came: AtomicUsize::new(0) });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let listener = socket.listen(4096).expect("a socket that listens");
        println!("{LISTENING}{}", listener.local_addr().expect("its address"));
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                let service = service_fn(move |request| call(request, Arc::clone(&shared)));
                // How a connection ends is its client's affair.
                drop(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await,
                );
            });
        }
    })
}

async fn call(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Full<Bytes>>, Infallible> {
    let is = |(name, value): (&str, &str)| request.headers().get(name).is_some_and(|found| found == value);
    let at_once = shared.reply.at_once.is_some_and(is);
    // A client that is gone has nothing to be told.
    drop(request.into_body().collect().await);
    if shared.came.fetch_add(1, Ordering::Relaxed) + 1 == shared.expected {
        println!("{}", now().as_micros());
    }
    let mut answer = Response::new(Full::default());
    if at_once {
        *answer.status_mut() = StatusCode::ACCEPTED;
    } else {
        tokio::time::sleep(shared.reply.delay).await;
        *answer.body_mut() = Full::new(shared.reply.body.clone());
        let kind = hyper::header::HeaderValue::from_static(shared.reply.kind);
        answer.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    }
    Ok(answer)
}

/// Hears nothing of invocations.
#[derive(Debug, Clone, Copy)]
pub struct Ignore;

impl Events for Ignore {
    fn results(&self, _: u64, _: ResultBatch) {}
    fn started(&self, _: u64) {}
    fn log(&self, _: u64, _: LogLine) {}
}

/// What the server's invocations belong to.
pub fn job() -> Arc<JobSpec> {
    Arc::new(JobSpec::named("job", ImageId([0; 32]), "f", Call::Map))
}

/// An invocation of one small element.
pub fn invocation(job: &Arc<JobSpec>, id: u64) -> Invocation {
    let payload = Payload::Inline(vec![Bytes::from_static(b"\x01x")]);
    Invocation { first: id, ..Invocation::first(Arc::clone(job), id, 1, payload) }
}

/// So many invocations of nothing at once, by the invoker that is made for this server.
pub fn ours<I: Invoker>(count: usize, make: impl FnOnce(&str) -> I) -> Taken {
    raise_limit();
    let server = Server::start(count);
    let address = server.address().to_owned();
    let job = job();
    let events: Arc<dyn Events> = Arc::new(Ignore);
    measure(count, server, async |calls| {
        let invoker = make(&address);
        let mut all: FuturesUnordered<_> =
            (0..count).map(|id| invoker.invoke(invocation(&job, id as u64), &events)).collect();
        while let Some(reply) = all.next().await {
            reply.expect("an answer");
            calls();
        }
    })
}

/// What it takes to make so many calls, each of which is told when it is answered.
pub fn measure(count: usize, mut server: Server, work: impl AsyncFnOnce(&mut dyn FnMut())) -> Taken {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (before, begun, started) = (status("VmRSS"), cpu(), now());
    let (mut dispatch, mut left) = (Duration::ZERO, count);
    runtime.block_on(work(&mut || {
        if left == count {
            // The first answer comes long after the first call: everything is on its way by then.
            dispatch = cpu().saturating_sub(begun);
        }
        left -= 1;
    }));
    assert_eq!(left, 0, "every call was answered");
    let cpu = cpu().saturating_sub(begun);
    // The largest until now, which does not fall: of several measurements the one with the least goes first.
    let memory = status("VmHWM").saturating_sub(before);
    Taken { dispatch, cpu, all_in_flight: server.all_in_flight(started), memory }
}

/// A benchmark's `main`: so many calls of `ours`, and then as many of a `bare` client, each in a process of its own, since the
/// largest memory of one would hide the other's. The server answers with this body of this kind.
pub fn beside_bare(
    kind: &'static str,
    body: Vec<u8>,
    bare: impl FnOnce(usize) -> Taken,
    ours: impl FnOnce(usize) -> Taken,
) {
    const BARE: &str = "--bare";
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let count =
        |at: usize| arguments.get(at).map_or(10_000, |count| count.parse().expect("a number of calls"));
    match arguments.first().map(String::as_str) {
        Some(SERVER) => serve(count(1), Reply { body: body.into(), kind, delay: DELAY, at_once: None }),
        Some(BARE) => bare(count(1)).print("bare", count(1)),
        _ => {
            println!("{} calls of {} s", count(0), DELAY.as_secs());
            ours(count(0)).print("rustwren", count(0));
            let mut other = Command::new(std::env::current_exe().expect("this program"));
            let ended =
                other.arg(BARE).arg(count(0).to_string()).status().expect("this program starts once more");
            assert!(ended.success(), "the bare client's calls: {ended}");
        }
    }
}
