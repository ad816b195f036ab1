//! A function as `CreateFunction` makes it: what was uploaded is what runs.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::super::unpack::unpack;
use super::Function;

impl Function {
    /// What a request to `CreateFunction` with this body makes, unpacked below `folder` by other code than packed it.
    ///
    /// # Panics
    ///
    /// When the request is not one that Lambda would take.
    pub fn of_creation(body: &[u8], folder: &Path) -> Self {
        let request: Value =
            serde_json::from_slice(body).unwrap_or_else(|error| panic!("CreateFunction: {error}"));
        let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
        let zip =
            text(&request["Code"]["ZipFile"]).unwrap_or_else(|| panic!("CreateFunction has no ZipFile"));
        let zip = STANDARD.decode(zip).unwrap_or_else(|error| panic!("ZipFile: {error}"));
        let code = unpack(&zip, folder);
        let number = |name: &str| request[name].as_u64().unwrap_or_else(|| panic!("{name} is no number"));
        let variables = request["Environment"]["Variables"].as_object().into_iter().flatten();
        Self {
            name: text(&request["FunctionName"]).unwrap_or_else(|| panic!("a function without a name")),
            // What `provided.al2023` starts, whatever the handler is.
            bootstrap: code.join("bootstrap"),
            timeout: Duration::from_secs(number("Timeout")),
            memory_mb: u32::try_from(number("MemorySize")).unwrap_or(u32::MAX),
            environment: variables.filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect(),
            concurrency: 1000,
            event_retries: 0,
        }
    }
}
