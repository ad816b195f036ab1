//! Whether a fleet answers.

use std::time::Instant;

use rustwren_core::config::Settings;
use rustwren_core::provision::Leg;

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

    /// Everything that a job depends on, in order.
    pub(super) async fn legs(&self) -> Vec<Leg> {
        let started = Instant::now();
        let secrets = self.settings.get_path("secret_file").map(|_| "x".to_owned());
        vec![Leg::new("secret", started.elapsed(), secrets)]
    }
}
