//! Signing requests with a key of the storage account. The SDK knows tokens and signatures in URLs alone.
//!
//! The signature is described at
//! <https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::http::headers::Headers;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Request};
use azure_core::time::{OffsetDateTime, to_rfc7231};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;

/// The headers that are signed by their place alone, in this order. `Date` is always empty: `x-ms-date` stands for it.
const STANDARD: [&str; 11] = [
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
];

/// Signs each attempt at a request, last of all that changes it.
pub(super) struct SharedKey {
    account: String,
    key: hmac::Key,
}

/// Without the key.
impl fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedKey").field("account", &self.account).finish_non_exhaustive()
    }
}

impl SharedKey {
    /// None where the key is not base64.
    pub(super) fn new(account: String, key: &str) -> Option<Self> {
        let key = BASE64_STANDARD.decode(key.trim()).ok().filter(|key| !key.is_empty())?;
        Some(Self { account, key: hmac::Key::new(hmac::HMAC_SHA256, &key) })
    }

    fn sign(&self, request: &mut Request, now: OffsetDateTime) {
        request.insert_header("x-ms-date", to_rfc7231(&now));
        let text = self.string_to_sign(request);
        let signature = BASE64_STANDARD.encode(hmac::sign(&self.key, text.as_bytes()));
        request.insert_header("authorization", format!("SharedKey {}:{signature}", self.account));
    }

    fn string_to_sign(&self, request: &Request) -> String {
        let mut text = request.method().as_str().to_owned();
        let length = request.body().len().filter(|length| *length > 0).map(|length| length.to_string());
        for name in STANDARD {
            text.push('\n');
            text.push_str(match name {
                "content-length" => length.as_deref().unwrap_or_default(),
                name => header(request.headers(), name),
            });
        }
        text.push('\n');
        let mut named: Vec<(&str, &str)> = request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .filter(|(name, _)| name.starts_with("x-ms-"))
            .collect();
        named.sort_unstable();
        for (name, value) in named {
            text.extend([name, ":", value.trim(), "\n"]);
        }
        text.extend(["/", &self.account, request.url().path()]);
        let mut query: Vec<(String, String)> = request
            .url()
            .query_pairs()
            .map(|(name, value)| (name.to_lowercase(), value.into_owned()))
            .collect();
        query.sort_unstable();
        let mut last = None;
        for (name, value) in &query {
            if last == Some(name) {
                text.extend([",", value]);
            } else {
                text.extend(["\n", name, ":", value]);
            }
            last = Some(name);
        }
        text
    }
}

#[expect(elided_lifetimes_in_paths, reason = "the trait has it so, and the macro tells the two apart")]
#[async_trait]
impl Policy for SharedKey {
    #[expect(clippy::disallowed_methods, reason = "requests are signed with the time of day")]
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        self.sign(request, std::time::SystemTime::now().into());
        let Some((first, rest)) = next.split_first() else {
            let message = "there is nothing to send the request with";
            return Err(azure_core::Error::with_message(azure_core::error::ErrorKind::Other, message));
        };
        first.send(ctx, request, rest).await
    }
}

fn header<'a>(headers: &'a Headers, name: &'static str) -> &'a str {
    headers.get_optional_str(&name.into()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use azure_core::http::Method;
    use bytes::Bytes;

    use super::*;

    fn key() -> SharedKey {
        SharedKey::new("myaccount".to_owned(), "c2VjcmV0").unwrap()
    }

    #[test]
    fn what_is_signed_is_as_azure_documents_it() {
        // The example of the documentation, which lists a container.
        let url =
            "https://myaccount.blob.core.windows.net/mycontainer?restype=container&comp=metadata&timeout=20";
        let mut request = Request::new(url.parse().unwrap(), Method::Get);
        request.insert_header("x-ms-version", "2015-02-21");
        request.insert_header("x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT");
        assert_eq!(
            key().string_to_sign(&request),
            "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n\
             /myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20"
        );
    }

    #[test]
    fn bodies_conditions_and_names_are_signed_as_they_are_sent() {
        let url = "http://127.0.0.1:1/myaccount/c/a%2Fb%20c?blockid=AQ%3D%3D&comp=block";
        let mut request = Request::new(url.parse().unwrap(), Method::Put);
        request.set_body(Bytes::from_static(b"12345"));
        request.insert_header("content-type", "application/octet-stream");
        request.insert_header("if-none-match", "*");
        request.insert_header("range", "bytes=0-1");
        request.insert_header("accept", "application/xml");
        assert_eq!(
            key().string_to_sign(&request),
            "PUT\n\n\n5\n\napplication/octet-stream\n\n\n\n*\n\nbytes=0-1\n\
             /myaccount/myaccount/c/a%2Fb%20c\nblockid:AQ==\ncomp:block"
        );
    }

    #[test]
    fn keys_are_checked_and_not_shown() {
        assert!(SharedKey::new("a".to_owned(), "not base64!").is_none());
        assert!(SharedKey::new("a".to_owned(), "").is_none());
        assert!(!format!("{:?}", key()).contains("secret"));
    }
}
