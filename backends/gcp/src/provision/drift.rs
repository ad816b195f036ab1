//! Whether what runs at Google is what the configuration says, for `rustwren doctor`.

use google_cloud_run_v2::model::Service;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::{Change, Step};

use super::provisioner::GcpProvisioner;
use super::{fields, function, service};
use crate::config::functions::Route;

impl GcpProvisioner {
    /// An error that names what differs. Which runtime it is does not count: whoever looks need not have it at hand.
    pub(super) async fn check_as_configured(&self, found: &Service) -> Result<()> {
        let (spec, step) = (&self.spec, Step::new("service", self.spec.service.clone(), Change::None));
        let step = match spec.compute.route {
            Route::Run => {
                let object = service::source(found).map_or("", |source| &source.object);
                fields::compare(step, service::FIELDS, found, &service::wanted(spec, object))
            }
            Route::Functions => {
                let Some(found) = function::find(&self.google, spec).await? else {
                    let message = format!("{} is a service of Cloud Run, and no function", spec.service);
                    return Err(Error::new(ErrorKind::Config, message)
                        .with_hint("set `route = \"run\"` in [compute], or run `rustwren setup`"));
                };
                let wanted = function::wanted(spec, function::hash(&found), None);
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
