//! Stand-ins for services of clouds: third parties' emulators where there are any, small servers of ours in front of
//! them or in their place where there are none. All listen on 127.0.0.1 and on free ports.

use std::path::{Path, PathBuf};

pub mod lambda;

/// Where `scripts/test` has installed something: what its variable says, else its place below `.cache`.
///
/// # Panics
///
/// When it is not there: a test that goes without would prove nothing.
pub fn installed(variable: &str, place: &str) -> PathBuf {
    #[expect(
        clippy::disallowed_methods,
        reason = "a variable between scripts/test and the tests, nobody else's"
    )]
    let named = std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
    let path =
        named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache").join(place));
    assert!(path.exists(), "{} is not installed: run scripts/test once, which does it", path.display());
    path
}
