//! What is published: a zip with the runtime's executable and what the host of functions reads.
//!
//! Its bytes depend on what is in it alone, so that their hash says whether there is anything to publish.

use std::fmt::Write as _;
use std::fs;
use std::io::{Cursor, Write as _};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use ring::digest::{SHA256, digest};
use rustwren_core::config::units::format_size;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::image::{ElfInfo, Platform, check, strip};
use rustwren_core::protocol::calls::INVOKE;
use rustwren_core::protocol::queued::FUNCTION;
use rustwren_core::provision::{RUNTIME, SetupOptions};
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::spec::Spec;

/// The largest package.
const LARGEST: usize = 1 << 30;
/// How often the host hands a message out before it is poison.
const TRIES: u32 = 3;
/// Which settings say where the queue is.
const CONNECTION: &str = "AzureWebJobsStorage";

/// As what the host logs what a custom handler prints.
const CONSOLE: &str = "Host.Function.Console";

/// A zip that is ready to be published.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) zip: Bytes,
    /// Its SHA-256, in hexadecimal digits.
    pub(super) hash: String,
}

/// Not the bytes.
impl std::fmt::Debug for Package {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Package").field("len", &self.zip.len()).field("hash", &self.hash).finish()
    }
}

/// Where it comes from.
#[derive(Debug)]
pub(super) struct Source {
    given: Option<PathBuf>,
    platform: Platform,
    packed: OnceLock<Package>,
}

impl Source {
    pub(super) fn new(given: Option<PathBuf>, platform: Platform) -> Self {
        Self { given, platform, packed: OnceLock::new() }
    }

    /// The package, made on first use: only setup needs it.
    pub(super) fn package(&self, spec: &Spec) -> Result<&Package> {
        if let Some(packed) = self.packed.get() {
            return Ok(packed);
        }
        let packed = self.pack(spec)?;
        Ok(self.packed.get_or_init(|| packed))
    }

    fn pack(&self, spec: &Spec) -> Result<Package> {
        let mut options = SetupOptions::default();
        options.runtime.clone_from(&self.given);
        let path = options.runtime_file()?;
        let build = "build it for Linux on x86-64, and name it by --runtime: `cargo build --release -p rustwren-worker \
                     --no-default-features --features azure`";
        let bytes = fs::read(&path).map_err(|error| {
            Error::new(ErrorKind::Config, format!("the runtime {} cannot be read", path.display()))
                .with_source(error)
                .with_hint(build)
        })?;
        let runs = ElfInfo::read(&bytes).and_then(|info| check(&info, &self.platform));
        runs.map_err(|error| {
            error.context(&format!("the runtime {} cannot be deployed", path.display())).with_hint(build)
        })?;
        let zip = zip(spec, &strip(&bytes)).map_err(|error| {
            Error::new(ErrorKind::Internal, format!("the runtime {} cannot be packed", path.display()))
                .with_source(error)
        })?;
        if zip.len() > LARGEST {
            let (size, most) = (format_size(zip.len() as u64), format_size(LARGEST as u64));
            let message =
                format!("the runtime {} has {size} when packed; Azure takes {most}", path.display());
            return Err(Error::new(ErrorKind::Incompatible, message).with_hint(build));
        }
        let hash = digest(&SHA256, &zip).as_ref().iter().fold(String::new(), |mut text, byte| {
            // Writing to a string does not fail.
            write!(text, "{byte:02x}").unwrap_or_default();
            text
        });
        Ok(Package { zip: zip.into(), hash })
    }
}

/// What the host of functions reads of the whole app.
fn host(spec: &Spec) -> Value {
    json!({
        "version": "2.0",
        "functionTimeout": time_span(spec.function_timeout),
        "customHandler": {
            "description": { "defaultExecutablePath": RUNTIME },
            "enableProxyingHttpRequest": true,
        },
        // Triggers but for HTTP are not the host's own: it fetches them.
        "extensionBundle": { "id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)" },
        "extensions": { "queues": {
            // An instance fetches what it has room for, and no more.
            "batchSize": spec.per_instance.min(32),
            "newBatchThreshold": 0,
            "maxDequeueCount": TRIES,
            "messageEncoding": "base64",
        } },
        "logging": {
            // What comes in is paid for: what the worker prints, all of it, and of the rest what is wrong.
            "logLevel": { "default": "Warning", CONSOLE: "Information" },
            "applicationInsights": {
                "samplingSettings": { "isEnabled": false },
                "enableDependencyTracking": false,
                "enablePerformanceCountersCollection": false,
            },
        },
    })
}

/// The function that calls come to.
fn called() -> Value {
    json!({ "bindings": [
        {
            "type": "httpTrigger",
            "direction": "in",
            "name": "request",
            "authLevel": "function",
            "methods": ["post"],
            "route": INVOKE.trim_start_matches('/'),
        },
        { "type": "http", "direction": "out", "name": "response" },
    ] })
}

/// The function that messages come to.
fn queued(spec: &Spec) -> Value {
    json!({ "bindings": [{
        "type": "queueTrigger",
        "direction": "in",
        "name": "message",
        "queueName": spec.queue,
        "connection": CONNECTION,
    }] })
}

/// `hh:mm:ss`, with days before it where there are any.
fn time_span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let days = if days == 0 { String::new() } else { format!("{days}.") };
    format!("{days}{hours:02}:{:02}:{:02}", seconds / 60 % 60, seconds % 60)
}

fn zip(spec: &Spec, runtime: &[u8]) -> zip::result::ZipResult<Vec<u8>> {
    let options = |mode| {
        SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(9))
            .last_modified_time(DateTime::DEFAULT)
            .unix_permissions(mode)
    };
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let files = [
        ("host.json".to_owned(), host(spec)),
        ("invoke/function.json".to_owned(), called()),
        (format!("{FUNCTION}/function.json"), queued(spec)),
    ];
    for (name, content) in files {
        writer.start_file(name, options(0o644))?;
        writer.write_all(format!("{content:#}\n").as_bytes())?;
    }
    writer.start_file(RUNTIME, options(0o755))?;
    writer.write_all(runtime)?;
    Ok(writer.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_host_reads_them() {
        assert_eq!(time_span(Duration::from_mins(30)), "00:30:00");
        assert_eq!(time_span(Duration::from_secs(5_025)), "01:23:45");
        assert_eq!(time_span(Duration::from_hours(50)), "2.02:00:00");
    }
}
