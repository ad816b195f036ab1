//! The backends that are compiled in.

use rustwren_core::config::Registry;
use rustwren_core::storage::MemoryStorageFactory;

/// All of them, by name.
pub fn compiled_in() -> Registry {
    Registry::new()
        .storage(MemoryStorageFactory)
        .storage(rustwren_local::DirectoryStorageFactory)
        .invoker(rustwren_local::LocalInvokerFactory)
}
