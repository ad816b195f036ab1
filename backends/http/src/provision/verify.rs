//! Whether a fleet answers.

use std::time::Instant;

use bytes::Bytes;
use hyper::StatusCode;
use rustwren_core::auth::Secrets;
use rustwren_core::config::Settings;
use rustwren_core::error::{BackendError, Error, ErrorClass, Result};
use rustwren_core::protocol::calls::{HEALTH, ObjectCall};
use rustwren_core::provision::Leg;

use crate::client::Client;
use crate::config;

/// Asks the fleet, as a client does.
pub(super) struct Probe {
    settings: Settings,
    url: String,
}

impl Probe {
    pub(super) fn new(settings: &Settings, url: String) -> Self {
        Self { settings: settings.clone(), url }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Everything that a job depends on, in order: the secret, that somebody answers, that it takes our signature.
    pub(super) async fn legs(&self) -> Vec<Leg> {
        let mut legs = Vec::new();
        let started = Instant::now();
        let client = self.secret();
        let (client, outcome) = match client {
            Ok((client, said)) => (Some(client), Ok(said)),
            Err(error) => (None, Err(error)),
        };
        legs.push(Leg::new("secret", started.elapsed(), outcome));
        let Some(client) = client else { return legs };

        let started = Instant::now();
        let answers = self.answers(&client).await;
        let goes_on = answers.is_ok();
        legs.push(Leg::new("fleet", started.elapsed(), answers.map_err(Error::from)));
        if goes_on {
            let started = Instant::now();
            let takes = self.takes_signature(&client).await;
            legs.push(Leg::new("signature", started.elapsed(), takes.map_err(Error::from)));
        }
        legs
    }

    fn secret(&self) -> Result<(Client, String)> {
        let secrets = Secrets::from_settings(&self.settings)
            .map_err(|error| error.and_hint("`rustwren setup` makes one where `secret_file` says"))?;
        let client = Client::new(&config::client(&self.settings)?)?;
        let said = match secrets.iter().count() {
            1 => "one, with which calls are signed".to_owned(),
            count => format!("{count}, the first of which calls are signed with"),
        };
        Ok((client, said))
    }

    async fn answers(&self, client: &Client) -> Result<String, BackendError> {
        let response = client.call("GET", HEALTH, Bytes::new()).await?;
        match response.status() {
            StatusCode::OK => Ok(format!("{} takes invocations", self.url)),
            StatusCode::SERVICE_UNAVAILABLE => Err(BackendError::new(
                ErrorClass::Transient,
                format!("{} takes no invocations now", self.url),
            )
            .with_hint("no runtime is up behind it, or the one that answered is about to end")),
            _ => Err(client.refused(response).await),
        }
    }

    async fn takes_signature(&self, client: &Client) -> Result<String, BackendError> {
        // Changes nothing, and is answered with 404 by runtimes that serve no storage, to those with the secret only.
        let list = ObjectCall::List { prefix: "doctor/".to_owned(), after: String::new() };
        let (method, target) = list.target();
        let response = client.call(method, &target, Bytes::new()).await?;
        match response.status() {
            StatusCode::OK => Ok("accepted; the storage is served as well".to_owned()),
            StatusCode::NOT_FOUND => Ok("accepted".to_owned()),
            _ => Err(client.refused(response).await),
        }
    }
}
