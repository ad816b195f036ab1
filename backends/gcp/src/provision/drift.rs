//! Whether what runs at Google is what the configuration says, for `rustwren doctor`.

use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::{Change, Step};
use serde_json::Value;

use super::provisioner::GcpProvisioner;
use super::{fields, function, service};
use crate::config::functions::Route;
use crate::rest::{Api, Request};

impl GcpProvisioner {
    /// An error that names what differs. Which runtime it is does not count: whoever looks need not have it at hand.
    pub(super) async fn check_as_configured(&self, found: &Value) -> Result<()> {
        let (spec, step) = (&self.spec, Step::new("service", self.spec.service.clone(), Change::None));
        let step = match spec.compute.route {
            Route::Run => {
                let object =
                    &found["template"]["containers"][0]["sourceCode"]["cloudStorageSource"]["object"];
                let wanted = service::wanted(spec, object.as_str().unwrap_or_default());
                fields::compare(step, service::FIELDS, found, &wanted)
            }
            Route::Functions => {
                let attempt = format!("looking for the function {}", spec.service);
                let path = format!("/v2/{}", function::name(spec));
                let request = Request::get(Api::Functions, path, attempt);
                let Some(found) = self.google.find(request).await? else {
                    let message = format!("{} is a service of Cloud Run, and no function", spec.service);
                    return Err(Error::new(ErrorKind::Config, message)
                        .with_hint("set `route = \"run\"` in [compute], or run `rustwren setup`"));
                };
                let hash = found["labels"][function::SOURCE_LABEL].as_str().unwrap_or_default();
                let wanted = function::wanted(spec, hash, &Value::Null);
                fields::compare(step, function::FIELDS, &found, &wanted)
            }
        };
        if step.change == Change::None {
            return Ok(());
        }
        let what: Vec<&str> = step.differences.iter().map(|difference| difference.what.as_str()).collect();
        let message = format!("the service {} is not as it is configured: {}", spec.service, what.join(", "));
        Err(Error::new(ErrorKind::Config, message).with_hint("run `rustwren setup`"))
    }
}
