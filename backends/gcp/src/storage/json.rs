//! Requests to the JSON API that Google's crate has no calls for but by gRPC: metadata, listings, deletion, and resumable
//! uploads.
//!
//! The crate lists and deletes by gRPC, to a second endpoint that servers for tests do not have. Its resumable uploads go
//! to the address that the server names, and it tells the server a host without the port, so that with any endpoint but
//! Google's they go astray; it also has no way to send the rest of an upload at a pace. Google's JSON API does both in a
//! few lines.

use bytes::Bytes;
use google_cloud_auth::credentials::CacheableResource;
use http::{Extensions, HeaderMap};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, Method, RequestBuilder, Url};
use serde::de::DeserializeOwned;

use crate::client::{self, Renewing};
use crate::error::{Cause, Failure};

/// What stays as it is in a part of a path.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The status of a token that is not, or no longer, accepted.
pub(super) const UNAUTHORIZED: u16 = 401;

#[derive(Debug)]
pub(super) struct Json {
    http: Client,
    credentials: Renewing,
    /// `https://storage.googleapis.com`, without a path of the API's.
    endpoint: Url,
    /// `/storage/v1/b/bucket/o`
    objects: String,
}

/// An answer, whatever its status.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    /// The failure that it is.
    pub(super) fn failure(&self) -> Failure {
        Failure::of_answer(self.status, &self.headers, &self.body)
    }

    /// What it says, where it is no failure.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        if !(200..300).contains(&self.status) {
            return Err(self.failure());
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            Failure::ours(Cause::Broken, format!("the answer is not what it should be: {error}"))
        })
    }
}

impl Json {
    pub(super) fn new(endpoint: &str, bucket: &str, credentials: Renewing) -> Result<Self, String> {
        let endpoint = Url::parse(endpoint).map_err(|error| format!("`endpoint` {endpoint}: {error}"))?;
        let http = client::http().map_err(|error| rustwren_core::error::chain(&error))?;
        let objects = format!("/storage/v1/b/{}/o", utf8_percent_encode(bucket, KEPT));
        Ok(Self { http, credentials, endpoint, objects })
    }

    /// The address of all objects, with this query.
    pub(super) fn objects(&self, query: &[(&str, &str)]) -> Url {
        self.address(&self.objects, query)
    }

    /// The address of one object, with this query.
    pub(super) fn object(&self, object: &str, query: &[(&str, &str)]) -> Url {
        self.address(&format!("{}/{}", self.objects, utf8_percent_encode(object, KEPT)), query)
    }

    /// The address that objects are uploaded to, with this query.
    pub(super) fn uploads(&self, query: &[(&str, &str)]) -> Url {
        self.address(&format!("/upload{}", self.objects), query)
    }

    /// An address that the server has named, at the endpoint that is configured: credentials go nowhere else.
    pub(super) fn named(&self, location: &str) -> Option<Url> {
        let named = self.endpoint.join(location).ok()?;
        let mut address = self.endpoint.clone();
        // A path of the endpoint's own is in it already, unless something on the way takes it off.
        let own = address.path().trim_end_matches('/').to_owned();
        let is_below = named.path().strip_prefix(&own).is_some_and(|rest| rest.starts_with('/'));
        address.set_path(&if is_below { named.path().to_owned() } else { own + named.path() });
        address.set_query(named.query());
        Some(address)
    }

    fn address(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut address = self.endpoint.clone();
        address.set_path(&format!("{}{path}", address.path().trim_end_matches('/')));
        if !query.is_empty() {
            address.query_pairs_mut().extend_pairs(query);
        }
        address
    }

    pub(super) fn request(&self, method: Method, address: Url) -> RequestBuilder {
        self.http.request(method, address)
    }

    /// Sends a request with the credentials, and waits for all of the answer. Where the token is refused, it is sent once
    /// more with another.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Answer, Failure> {
        let number = self.credentials.number();
        let again = request.try_clone();
        let answer = self.send_once(request).await?;
        match again {
            Some(again) if answer.status == UNAUTHORIZED && self.credentials.refused(number) => {
                self.send_once(again).await
            }
            _ => Ok(answer),
        }
    }

    async fn send_once(&self, request: RequestBuilder) -> Result<Answer, Failure> {
        let credentials = match self.credentials.headers(Extensions::new()).await {
            Ok(CacheableResource::New { data, .. }) => data,
            // Nothing was asked about before.
            Ok(CacheableResource::NotModified) => HeaderMap::new(),
            Err(error) => {
                let cause = Cause::NoCredentials { is_passing: error.is_transient() };
                return Err(Failure::ours(cause, rustwren_core::error::chain(&error)));
            }
        };
        let answer = request.headers(credentials).send().await.map_err(Failure::of_http)?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes().await.map_err(Failure::of_http)?;
        Ok(Answer { status, headers, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Access;

    fn json(endpoint: &str) -> Json {
        let access = Access { anonymous: true, ..Access::default() };
        Json::new(endpoint, "b", access.renewing().unwrap()).unwrap()
    }

    #[test]
    fn addresses() {
        let root = json("http://h:1");
        assert_eq!(root.objects(&[]).as_str(), "http://h:1/storage/v1/b/b/o");
        let object = root.object("p/a b%2F?#\u{e9}/...", &[("fields", "name,size")]);
        assert_eq!(
            object.as_str(),
            "http://h:1/storage/v1/b/b/o/p%2Fa%20b%252F%3F%23%C3%A9%2F...?fields=name%2Csize"
        );
        assert_eq!(json("http://h/x/").uploads(&[]).as_str(), "http://h/x/upload/storage/v1/b/b/o");
    }

    #[test]
    fn what_the_server_names_stays_at_the_endpoint() {
        let json = json("http://h:1");
        for location in
            ["http://h/upload?upload_id=1", "https://elsewhere/upload?upload_id=1", "/upload?upload_id=1"]
        {
            assert_eq!(json.named(location).unwrap().as_str(), "http://h:1/upload?upload_id=1");
        }
        let below = self::json("http://h:1/gcs/");
        for location in ["http://h:1/gcs/upload?upload_id=1", "http://inside/upload?upload_id=1"] {
            assert_eq!(below.named(location).unwrap().as_str(), "http://h:1/gcs/upload?upload_id=1");
        }
        assert_eq!(json.named("http://[").map(|url| url.to_string()), None);
    }
}
