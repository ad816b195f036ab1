//! What the runtime adds on Lambda: `cargo bench -p rustwren-worker --bench lambda -- [--quick]`.
//!
//! Every figure stands beside the same of a bare `lambda_runtime` function that gives its payload back, taken by turns:
//! the time from the start of the process until it asks for its first invocation, and a warm invocation that does nothing,
//! under Lambda's official emulator. This program is that function, and the function process too.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made ends")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use lambda_runtime::{LambdaEvent, service_fn};
use rustwren_core::entry::{Call, Entry, Target};
use rustwren_core::image::{ImageId, ProgramImage, image_key, strip};
use rustwren_core::protocol::{invocation, json};
use rustwren_core::storage::Storage as _;
use rustwren_core::worker::{Function as Remote, serve};
use rustwren_directory::DirectoryStorage;
use rustwren_testkit::invoker_suite::{invocation as invocation_of, program};
use rustwren_testkit::standins::lambda::{Function, LambdaFront};
use serde_json::Value;

const RUNTIME: &str = env!("CARGO_BIN_EXE_rustwren-runtime");

fn resolve(entry: &Entry, _: ImageId) -> Result<&'static Remote, String> {
    let Target::Named { name, .. } = &entry.target else { return Err("it has a name".to_owned()) };
    program::function(name).ok_or_else(|| format!("there is no function {name}"))
}

fn main() -> ExitCode {
    if rustwren_core::env::is_worker() {
        serve(resolve);
    }
    if rustwren_core::env::AWS_LAMBDA_RUNTIME_API.get().is_some() {
        return bare();
    }
    let quick = std::env::args().any(|argument| argument == "--quick");
    size();
    starts(if quick { 5 } else { 50 });
    warm(if quick { 50 } else { 2_000 });
    ExitCode::SUCCESS
}

/// The function that everything is compared with.
fn bare() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let echo =
        service_fn(|event: LambdaEvent<Value>| async { Ok::<_, lambda_runtime::Error>(event.payload) });
    match runtime.block_on(lambda_runtime::run(echo)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn own() -> PathBuf {
    std::env::current_exe().unwrap()
}

/// As `rustwren setup` packs it: stripped, and deflated as well as it can be.
fn size() {
    let stripped = strip(&std::fs::read(RUNTIME).unwrap()).into_owned();
    let mut packed = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&stripped).unwrap();
    let packed = packed.finish().unwrap().len();
    let mb = |bytes: usize| bytes as f64 / 1e6;
    println!("zip         {:.2} MB of {:.2} MB stripped; target 8 MB", mb(packed), mb(stripped.len()));
}

/// A sorted sample's value at this share of it.
fn at(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    let index = ((times.len() - 1) as f64 * share).round() as usize;
    times[index].as_secs_f64() * 1e3
}

/// From the start of the process until it asks for its first invocation.
fn first_poll(program: &Path) -> Duration {
    let api = TcpListener::bind("127.0.0.1:0").unwrap();
    let begun = Instant::now();
    let mut process = Command::new(program)
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", api.local_addr().unwrap().to_string())
        .env("AWS_LAMBDA_FUNCTION_NAME", "rustwren")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769")
        .stdin(Stdio::null())
        // It is ended in the middle of what it does.
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut stream, _) = api.accept().unwrap();
    let mut line = [0; 64];
    let len = stream.read(&mut line).unwrap();
    let took = begun.elapsed();
    assert!(
        line[..len].starts_with(b"GET /2018-06-01/runtime/invocation/next"),
        "it asks for something else"
    );
    process.kill().unwrap();
    process.wait().unwrap();
    took
}

fn starts(rounds: usize) {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(first_poll(Path::new(RUNTIME)));
        bare.push(first_poll(&own()));
    }
    println!(
        "first poll  {:.1} ms, p95 {:.1} ms; bare lambda_runtime {:.1} ms; target 30 ms",
        at(&mut ours, 0.5),
        at(&mut ours, 0.95),
        at(&mut bare, 0.5)
    );
}

/// A function of this program under the emulator, with a storage in this folder.
fn deployed(bootstrap: PathBuf, folder: &Path) -> LambdaFront {
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let variables = [
        ("RUSTWREN__STORAGE__BACKEND", "local".to_owned()),
        ("RUSTWREN__STORAGE__ROOT", at("storage")),
        ("RUSTWREN_CACHE_DIR", at("cache")),
    ];
    LambdaFront::start(Function {
        name: "rustwren".to_owned(),
        bootstrap,
        timeout: Duration::from_mins(1),
        memory_mb: 1769,
        environment: variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        concurrency: 1,
        event_retries: 0,
    })
}

/// Calls the function over a connection of its own and waits for its answer.
fn call(front: &LambdaFront, body: &[u8]) -> (Duration, Vec<u8>) {
    let head = format!(
        "POST /2015-03-31/functions/rustwren/invocations HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         authorization: AWS4-HMAC-SHA256 of nobody\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let begun = Instant::now();
    let mut stream = TcpStream::connect(front.address()).unwrap();
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let took = begun.elapsed();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    (took, answer)
}

fn warm(rounds: usize) {
    let folder = tempfile::tempdir().unwrap();
    let image = ProgramImage::of_this_program(None).unwrap();
    let storage = DirectoryStorage::open(folder.path().join("storage")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let key = image_key(image.id()).unwrap();
    runtime.block_on(storage.put(&key, image.packed().unwrap())).unwrap();
    let job = program::job(image.id(), "echo", Call::Map);
    let payload = json::to_json(&invocation::encode(&invocation_of(&job, &[Vec::new()])).unwrap());
    let ours = deployed(RUNTIME.into(), folder.path());
    let bare = deployed(own(), folder.path());
    // Both are started, and the program is fetched.
    let (cold, answer) = call(&ours, &payload);
    assert!(!String::from_utf8_lossy(&answer).contains("errorType"), "{}", String::from_utf8_lossy(&answer));
    call(&bare, &payload);
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        with.push(call(&ours, &payload).0);
        without.push(call(&bare, &payload).0);
    }
    let (median, echo) = (at(&mut with, 0.5), at(&mut without, 0.5));
    println!(
        "warm no-op  {median:.2} ms, p95 {:.2} ms; bare echo {echo:.2} ms, p95 {:.2} ms: {:.2} ms more; target 1 ms",
        at(&mut with, 0.95),
        at(&mut without, 0.95),
        median - echo
    );
    println!("cold        {:.0} ms with emulator, process and program", cold.as_secs_f64() * 1e3);
}
