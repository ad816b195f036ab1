//! What can be configured of directory storage.

use std::path::PathBuf;

use rustwren_core::config::{BackendKeys, KeyDoc, Kind, Section, Settings};
use rustwren_core::error::Result;

/// `[storage]` with `backend = "local"`.
pub const STORAGE: BackendKeys = BackendKeys {
    name: "local",
    section: Section::Storage,
    keys: &[KeyDoc::optional(
        "root",
        Kind::Path,
        "`storage` in RustWren's cache folder",
        "~/.cache/rustwren/storage",
        "The folder that holds the objects. It is created when needed.",
    )],
};

/// The folder of `[storage]`: `root`, else `storage` in RustWren's cache folder.
pub fn storage_root(settings: &Settings) -> Result<PathBuf> {
    match settings.get_path("root")? {
        Some(root) => Ok(root),
        None => Ok(settings.cache_dir()?.join("storage")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root() {
        let set = Settings::of_program(&STORAGE, "/cache", [("root", "/data")]).unwrap();
        assert_eq!(storage_root(&set).unwrap(), PathBuf::from("/data"));
        let unset = Settings::of_program::<&str>(&STORAGE, "/cache", []).unwrap();
        assert_eq!(storage_root(&unset).unwrap(), PathBuf::from("/cache/storage"));
    }
}
