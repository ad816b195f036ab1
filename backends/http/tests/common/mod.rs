//! A runtime in this process, and how to reach it.

use std::path::Path;
use std::sync::Arc;

use rustwren_core::auth::Secrets;
use rustwren_core::config::Settings;
use rustwren_core::storage::Storage;
use rustwren_http::{ClientOptions, Protocol, Signed};
use rustwren_worker::config::{KEYS, ServeConfig};
use rustwren_worker::serve::Server;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A runtime, until it is told to end.
pub(crate) struct Runtime {
    pub(crate) url: String,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Runtime {
    /// Starts one on a fresh port, with these settings on top of those that a test needs.
    pub(crate) async fn start(
        storage: Arc<dyn Storage>,
        dir: &Path,
        more: &[(&'static str, &'static str)],
    ) -> Self {
        let pairs = [
            ("listen", "127.0.0.1:0"),
            ("secret", SECRET),
            ("serve_storage", "true"),
            ("drain", "1s"),
            ("queue_time", "1m"),
        ];
        let pairs = pairs.into_iter().chain(more.iter().copied());
        let settings = Settings::of_program(&KEYS, dir, pairs).unwrap();
        let config = ServeConfig::from_settings(&settings).unwrap();
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        let server = Server::bind(config, storage, dir).await.unwrap();
        let url = format!("{scheme}://{}", server.address().unwrap());
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run(async { stopped.await.unwrap() }));
        Self { url, stop, running }
    }

    /// How to reach it.
    pub(crate) fn client(&self, protocol: Protocol) -> ClientOptions {
        ClientOptions {
            url: self.url.clone(),
            access: Arc::new(Signed::new(&Secrets::parse(SECRET).unwrap()).unwrap()),
            calls: 0,
            tls_ca: None,
            protocol,
            connect_timeout: std::time::Duration::from_secs(10),
            connection_age: std::time::Duration::from_secs(30),
        }
    }

    /// Ends it as SIGTERM would.
    pub(crate) async fn end(self) {
        self.stop.send(()).unwrap();
        self.running.await.unwrap();
    }
}
