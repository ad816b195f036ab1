//! Objects in Blob storage, or in a service that speaks its language.

use std::fmt;

use azure_storage_blob::{BlobClient, BlobContainerClient, BlobContainerClientOptions};
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::storage::remote::{Common, Prefix};

use crate::client::{Service, VERSION};
use crate::config::StorageConfig;

mod blocks;
mod errors;
mod head;
mod list;
mod reading;
mod service;
mod write;

/// A container, or what lies below a prefix in it.
///
/// Large objects travel in parts, several at once. What fails in passing is tried again a few times within seconds; when
/// Azure asks for a slower pace, fewer requests are under way at once until it no longer does. It belongs to the async
/// runtime on which it is used first.
pub struct BlobStorage {
    client: BlobContainerClient,
    names: Names,
    common: Common,
}

/// Where keys lie, and what to call it.
#[derive(Debug)]
struct Names {
    container: String,
    /// Of the container, without what is secret.
    url: String,
    prefix: Prefix,
}

impl Names {
    /// Where it is, for people.
    fn location(&self, key: &str) -> String {
        format!("{}/{}", self.url, self.prefix.object(key)).trim_end_matches('/').to_owned()
    }
}

/// Without the URLs of the SDK's client, which may hold a signature.
impl fmt::Debug for BlobStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobStorage").field("names", &self.names).finish_non_exhaustive()
    }
}

impl BlobStorage {
    /// The storage of this configuration. No request is sent.
    pub fn open(config: &StorageConfig) -> Result<Self> {
        let connection = config.access.connect(Service::Blob)?;
        let url = connection.url(&config.container)?;
        let names = Names {
            container: config.container.clone(),
            url: format!("{}/{}", connection.endpoint, config.container),
            prefix: config.prefix.clone().into(),
        };
        let options =
            BlobContainerClientOptions { client_options: connection.options, version: VERSION.to_owned() };
        let client = BlobContainerClient::new(url, connection.token, Some(options)).map_err(|error| {
            Error::new(ErrorKind::Config, format!("there can be no client for {}", names.url))
                .with_source(error)
        })?;
        Ok(Self { client, names, common: Common::new(config.prefix.clone(), config.parts) })
    }

    /// The SDK's client, for what `Storage` has no words for.
    pub fn client(&self) -> &BlobContainerClient {
        &self.client
    }

    fn blob(&self, object: &str) -> BlobClient {
        self.client.blob_client(object)
    }
}
