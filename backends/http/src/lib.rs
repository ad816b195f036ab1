//! HTTP workers.

pub mod provision;

pub use provision::HttpProvisionerFactory;

use rustwren_core::config::{BackendKeys, KeyDoc, Kind, Section};
pub const COMPUTE: BackendKeys = BackendKeys {
    name: "http",
    section: Section::Compute,
    keys: &[
        KeyDoc::required("url", Kind::Text, "http://x", "Where."),
        KeyDoc::optional("workers", Kind::Integer { min: 1, max: 100_000 }, "x", "4", "S."),
        KeyDoc::optional("secret", Kind::Text, "x", "", "S.").secret(),
        KeyDoc::optional("secret_file", Kind::Path, "x", "s", "S."),
    ],
};

pub const STORAGE: BackendKeys = BackendKeys { name: "http", section: Section::Storage, keys: COMPUTE.keys };
