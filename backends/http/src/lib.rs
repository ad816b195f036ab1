//! HTTP workers.

pub mod provision;

use rustwren_core::config::{BackendKeys, KeyDoc, Kind, Section};
pub const COMPUTE: BackendKeys = BackendKeys {
    name: "http",
    section: Section::Compute,
    keys: &[
        KeyDoc::required("url", Kind::Text, "http://x", "Where."),
        KeyDoc::optional("secret", Kind::Text, "x", "", "S.").secret(),
        KeyDoc::optional("secret_file", Kind::Path, "x", "s", "S."),
    ],
};
