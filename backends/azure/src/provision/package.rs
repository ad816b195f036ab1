//! What is published: a zip with the runtime's executable and what the host of functions reads.
//!
//! Its bytes depend on what is in it alone, so that their hash says whether there is anything to publish.

use std::io::{Cursor, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use rustwren_core::error::Result;
use rustwren_core::protocol::calls::INVOKE;
use rustwren_core::protocol::queued::FUNCTION;
use rustwren_core::provision::{Package, RUNTIME, RuntimeSource};
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::spec::Spec;
use crate::config::ComputeConfig;

/// The largest package.
const LARGEST: usize = 1 << 30;
/// How often the host hands a message out before it is poison.
const TRIES: u32 = 3;
/// Which settings say where the queue is.
const CONNECTION: &str = "AzureWebJobsStorage";

/// As what the host logs what a custom handler prints.
const CONSOLE: &str = "Host.Function.Console";

/// The command that builds a runtime.
const BUILD: &str =
    "`cargo build --release -p rustwren-worker --no-default-features --features azure` on Linux on x86-64";

/// Where the runtime comes from.
pub(super) fn source(given: Option<PathBuf>) -> RuntimeSource {
    RuntimeSource::new(given, ComputeConfig::platform_of_instances(), BUILD)
}

/// What is to be published.
pub(super) fn package<'a>(source: &'a RuntimeSource, spec: &Spec) -> Result<&'a Package> {
    source.package("Azure", LARGEST, |runtime| zip(spec, runtime))
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
