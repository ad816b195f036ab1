//! Where Azure is, and as whom it is called: what clients of its services are made from.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use rustwren_core::config::Settings;
use rustwren_core::error::Result;

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
        let endpoint = text("endpoint")?;
        if let Some(endpoint) = &endpoint
            && let Err(must) = check_endpoint(endpoint)
        {
            return Err(settings.error("endpoint", must));
        }
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

/// Whether an account may have this name.
fn is_account(name: &str) -> bool {
    (3..=24).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// Checks that it is `http(s)://host..` without credentials; the error says what it must be.
fn check_endpoint(endpoint: &str) -> std::result::Result<(), &'static str> {
    let rest = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
    let Some(rest) = rest else { return Err("must begin with https:// or http://") };
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.is_empty() || rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("must name a host");
    }
    if authority.contains('@') {
        return Err("must have no credentials in it: they come from the environment");
    }
    if rest.contains(['?', '#']) {
        return Err("must have no query: a shared access signature goes into AZURE_STORAGE_SAS_TOKEN");
    }
    Ok(())
}
