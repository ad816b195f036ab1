//! The one place where clients of Google Cloud are configured: endpoint, credentials, TLS.
//!
//! A client belongs to the async runtime on which it was made: its connections and the renewal of its tokens are served
//! there.

use std::fmt;
use std::time::Duration;

use google_cloud_auth::credentials::{
    Builder, CacheableResource, Credentials, CredentialsProvider, EntityTag, anonymous, mds,
};
use google_cloud_auth::errors::CredentialsError;
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap, HeaderValue};
use rustls::crypto::{CryptoProvider, ring};
use rustwren_core::config::Settings;
use rustwren_core::error::Result;

mod renewing;

pub(crate) use renewing::{Number, Renewing};

/// How long a connection may take to be made. A provider that is there answers within a second.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where Cloud Storage is.
const STORAGE: &str = "https://storage.googleapis.com";

/// Where Google Cloud is, and as whom it is called. Credentials are found as every tool of Google's does
/// (`GOOGLE_APPLICATION_CREDENTIALS`, what `gcloud auth application-default login` has left, the machine that this runs
/// on), unless something else is said here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// The address of another service that speaks Google's language, without credentials in it.
    pub endpoint: Option<String>,
    /// Whether requests go without credentials.
    pub anonymous: bool,
    /// An access token that goes before all other credentials. Only programs set it, never a configuration: secrets stay
    /// out of it.
    pub token: Option<Token>,
    /// The address of a metadata server that gives access tokens, in place of the credentials that are found otherwise.
    pub metadata: Option<String>,
}

/// An access token of a program's own.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

/// Without the secret.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Access {
    /// Reads `endpoint` and `anonymous`, and refuses an endpoint that is no address or has credentials in it.
    pub fn from_settings(settings: &Settings) -> Result<Self> {
        let endpoint = settings.get_endpoint("endpoint")?;
        let is_plain = endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        let anonymous = settings.get_bool("anonymous")?.unwrap_or(is_plain);
        Ok(Self { endpoint, anonymous, ..Self::default() })
    }

    /// Where Cloud Storage is called, without a `/` at the end.
    pub fn storage_endpoint(&self) -> &str {
        self.endpoint.as_deref().unwrap_or(STORAGE).trim_end_matches('/')
    }

    /// What requests are authorised by. Nothing is fetched yet.
    pub fn credentials(&self) -> std::result::Result<Credentials, String> {
        self.renewing().map(Credentials::from)
    }

    /// The same, and told when a token was refused.
    pub(crate) fn renewing(&self) -> std::result::Result<Renewing, String> {
        Renewing::new(self.clone())
    }

    /// What there is now.
    fn found(&self) -> std::result::Result<Credentials, String> {
        use_ring();
        let failed = |error| rustwren_core::error::chain(&error);
        match &self.token {
            Some(token) => {
                let mut value = HeaderValue::from_str(&format!("Bearer {}", token.0))
                    .map_err(|_| "the access token has characters that no header can have".to_owned())?;
                value.set_sensitive(true);
                Ok(Credentials::from(Fixed { value, tag: EntityTag::new() }))
            }
            None if self.anonymous => Ok(anonymous::Builder::new().build()),
            None => match &self.metadata {
                Some(address) => {
                    let address = address.trim_end_matches('/');
                    mds::Builder::default().with_endpoint(address).build().map_err(failed)
                }
                None => Builder::default().build().map_err(failed),
            },
        }
    }
}

/// A token that is what it is until it is no longer accepted.
#[derive(Debug)]
struct Fixed {
    value: HeaderValue,
    tag: EntityTag,
}

impl CredentialsProvider for Fixed {
    async fn headers(
        &self,
        extensions: Extensions,
    ) -> std::result::Result<CacheableResource<HeaderMap>, CredentialsError> {
        if extensions.get::<EntityTag>() == Some(&self.tag) {
            return Ok(CacheableResource::NotModified);
        }
        let data = HeaderMap::from_iter([(AUTHORIZATION, self.value.clone())]);
        Ok(CacheableResource::New { entity_tag: self.tag.clone(), data })
    }

    async fn universe_domain(&self) -> Option<String> {
        None
    }
}

/// TLS by rustls with ring, as in the rest of the workspace. Google's crates take what the process has chosen, and panic
/// where it has chosen nothing; a program that has chosen something else keeps it.
pub fn use_ring() {
    if CryptoProvider::get_default().is_none() && ring::default_provider().install_default().is_err() {
        tracing::debug!("another thread was first to choose the implementation of TLS");
    }
}

/// HTTP for what Google's crates have no calls for. A time limit is the caller's to set.
pub(crate) fn http() -> reqwest::Result<reqwest::Client> {
    use_ring();
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        // Whoever is sent elsewhere must not take the token along.
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("rustwren/", env!("CARGO_PKG_VERSION")))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tokens_are_sent_and_not_shown() {
        let token = Some(Token("hunter2".to_owned()));
        let access = Access { token, ..Access::default() };
        let credentials = access.credentials().unwrap();
        let CacheableResource::New { data, .. } = credentials.headers(Extensions::new()).await.unwrap()
        else {
            panic!("nothing was known before")
        };
        assert_eq!(data[AUTHORIZATION], "Bearer hunter2");
        assert!(!format!("{access:?} {credentials:?} {data:?}").contains("hunter2"));
        let access = Access { token: Some(Token("a\nb".to_owned())), ..Access::default() };
        assert!(access.credentials().unwrap_err().contains("no header"));
    }
}
