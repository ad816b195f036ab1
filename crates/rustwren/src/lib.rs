//! Being built.

/// What the `rustwren` command needs. Not for users: it changes without notice.
#[doc(hidden)]
pub mod __cli {
    pub use rustwren_core::{config, env, error};

    use rustwren_core::config::{BackendKeys, Registry, Section};

    /// The backends compiled into this build, by their keys.
    pub fn registry() -> Registry {
        Registry::new()
            .declare(BackendKeys {
                name: "memory",
                section: Section::Storage,
                keys: &[],
            })
            .declare(rustwren_local::config::STORAGE)
            .declare(rustwren_local::config::COMPUTE)
    }
}
