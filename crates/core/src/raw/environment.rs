//! Taking variables out of this process's environment.

/// Removes a variable, so that programs this process starts do not inherit it.
///
/// # Safety argument
///
/// `remove_var` is unsafe because C code may read the environment at the same time on another thread; Rust code
/// is kept apart by the standard library's lock. This is called by the function process and by the agent from
/// `rustwren::init()`, which is documented to come first in `main`, and before RustWren starts any thread.
pub(crate) fn remove(name: &str) {
    // SAFETY: see above: no other thread is there to read the environment.
    unsafe { std::env::remove_var(name) }
}
