//! The function process's life.

use super::Resolve;

/// Serves tasks until the supervisor is gone. Called by `rustwren::init()` in a function process.
pub fn serve(resolve: Resolve) -> ! {
    drop(resolve);
    std::process::exit(2)
}
