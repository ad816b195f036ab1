//! Where Azure is, and as whom it is called: what clients of its services are made from.
//!
//! A client belongs to the async runtime on which it is used first: its connections are served there.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use azure_core::http::{ClientOptions, RetryOptions, Transport as SdkTransport, Url};
use rustwren_core::config::Settings;
use rustwren_core::env::Environment;
use rustwren_core::error::{Error, ErrorKind, Result};

mod account;
mod entra;
mod shared_key;
pub(crate) mod transport;

pub(crate) use account::Service;
use account::{Who, find, sas_query};
use shared_key::SharedKey;
use transport::Transport;

/// The version of the services' protocol that is spoken. The SDK's is newer than what Azurite knows, and nothing here
/// needs more.
pub(crate) const VERSION: &str = "2025-11-05";

/// How to get credentials.
pub(crate) const LOG_IN: &str = "`az login`; or set AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_KEY or \
     AZURE_STORAGE_SAS_TOKEN; or AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET of a service principal";

/// Where credentials come from, where the program brings none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Login {
    /// What the environment has for storage accounts, else as `Entra`.
    #[default]
    Auto,
    /// Entra: a service principal or a workload in the environment, the machine's identity, else the developer's.
    Entra,
    /// Whom `az` or `azd` are logged in as.
    Cli,
    /// The identity of the machine, container or function that this runs on.
    Managed,
}

/// A storage account, and as whom it is called. What is not said here is found in the environment.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// The storage account.
    pub account: Option<String>,
    /// Where credentials come from.
    pub login: Login,
    /// The address of the service, without a slash at its end and without credentials in it.
    pub endpoint: Option<String>,
    /// A file with certificates that are trusted instead of the machine's.
    pub tls_ca: Option<PathBuf>,
    /// Credentials that go before all others. Only programs set them, never a configuration: secrets stay out of it.
    pub credentials: Option<Credentials>,
}

/// Who calls.
#[derive(Clone)]
pub enum Credentials {
    /// Somebody who has a key of the account, in base64. It signs each request.
    Key(String),
    /// Somebody who has a shared access signature: the query of a URL.
    Sas(String),
    /// Somebody whom Entra knows.
    Token(Arc<dyn TokenCredential>),
}

/// Without the secrets.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "Key(..)",
            Self::Sas(_) => "Sas(..)",
            Self::Token(_) => "Token(..)",
        })
    }
}

impl Access {
    /// Reads `account`, `login`, `endpoint` and `tls_ca`, and refuses an endpoint that is no address or has credentials
    /// in it.
    pub fn from_settings(settings: &Settings) -> Result<Self> {
        let text = |key| settings.get_str(key).map(|text| text.map(str::to_owned));
        let account = text("account")?;
        if account.as_deref().is_some_and(|account| !is_account(account)) {
            return Err(
                settings.error("account", "must have 3 to 24 characters, lower-case letters and digits")
            );
        }
        let endpoint = settings.get_endpoint("endpoint").map_err(|error| {
            error.with_hint("credentials come from the environment: a signature from AZURE_STORAGE_SAS_TOKEN")
        })?;
        let login = match settings.get_str("login")? {
            Some("entra") => Login::Entra,
            Some("cli") => Login::Cli,
            Some("managed") => Login::Managed,
            _ => Login::Auto,
        };
        Ok(Self {
            account,
            login,
            endpoint: endpoint.map(|endpoint| endpoint.trim_end_matches('/').to_owned()),
            tls_ca: settings.get_path("tls_ca")?,
            credentials: None,
        })
    }
}

/// A service of a storage account, as the SDK's clients of it are made.
pub(crate) struct Connection {
    /// Without a slash at its end, and without what is secret.
    pub(crate) endpoint: String,
    /// The query that every URL has: a shared access signature.
    query: Option<String>,
    pub(crate) token: Option<Arc<dyn TokenCredential>>,
    /// Without retries: callers know what an attempt may have done, and at which pace to go on.
    pub(crate) options: ClientOptions,
}

impl Connection {
    /// The URL of a container or queue.
    pub(crate) fn url(&self, name: &str) -> Result<Url> {
        let mut url = Url::parse(&format!("{}/{name}", self.endpoint)).map_err(|error| {
            let message = format!("{} is no address of a storage account", self.endpoint);
            Error::new(ErrorKind::Config, message).with_source(error)
        })?;
        url.set_query(self.query.as_deref());
        Ok(url)
    }
}

impl Access {
    /// The service as the settings and the environment have it. No request is sent.
    pub(crate) fn connect(&self, service: Service) -> Result<Connection> {
        self.connect_in(service, &Environment::of_process())
    }

    /// The storage account, as the settings and the environment have it.
    #[cfg(feature = "provision")]
    pub(crate) fn account_name(&self, environment: &Environment) -> Result<String> {
        Ok(find(self, Service::Blob, environment)?.account)
    }

    /// Who logs in at Entra.
    pub(crate) fn token_credential(&self) -> Result<Arc<dyn TokenCredential>> {
        match &self.credentials {
            Some(Credentials::Token(given)) => Ok(Arc::clone(given)),
            _ => entra::credential(self.login, &Environment::of_process()),
        }
    }

    fn connect_in(&self, service: Service, environment: &Environment) -> Result<Connection> {
        let place = find(self, service, environment)?;
        let transport = Transport::new(self.tls_ca.as_deref(), place.endpoint.starts_with("https://"))?;
        let mut options = ClientOptions {
            retry: RetryOptions::none(),
            transport: Some(SdkTransport::new(transport)),
            ..ClientOptions::default()
        };
        let (mut query, mut token) = (None, None);
        match place.who {
            Who::Entra => token = Some(entra::credential(self.login, environment)?),
            Who::Given(Credentials::Token(given)) => token = Some(given),
            Who::Given(Credentials::Sas(sas)) => query = Some(sas_query(&sas).to_owned()),
            Who::Given(Credentials::Key(key)) => {
                let signer = SharedKey::new(place.account, &key).ok_or_else(|| {
                    Error::new(ErrorKind::Config, "the storage account's key is not base64")
                        .with_hint("copy it anew: `az storage account keys list --account-name ACCOUNT`")
                })?;
                options.per_try_policies.push(Arc::new(signer));
            }
        }
        Ok(Connection { endpoint: place.endpoint, query, token, options })
    }
}

/// Whether an account may have this name.
fn is_account(name: &str) -> bool {
    (3..=24).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}
