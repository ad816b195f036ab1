//! The storage conformance suite against any server that speaks Cloud Storage's JSON API, Google's own included.
//!
//! ```text
//! cargo run -p rustwren-testkit -- gcs --port 4443 &                # the server of ours, or any other
//! GCS_JSON_ENDPOINT=http://127.0.0.1:4443 GCS_BUCKET=a-bucket cargo run -p rustwren-gcp --example conformance
//! ```
//!
//! | variable | |
//! |---|---|
//! | `GCS_JSON_ENDPOINT` | where the JSON API is, with or without its `/storage/v1`; must be set |
//! | `GCS_BUCKET` | a bucket, which is made where it is not there; must be set |
//! | `GCS_TOKEN` | an access token; without it requests are anonymous |
//! | `GCS_PROJECT` | in which project the bucket is made; `test` where not set |
//! | `GCS_GRPC_ENDPOINT` | taken, and not called: everything here goes by the JSON API |
//! | `GCS_PART_SIZE` | bytes in one part; what is larger than two is written by a resumable upload; 1 MiB where not set |
//!
//! Everything is done below a prefix of its own, `rustwren-conformance/`, and removed again, also where a check fails. Each check
//! is named as it begins; one that fails is told with what it met, and the others are run all the same. The last line says
//! `passed`, and the exit code is 0, where every check passes.

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::Arc;

use futures_util::FutureExt as _;
use rustwren_core::error::BackendError;
use rustwren_core::storage::remote::Parts;
use rustwren_core::storage::{Key, Storage as _, StorageExt as _};
use rustwren_gcp::GcsStorage;
use rustwren_gcp::client::{Access, Token};
use rustwren_gcp::config::StorageConfig;
use rustwren_testkit::storage_suite;

type Failed = Box<dyn std::error::Error>;

/// The value of a variable, where it is set and not empty.
#[expect(clippy::disallowed_methods, reason = "a program for tests, which users do not run")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn demanded(name: &str) -> Result<String, Failed> {
    variable(name).ok_or_else(|| format!("{name} is not set: see the head of examples/conformance.rs").into())
}

/// The server's address as the library has it: with a scheme, and without the path of the API.
fn endpoint(given: &str) -> String {
    let given = given.trim_end_matches('/');
    let given = given.strip_suffix("/storage/v1").unwrap_or(given);
    if given.contains("://") { given.to_owned() } else { format!("http://{given}") }
}

fn config() -> Result<StorageConfig, Failed> {
    let token = variable("GCS_TOKEN").map(Token);
    let part_size = variable("GCS_PART_SIZE").map_or(Ok(1 << 20), |size| size.parse());
    Ok(StorageConfig {
        access: Access {
            endpoint: Some(endpoint(&demanded("GCS_JSON_ENDPOINT")?)),
            anonymous: token.is_none(),
            token,
            ..Access::default()
        },
        bucket: demanded("GCS_BUCKET")?,
        prefix: Some(Key::new("rustwren-conformance")?),
        parts: Parts { size: part_size.map_err(|_| "GCS_PART_SIZE is no number of bytes")?, parallel: 4 },
    })
}

/// Makes the bucket where it is not there, as `gcloud storage buckets create` does.
async fn make_bucket(config: &StorageConfig) -> Result<(), Failed> {
    let endpoint = config.access.storage_endpoint();
    let http = reqwest::Client::new();
    let send = async |request: reqwest::RequestBuilder| {
        let request = match &config.access.token {
            Some(Token(token)) => request.bearer_auth(token),
            None => request,
        };
        let answer = request.send().await.map_err(|error| unreached(endpoint, &error))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| unreached(endpoint, &error))?;
        Ok::<_, Failed>((status, text))
    };
    let bucket = &config.bucket;
    let (status, _) = send(http.get(format!("{endpoint}/storage/v1/b/{bucket}"))).await?;
    // Whoever may not look at it, or asks a server that has no such call, may use it all the same.
    if status != reqwest::StatusCode::NOT_FOUND {
        return Ok(());
    }
    let project = variable("GCS_PROJECT").unwrap_or_else(|| "test".to_owned());
    let body = serde_json::json!({ "name": bucket }).to_string();
    let request = http
        .post(format!("{endpoint}/storage/v1/b?project={project}"))
        .header("content-type", "application/json")
        .body(body);
    let (status, text) = send(request).await?;
    if status.is_success() || status == reqwest::StatusCode::CONFLICT {
        return Ok(());
    }
    Err(format!(
        "there is no bucket {bucket} at {endpoint}, and it cannot be made: {status}: {text}\nhint: make it by the server's own \
         means, or name one that is there in GCS_BUCKET; where there is none of that name, GCS_JSON_ENDPOINT may not be \
         where the JSON API is"
    )
    .into())
}

fn unreached(endpoint: &str, error: &reqwest::Error) -> String {
    let why = rustwren_core::error::chain(error);
    let mend = if why.contains("certificate") {
        "start the server without TLS, or with a certificate that this machine trusts"
    } else {
        "is a server listening there, and for HTTP rather than gRPC?"
    };
    format!("{endpoint} does not answer: {why}\nhint: {mend}")
}

fn told(error: &BackendError) -> String {
    let hint = error.hint().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    format!("{error}{hint}")
}

async fn run() -> Result<(), Failed> {
    let config = config()?;
    rustwren_gcp::client::use_ring();
    make_bucket(&config).await?;
    let storage = Arc::new(GcsStorage::open(&config).await.map_err(|error| told(&error))?);
    storage.list_all("").await.map_err(|error| told(&error))?;
    println!("{}, through {}", storage.location(), config.access.storage_endpoint());
    if let Some(endpoint) = variable("GCS_GRPC_ENDPOINT") {
        println!("{endpoint} is not called: everything goes by the JSON API");
    }
    let suite = AssertUnwindSafe(storage_suite::run_all(storage.clone(), &[])).catch_unwind().await;
    // What a check that fails has left. It is said by then why it failed.
    storage.delete_prefix("").await.map_err(|error| told(&error))?;
    if suite.is_err() {
        return Err("the server does not keep what RustWren relies on: see above".into());
    }
    println!("passed");
    Ok(())
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.map_err(Failed::from).and_then(|runtime| runtime.block_on(run()));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
