//! Attribute macros of `RustWren`: `#[rustwren::main]` and `#[remote]`.
//!
//! Depend on the `rustwren` crate, which re-exports both; what they expand to names paths of that crate.

mod main_fn;
mod remote;

use proc_macro::TokenStream;

/// Makes the program its own worker: put it on `main`.
///
/// A function process is this very program, started again. The attribute lets it notice that before anything of
/// yours runs: it calls `rustwren::init()`, which serves tasks and does not return in a function process, and
/// returns at once everywhere else.
///
/// An `async fn main` runs on a tokio runtime, which can be chosen as in `#[tokio::main]`:
///
/// ```ignore
/// #[rustwren::main]
/// async fn main() -> rustwren::Result<()> { Ok(()) }
///
/// #[rustwren::main(flavor = "current_thread")]
/// async fn main() {}
///
/// #[rustwren::main(flavor = "multi_thread", worker_threads = 4)]
/// async fn main() {}
/// ```
///
/// A plain `fn main` works as well (with `rustwren::blocking`, or with a runtime of your own); it takes no options.
#[proc_macro_attribute]
pub fn main(options: TokenStream, item: TokenStream) -> TokenStream {
    main_fn::expand(options.into(), &item.into()).into()
}

/// Gives a function a name that means the same in every build of the program.
///
/// Any plain `fn` can be mapped. A `#[remote]` one is found by its path (`crate::module::function`) and not by its
/// place in the executable, so that a job can run in another build: one for another CPU or system, or an older one
/// that is still deployed. The function itself stays what it is: call it, pass it, test it.
///
/// What it may look like decides how it can be mapped:
///
/// | function | mapped with |
/// |---|---|
/// | `fn f(input: I) -> O` | `map` |
/// | `fn f(input: I) -> Result<O, E>` | `try_map` |
/// | `async fn f(input: I) -> O` | `map_async` |
/// | `async fn f(input: I) -> Result<O, E>` | `try_map_async` |
/// | `fn f(shared: &S, input: I) -> O` | `map_with` |
/// | `fn f(shared: &S, input: I) -> Result<O, E>` | `try_map_with` |
///
/// A return type counts as a `Result` by its name, so aliases such as `std::io::Result` do, too. Inputs and outputs
/// are owned and serialisable, errors implement `Display`. Anything else (generics, methods, more arguments) does
/// not compile, with a message that says what to do instead. Several inputs travel as a tuple.
#[proc_macro_attribute]
pub fn remote(options: TokenStream, item: TokenStream) -> TokenStream {
    remote::expand(&options.into(), &item.into()).into()
}
