//! Tokens, as Entra gives them, over https. Azurite looks at what they say and not at who has signed them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use rustwren_azure::BlobStorage;
use rustwren_azure::client::Credentials;
use rustwren_azure::config::StorageConfig;
use rustwren_core::error::ErrorClass;
use rustwren_core::storage::{Key, Storage as _};
use rustwren_testkit::standins::{Azurite, Certificates};

use crate::place;

/// Gives this token, whatever it is asked for.
#[derive(Debug)]
struct Given(String);

#[async_trait::async_trait]
impl TokenCredential for Given {
    async fn get_token(
        &self,
        scopes: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        assert_eq!(scopes, ["https://storage.azure.com/.default"]);
        Ok(AccessToken::new(self.0.clone(), (now() + Duration::from_hours(1)).into()))
    }
}

#[expect(clippy::disallowed_methods, reason = "tokens are valid for a time of day")]
fn now() -> SystemTime {
    SystemTime::now()
}

/// A token that is valid from an hour ago until this moment.
fn token(until: SystemTime, audience: &str) -> Credentials {
    let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let begin = seconds(now() - Duration::from_hours(1));
    let claims = format!(
        r#"{{"aud":"{audience}","iss":"https://sts.windows.net/t/","iat":{begin},"nbf":{begin},"exp":{}}}"#,
        seconds(until)
    );
    let parts = [r#"{"alg":"HS256","typ":"JWT"}"#, &claims, "signature"];
    let token = parts.map(|part| BASE64_URL_SAFE_NO_PAD.encode(part)).join(".");
    Credentials::Token(Arc::new(Given(token)))
}

#[tokio::test]
async fn a_token_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    let Certificates { ca, leaf, key } = Certificates::new_in(folder.path());
    let azurite = Azurite::start_with(&[
        "--oauth",
        "basic",
        "--cert",
        leaf.to_str().unwrap(),
        "--key",
        key.to_str().unwrap(),
    ]);
    let later = now() + Duration::from_hours(1);
    let config = |credentials| {
        let mut config = place::config(&format!("https://{}", azurite.blob_address()), "jobs".to_owned());
        config.access.credentials = Some(credentials);
        config.access.tls_ca = Some(ca.clone());
        config
    };
    let open = |config: &StorageConfig| BlobStorage::open(config).unwrap();
    let good = config(token(later, "https://storage.azure.com"));
    let storage = open(&good);
    storage.client().create(None).await.unwrap();
    place::essentials(&storage).await;

    let k = Key::new("k").unwrap();
    for bad in [
        token(now() - Duration::from_mins(1), "https://storage.azure.com"),
        token(later, "https://vault.azure.net"),
    ] {
        let error = open(&config(bad)).put(&k, Bytes::new()).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Denied, "{error}");
        assert!(error.hint().unwrap_or_default().contains("token"), "{error}: {:?}", error.hint());
    }

    // Not by a certificate that nobody trusts.
    let mut config = good.clone();
    let others = tempfile::tempdir().unwrap();
    config.access.tls_ca = Some(Certificates::new_in(others.path()).ca);
    let error = open(&config).put(&k, Bytes::new()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Misconfigured, "{error}");
    assert!(error.hint().unwrap_or_default().contains("tls_ca"), "{error}: {:?}", error.hint());

    // Nor without TLS, where anybody could read it.
    let mut config = good;
    config.access.endpoint = Some(Azurite::endpoint_of(&format!("http://{}", azurite.blob_address())));
    let error = BlobStorage::open(&config).unwrap_err();
    assert!(error.to_string().contains("https"), "{error}");
}
