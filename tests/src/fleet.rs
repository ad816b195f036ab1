//! HTTP workers as people run them: several runtimes behind a load balancer, from what `rustwren setup` writes.

use std::path::{Path, PathBuf};

pub mod balancer;

pub use balancer::{Balancer, Kind};

/// A program that `scripts/test` has put under `.cache/bin`, or that the machine has.
///
/// # Panics
///
/// Where there is none: a test that goes on without it proves nothing.
pub fn tool(name: &str) -> PathBuf {
    let cached = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/bin").join(name);
    if cached.is_file() {
        return cached.canonicalize().unwrap();
    }
    let paths = rustwren_core::env::Environment::of_process();
    let paths = paths.get("PATH").map(std::env::split_paths).into_iter().flatten();
    let found = paths.map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("there is no {name}: run scripts/test once, which brings it"))
}
