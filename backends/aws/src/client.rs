//! The one place where clients of AWS are configured: region, credentials, endpoint, TLS, time-outs, retries.
//!
//! A client belongs to the async runtime on which its configuration was loaded: its connections are served there.

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use rustwren_core::config::Settings;
use rustwren_core::error::Result;

/// How long a connection may take to be made. A provider that is there answers within a second.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The region in whose name requests to an endpoint of one's own are signed. Such services take any; this is the
/// one that they expect.
const REGION_OF_ENDPOINTS: &str = "us-east-1";

/// Where AWS is, and as whom it is called. What is not said here, the SDK finds as every tool of AWS does: in the
/// environment (`AWS_REGION`, `AWS_PROFILE`, ..), in `~/.aws`, from the machine or container it runs on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// The region; a default of the SDK's where there is none.
    pub region: Option<String>,
    /// The profile in `~/.aws/config` and `~/.aws/credentials`.
    pub profile: Option<String>,
    /// The address of a service that speaks AWS's language, without credentials in it.
    pub endpoint: Option<String>,
    /// Credentials that go before all others. Only programs set them, never a configuration: secrets stay out of it.
    pub credentials: Option<Keys>,
}

/// A key pair of a program's own, for servers that are not AWS.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// The public half.
    pub id: String,
    /// The secret half.
    pub secret: String,
}

/// Without the secret.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Who tries again what has failed in passing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retries {
    /// The caller: it knows what an attempt may have done, and at which pace to go on.
    Caller,
    /// The SDK, three times within seconds: right for what is called rarely.
    Sdk,
}

impl Access {
    /// Reads `region`, `profile` and `endpoint`, and refuses an endpoint that is no address or has credentials in it.
    pub fn from_settings(settings: &Settings) -> Result<Self> {
        let text = |key| settings.get_str(key).map(|text| text.map(str::to_owned));
        let endpoint = settings.get_endpoint("endpoint")?;
        Ok(Self { region: text("region")?, profile: text("profile")?, endpoint, credentials: None })
    }

    /// The configuration from which a client of any service is made: `Client::new(&config)`. No request is sent but
    /// where the region is to be learnt from the machine itself.
    ///
    /// Its region is none where nobody says one; [`no_region`] is the error to give then.
    pub async fn load(&self, retries: Retries) -> SdkConfig {
        let retry = match retries {
            Retries::Caller => RetryConfig::disabled(),
            Retries::Sdk => RetryConfig::standard(),
        };
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http_client())
            .retry_config(retry)
            .timeout_config(timeouts);
        // Shown in the provider's logs beside the version of the SDK.
        if let Ok(name) = AppName::new(concat!("rustwren-", env!("CARGO_PKG_VERSION"))) {
            loader = loader.app_name(name);
        }
        if let Some(profile) = &self.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(endpoint) = &self.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some(Keys { id, secret }) = &self.credentials {
            let keys = aws_credential_types::Credentials::new(id, secret, None, None, "program");
            loader = loader.credentials_provider(SharedCredentialsProvider::new(keys));
        }
        match (&self.region, &self.endpoint) {
            (Some(region), _) => loader.region(Region::new(region.clone())).load().await,
            (None, Some(_)) => loader.region(Region::new(REGION_OF_ENDPOINTS)).load().await,
            (None, None) => loader.load().await,
        }
    }
}

/// What is wrong where neither the settings nor the environment nor `~/.aws` name a region.
pub fn no_region(settings: &Settings) -> rustwren_core::error::Error {
    settings
        .error("region", "is not set, and neither AWS_REGION nor the profile names one")
        .with_hint("set `region`, AWS_REGION, or `region` of the profile in ~/.aws/config")
}

/// HTTP with TLS by rustls and ring, as in the rest of the workspace. Certificates are read once per process, on the
/// first use of TLS.
fn http_client() -> SharedHttpClient {
    static CLIENT: LazyLock<Provider> = LazyLock::new(|| Provider::Rustls(CryptoMode::Ring));
    aws_smithy_http_client::Builder::new().tls_provider(CLIENT.clone()).build_https()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_endpoint_needs_no_region_and_the_program_decides() {
        let keys = Keys { id: "id".to_owned(), secret: "hunter2".to_owned() };
        let access = Access {
            endpoint: Some("http://127.0.0.1:1".to_owned()),
            credentials: Some(keys),
            ..Access::default()
        };
        assert!(!format!("{access:?}").contains("hunter2"));
        let config = access.load(Retries::Caller).await;
        assert_eq!(config.region().map(AsRef::as_ref), Some("us-east-1"));
        assert_eq!(config.endpoint_url(), Some("http://127.0.0.1:1"));
        assert_eq!(config.retry_config().map(RetryConfig::max_attempts), Some(1));
        let named = Access { region: Some("eu-west-1".to_owned()), ..access };
        assert_eq!(named.load(Retries::Sdk).await.region().map(AsRef::as_ref), Some("eu-west-1"));
    }
}
