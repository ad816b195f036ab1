//! A function app as a published package makes it: what was published is what runs.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::super::unpack::unpack;
use super::{FunctionApp, QueueTrigger};

/// What the host puts in front of routes, unless `host.json` says otherwise.
const PREFIX: &str = "/api";

/// Where the queues of an app are.
#[derive(Debug, Clone)]
pub struct Queues {
    /// The account's address, without a slash at its end.
    pub endpoint: String,
    /// The query that lets in: a shared access signature.
    pub sas: String,
}

fn json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn text(value: &Value, what: &str) -> String {
    value.as_str().unwrap_or_else(|| panic!("{what} is no text: {value}")).to_owned()
}

impl FunctionApp {
    /// The app in this zip, unpacked below `folder` by other code than packed it, as its `host.json` and the
    /// `function.json` of each function say. It has one instance with one invocation at once, and no settings and no key.
    ///
    /// # Panics
    ///
    /// When it is no custom handler, or has other functions than the host here knows.
    pub fn of_package(zip: &[u8], folder: &Path, queues: Option<&Queues>) -> Self {
        let root = unpack(zip, folder);
        let host = json(&root.join("host.json"));
        let handler = &host["customHandler"];
        assert_eq!(host["version"], "2.0", "{host}");
        assert_eq!(handler["enableProxyingHttpRequest"], true, "{host}");
        let limits = &host["extensions"]["queues"];
        assert_eq!(limits["messageEncoding"], "base64", "{host}");
        // By which the real host decides whether what a handler prints goes anywhere.
        let levels = &host["logging"]["logLevel"];
        assert_eq!(levels["Host.Function.Console"], "Information", "{host}");
        let mut app = Self {
            handler: root.join(text(&handler["description"]["defaultExecutablePath"], "the handler")),
            settings: Vec::new(),
            http_path: String::new(),
            key: String::new(),
            instances: 1,
            per_instance: 1,
            http_limit: Duration::from_secs(230),
            queue: None,
            console: None,
        };
        let folders = fs::read_dir(&root).unwrap_or_else(|error| panic!("{}: {error}", root.display()));
        for function in folders.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_dir())
        {
            let trigger = &json(&function.join("function.json"))["bindings"][0];
            match trigger["type"].as_str() {
                Some("httpTrigger") => {
                    assert_eq!(trigger["authLevel"], "function", "{trigger}");
                    app.http_path = format!("{PREFIX}/{}", text(&trigger["route"], "the route"));
                }
                Some("queueTrigger") => {
                    // Where the real host has the trigger from.
                    let bundle = &host["extensionBundle"];
                    assert_eq!(bundle["id"], "Microsoft.Azure.Functions.ExtensionBundle", "{host}");
                    assert_eq!(trigger["connection"], "AzureWebJobsStorage", "{trigger}");
                    let name = text(&trigger["queueName"], "the queue");
                    let tries =
                        limits["maxDequeueCount"].as_u64().and_then(|tries| u32::try_from(tries).ok());
                    app.queue = queues.map(|queues| {
                        let url = format!("{}/{name}", queues.endpoint);
                        QueueTrigger {
                            function: function.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                            poison_url: format!("{url}-poison"),
                            url,
                            sas: queues.sas.clone(),
                            max_dequeue: tries.unwrap_or(5),
                            encoded_twice: true,
                        }
                    });
                }
                other => panic!("a function with another trigger: {other:?}"),
            }
        }
        assert!(!app.http_path.is_empty(), "no function has an HTTP trigger");
        app
    }
}
