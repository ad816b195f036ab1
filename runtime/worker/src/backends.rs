//! The storages that are compiled in.

use rustwren_core::config::Registry;
use rustwren_core::storage::MemoryStorageFactory;

use crate::config::KEYS;

/// All of them, and the keys of the runtime itself.
pub fn compiled_in() -> Registry {
    Registry::new()
        .storage(MemoryStorageFactory)
        .storage(rustwren_directory::DirectoryStorageFactory)
        .storage(rustwren_http::HttpStorageFactory)
        .declare(KEYS)
}
