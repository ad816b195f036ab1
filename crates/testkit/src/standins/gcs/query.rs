//! What a URL names: the parts of its path and its query, decoded.

use hyper::Uri;
use percent_encoding::percent_decode_str;

#[derive(Debug)]
pub(super) struct Target {
    /// The parts between the slashes. An object's name is one of them, its own slashes encoded.
    pub(super) path: Vec<String>,
    /// As it came, without the slash before it.
    pub(super) encoded: String,
    pub(super) query: Vec<(String, String)>,
}

impl Target {
    pub(super) fn new(uri: &Uri) -> Self {
        let encoded = uri.path().trim_start_matches('/').to_owned();
        let path = encoded.split('/').map(decoded).collect();
        let query = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let query = query.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(&name.replace('+', " ")), decoded(&value.replace('+', " ")))
        });
        Self { path, encoded, query: query.collect() }
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
