//! The storage conformance suite against any server that speaks Cloud Storage's JSON API, Google's own included.
//!
//! ```text
//! GCS_JSON_ENDPOINT=http://127.0.0.1:4443 GCS_BUCKET=a-bucket cargo run -p rustwren-gcp --example conformance
//! ```
//!
//! | variable | |
//! |---|---|
//! | `GCS_JSON_ENDPOINT` | where the JSON API is; must be set |
//! | `GCS_BUCKET` | a bucket, which is made where it is not there; must be set |
//! | `GCS_TOKEN` | an access token; without it requests are anonymous |
//! | `GCS_PROJECT` | in which project the bucket is made; `test` where not set |
//! | `GCS_GRPC_ENDPOINT` | taken, and not called: everything here goes by the JSON API |
//! | `GCS_PART_SIZE` | bytes in one part; what is larger than two is written by a resumable upload; 1 MiB where not set |
//!
//! Everything is done below a prefix of its own, `rustwren-conformance/`, and removed again. Its last line says `passed`, and
//! its exit code is 0, where every check passes.

use std::process::ExitCode;
use std::sync::Arc;

use rustwren_core::error::ErrorClass;
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

fn config() -> Result<StorageConfig, Failed> {
    let token = variable("GCS_TOKEN").map(Token);
    let part_size = variable("GCS_PART_SIZE").map_or(Ok(1 << 20), |size| size.parse())?;
    Ok(StorageConfig {
        access: Access { endpoint: Some(demanded("GCS_JSON_ENDPOINT")?), anonymous: token.is_none(), token },
        bucket: demanded("GCS_BUCKET")?,
        prefix: Some(Key::new("rustwren-conformance")?),
        parts: Parts { size: part_size, parallel: 4 },
    })
}

/// Makes the bucket, as `gcloud storage buckets create` does.
async fn make_bucket(config: &StorageConfig) -> Result<(), Failed> {
    let project = variable("GCS_PROJECT").unwrap_or_else(|| "test".to_owned());
    let endpoint = config.access.storage_endpoint();
    let body = serde_json::json!({"name": config.bucket}).to_string();
    let mut request = reqwest::Client::new()
        .post(format!("{endpoint}/storage/v1/b?project={project}"))
        .header("content-type", "application/json")
        .body(body);
    if let Some(Token(token)) = &config.access.token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    Err(format!(
        "bucket {} is not there and cannot be made: {status}: {}",
        config.bucket,
        answer.text().await?
    )
    .into())
}

async fn run() -> Result<(), Failed> {
    let config = config()?;
    rustwren_gcp::client::use_ring();
    let storage = GcsStorage::open(&config).await?;
    match storage.list_all("").await {
        Ok(_) => {}
        Err(error) if error.class() == ErrorClass::Misconfigured => make_bucket(&config).await?,
        Err(error) => return Err(error.into()),
    }
    println!("{}, through {}", storage.location(), config.access.storage_endpoint());
    if let Some(endpoint) = variable("GCS_GRPC_ENDPOINT") {
        println!("{endpoint} is not called: everything goes by the JSON API");
    }
    storage_suite::run_all(Arc::new(storage), &[]).await;
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
