//! What a call costs that goes through Google's functions framework and the shim, beside the framework's own echo.
//!
//! ```text
//! scripts/test -p rustwren-tests                # once: brings the functions framework
//! cargo bench -p rustwren-gcp --bench shim      # half a minute; `-- --quick` for some seconds
//! ```
//!
//! Where the runtime stands in a function, this program stands, and answers every call at once: what a runtime takes for an
//! invocation is measured elsewhere (`tests/benches/http.rs`). Framework, shim and client share this machine; calls are made one
//! after the other, and the sides by turns.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a measurement that cannot be made ends, and it is of time"
)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustwren_core::config::Settings;
use rustwren_core::invoker::{Events, Invoker as _};
use rustwren_gcp::config::functions::{COMPUTE, ComputeConfig};
use rustwren_gcp::invoker::CloudRunInvoker;
use rustwren_testkit::flight::{self, Ignore, Reply};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const FRAMEWORK: &str =
    ".cache/functions-framework/node_modules/@google-cloud/functions-framework/build/src/main.js";
/// What a function does that gives back what it was sent.
const ECHO: &str = "exports.rustwren = (request, response) => response.send(request.rawBody);";
/// How much a call goes beyond the echo at most, in milliseconds.
const TARGET: f64 = 2.0;
const KIND: &str = "application/octet-stream";

/// An instance of the functions framework, until it is dropped.
struct Instance {
    child: Child,
    address: String,
}

impl Instance {
    fn start(source: &Path) -> Self {
        let mut command = Command::new("node");
        command
            .arg("--require")
            .arg(Path::new(ROOT).join("tests/src/google/loopback.cjs"))
            .arg(Path::new(ROOT).join(FRAMEWORK))
            .arg("--target=rustwren")
            .arg("--source")
            .arg(source)
            .env("NODE_ENV", "production")
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address =
            lines.map_while(Result::ok).find_map(|line| Some(line.strip_prefix("listening on ")?.to_owned()));
        Self { child, address: address.unwrap() }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn source(folder: &Path, name: &str, index: &str) -> std::path::PathBuf {
    let source = folder.join(name);
    fs::create_dir(&source).unwrap();
    fs::write(source.join("index.js"), index).unwrap();
    let package = fs::read_to_string(Path::new(ROOT).join("backends/gcp/shim/package.json")).unwrap();
    fs::write(source.join("package.json"), package).unwrap();
    source
}

/// Of sorted times.
fn quantile(times: &[f64], part: f64) -> f64 {
    times[((times.len() - 1) as f64 * part).round() as usize]
}

/// How long each of some calls took, in milliseconds.
async fn times(count: usize, call: impl AsyncFn()) -> Vec<f64> {
    let mut times = Vec::new();
    for _ in 0..count {
        let begun = Instant::now();
        call().await;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    times
}

async fn compare(rounds: usize, echo: &str, shim: &str) {
    let http = reqwest::Client::new();
    let post = async |url: &str| {
        let request = http.post(format!("{url}/v1/invoke")).header("content-type", KIND).body(vec![0; 200]);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        answer.bytes().await.unwrap();
    };
    let settings = [("workers", "1"), ("auth", "none"), ("route", "functions"), ("url", shim)];
    let settings = Settings::of_program(&COMPUTE, "/tmp", settings).unwrap();
    let invoker = CloudRunInvoker::new(&ComputeConfig::from_settings(&settings).unwrap(), shim).unwrap();
    let (job, events) = (flight::job(), Arc::new(Ignore) as Arc<dyn Events>);
    let invoke = async || {
        invoker.invoke(flight::invocation(&job, 0), &events).await.unwrap();
    };
    let mut all = [Vec::new(), Vec::new(), Vec::new()];
    // The first round warms up.
    for round in 0..=rounds {
        let taken = [
            times(50, async || post(echo).await).await,
            times(50, async || post(shim).await).await,
            times(50, &invoke).await,
        ];
        if round > 0 {
            all.iter_mut().zip(taken).for_each(|(all, taken)| all.extend(taken));
        }
    }
    for times in &mut all {
        times.sort_by(f64::total_cmp);
    }
    let base = quantile(&all[0], 0.5);
    for (name, times) in
        ["echo of the framework", "post through the shim", "invocation through the shim"].iter().zip(&all)
    {
        let median = quantile(times, 0.5);
        println!(
            "{name:28} p50 {median:6.3} ms, p99 {:6.3} ms; {:6.3} ms beyond the echo; target {TARGET} ms; {} calls",
            quantile(times, 0.99),
            median - base,
            times.len()
        );
    }
}

fn main() {
    if std::env::args().any(|argument| argument == "serve") {
        // Started by the shim, and ends with it.
        let reply =
            Reply { body: flight::nothing().into(), kind: KIND, delay: Duration::ZERO, at_once: None };
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).unwrap();
        flight::serve(usize::MAX, reply);
    }
    rustwren_gcp::client::use_ring();
    let rounds = if std::env::args().any(|argument| argument == "--quick") { 10 } else { 60 };
    let folder = tempfile::tempdir().unwrap();
    let shim = fs::read_to_string(Path::new(ROOT).join("backends/gcp/shim/index.js")).unwrap();
    let shim = source(folder.path(), "shim", &shim);
    symlink(std::env::current_exe().unwrap(), shim.join("rustwren-runtime")).unwrap();
    let echo = Instance::start(&source(folder.path(), "echo", ECHO));
    let shim = Instance::start(&shim);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(compare(rounds, &echo.url(), &shim.url()));
}
