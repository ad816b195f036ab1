//! The expansion of `#[rustwren::main]`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{AttrStyle, Error, Ident, ItemFn, LitInt, LitStr, ReturnType, Token};

/// The function with its start of a worker, or the function as it is and what is wrong with it.
pub(crate) fn expand(options: TokenStream, item: &TokenStream) -> TokenStream {
    match try_expand(options, item.clone()) {
        Ok(expanded) => expanded,
        Err(error) => {
            let error = error.into_compile_error();
            quote! { #error #item }
        }
    }
}

fn try_expand(options: TokenStream, item: TokenStream) -> Result<TokenStream, Error> {
    let function: ItemFn =
        syn::parse2(item.clone()).map_err(|error| match syn::parse2::<syn::Item>(item) {
            // It is an item, but no function.
            Ok(other) => {
                Error::new(other.span(), "#[rustwren::main] goes on a function: `async fn main() { .. }`")
            }
            Err(_) => error,
        })?;
    let options = Options::parse(options)?;
    check(&function)?;

    let ItemFn { attrs, vis, sig, block } = &function;
    let outer = attrs.iter().filter(|a| matches!(a.style, AttrStyle::Outer));
    let inner = attrs.iter().filter(|a| matches!(a.style, AttrStyle::Inner(_)));
    let body = if sig.asyncness.is_some() {
        let flavor = options.flavor()?;
        quote! { ::rustwren::__private::block_on(#flavor, async move #block) }
    } else {
        options.refuse_all()?;
        block.to_token_stream()
    };
    let ident = &sig.ident;
    let output = &sig.output;
    Ok(quote! {
        #(#outer)*
        #vis fn #ident() #output {
            #(#inner)*
            ::rustwren::init();
            #body
        }
    })
}

/// Refuses what a program cannot start with.
fn check(function: &ItemFn) -> Result<(), Error> {
    let sig = &function.sig;
    let mut findings = Findings::default();
    if sig.ident != "main" {
        findings.add(
            &sig.ident,
            "#[rustwren::main] goes on the function `main`: a worker must be recognised before anything else runs",
        );
    }
    if !sig.inputs.is_empty() {
        findings.add(&sig.inputs, "`main` takes no arguments: read them from `std::env::args_os()`");
    }
    if !sig.generics.params.is_empty() {
        findings.add(&sig.generics, "`main` cannot be generic: remove the parameters");
    }
    if let Some(clause) = &sig.generics.where_clause {
        findings.add(clause, "`main` cannot have a where clause: remove it");
    }
    if let Some(token) = &sig.constness {
        findings.add(token, "`main` cannot be const: remove the keyword");
    }
    if let Some(token) = &sig.unsafety {
        findings.add(token, "`main` must be safe: put the block where it is needed");
    }
    if let Some(abi) = &sig.abi {
        findings.add(abi, "`main` has the Rust ABI: remove this");
    }
    if let ReturnType::Type(_, output) = &sig.output
        && let syn::Type::ImplTrait(output) = &**output
        && sig.asyncness.is_some()
    {
        findings.add(output, "name the type that `main` returns: `rustwren::Result<()>`, say");
    }
    findings.into_result()
}

/// The options of the attribute as they are written.
#[derive(Default)]
struct Options {
    flavor: Option<(Ident, LitStr)>,
    worker_threads: Option<(Ident, LitInt)>,
}

/// `name = value`
enum Setting {
    Flavor(Ident, LitStr),
    WorkerThreads(Ident, LitInt),
}

impl Parse for Setting {
    fn parse(input: ParseStream<'_>) -> Result<Self, Error> {
        const KNOWN: &str = "known options are `flavor = \"current_thread\"`, `flavor = \"multi_thread\"` and \
                             `worker_threads = 4`";
        let name: Ident = input.parse().map_err(|error| Error::new(error.span(), KNOWN))?;
        let is_flavor = name == "flavor";
        if !is_flavor && name != "worker_threads" {
            return Err(Error::new(name.span(), format!("unknown option `{name}`: {KNOWN}")));
        }
        let with_place = |error: Error| Error::new(error.span(), format!("{error}: {KNOWN}"));
        input.parse::<Token![=]>().map_err(with_place)?;
        Ok(if is_flavor {
            Self::Flavor(name, input.parse().map_err(with_place)?)
        } else {
            Self::WorkerThreads(name, input.parse().map_err(with_place)?)
        })
    }
}

impl Options {
    fn parse(tokens: TokenStream) -> Result<Self, Error> {
        let mut options = Self::default();
        for setting in Punctuated::<Setting, Token![,]>::parse_terminated.parse2(tokens)? {
            let (name, twice) = match setting {
                Setting::Flavor(name, value) => {
                    (name.clone(), options.flavor.replace((name, value)).is_some())
                }
                Setting::WorkerThreads(name, value) => {
                    (name.clone(), options.worker_threads.replace((name, value)).is_some())
                }
            };
            if twice {
                return Err(Error::new(name.span(), format!("`{name}` is given twice: remove one")));
            }
        }
        Ok(options)
    }

    /// The runtime to build, as an expression.
    fn flavor(&self) -> Result<TokenStream, Error> {
        let threads = match &self.worker_threads {
            None => None,
            Some((_, number)) => match number.base10_parse::<usize>()? {
                0 => return Err(Error::new(number.span(), "a runtime needs at least one thread")),
                threads => Some(threads),
            },
        };
        let multi_thread = |threads: Option<usize>| match threads {
            None => quote! { ::rustwren::__private::Flavor::MultiThread(::core::option::Option::None) },
            Some(n) => {
                quote! { ::rustwren::__private::Flavor::MultiThread(::core::option::Option::Some(#n)) }
            }
        };
        match (self.flavor.as_ref().map(|(_, value)| (value, value.value())), threads) {
            (None, None) => Ok(quote! { ::rustwren::__private::Flavor::Default }),
            (None, threads) => Ok(multi_thread(threads)),
            (Some((_, flavor)), threads) if flavor == "multi_thread" => Ok(multi_thread(threads)),
            (Some((_, flavor)), None) if flavor == "current_thread" => {
                Ok(quote! { ::rustwren::__private::Flavor::CurrentThread })
            }
            (Some((value, flavor)), Some(_)) if flavor == "current_thread" => Err(Error::new(
                value.span(),
                "the current_thread flavor has one thread: remove `worker_threads`, or use \"multi_thread\"",
            )),
            (Some((value, flavor)), _) => Err(Error::new(
                value.span(),
                format!("unknown flavor `{flavor}`: there are \"current_thread\" and \"multi_thread\""),
            )),
        }
    }

    /// A plain `fn main` brings its own runtime, or none.
    fn refuse_all(&self) -> Result<(), Error> {
        let mut findings = Findings::default();
        for name in [self.flavor.as_ref().map(|o| &o.0), self.worker_threads.as_ref().map(|o| &o.0)]
            .into_iter()
            .flatten()
        {
            findings
                .add(name, &format!("`{name}` is for an async main: write `async fn main`, or remove it"));
        }
        findings.into_result()
    }
}

/// Several errors reported at once.
#[derive(Default)]
pub(crate) struct Findings(Option<Error>);

impl Findings {
    pub(crate) fn add(&mut self, place: &impl ToTokens, message: &str) {
        let error = Error::new_spanned(place, message);
        match &mut self.0 {
            Some(first) => first.combine(error),
            None => self.0 = Some(error),
        }
    }

    pub(crate) fn into_result(self) -> Result<(), Error> {
        self.0.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(options: &str, item: &str) -> String {
        try_expand(options.parse().unwrap(), item.parse().unwrap()).unwrap_err().to_string()
    }

    fn expanded(options: &str, item: &str) -> String {
        try_expand(options.parse().unwrap(), item.parse().unwrap()).unwrap().to_string()
    }

    #[test]
    fn an_async_main_becomes_a_plain_one_that_blocks() {
        let expected = quote! {
            /// Docs stay.
            fn main() -> rustwren::Result<()> {
                ::rustwren::init();
                ::rustwren::__private::block_on(
                    ::rustwren::__private::Flavor::Default,
                    async move { run().await?; Ok(()) }
                )
            }
        };
        let got = expanded(
            "",
            "#[doc = r\" Docs stay.\"] async fn main() -> rustwren::Result<()> { run().await?; Ok(()) }",
        );
        assert_eq!(got, expected.to_string());
    }

    #[test]
    fn a_plain_main_keeps_its_body() {
        let expected = quote! {
            fn main() -> ExitCode { ::rustwren::init(); { let x = 1; ExitCode::from(x) } }
        };
        assert_eq!(
            expanded("", "fn main() -> ExitCode { let x = 1; ExitCode::from(x) }"),
            expected.to_string()
        );
    }

    #[test]
    fn inner_attributes_stay_first() {
        let expected = quote! {
            fn main() { #![allow(unused)] ::rustwren::init(); { let x = 1; } }
        };
        assert_eq!(expanded("", "fn main() { #![allow(unused)] let x = 1; }"), expected.to_string());
    }

    #[test]
    fn the_runtime_is_chosen_as_in_tokio() {
        for (options, flavor) in [
            ("", quote! { ::rustwren::__private::Flavor::Default }),
            ("flavor = \"current_thread\",", quote! { ::rustwren::__private::Flavor::CurrentThread }),
            (
                "flavor = \"multi_thread\"",
                quote! { ::rustwren::__private::Flavor::MultiThread(::core::option::Option::None) },
            ),
            (
                "worker_threads = 4",
                quote! { ::rustwren::__private::Flavor::MultiThread(::core::option::Option::Some(4usize)) },
            ),
            (
                "worker_threads = 2, flavor = \"multi_thread\"",
                quote! { ::rustwren::__private::Flavor::MultiThread(::core::option::Option::Some(2usize)) },
            ),
        ] {
            let got = expanded(options, "async fn main() {}");
            assert!(got.contains(&format!("block_on ({flavor} ,")), "{options}: {got}");
        }
    }

    #[test]
    fn options_are_checked() {
        let main = "async fn main() {}";
        for (options, item, message) in [
            ("flavor = \"single\"", main, "unknown flavor `single`"),
            ("flavor = 3", main, "known options are"),
            ("flavour = \"multi_thread\"", main, "unknown option `flavour`"),
            ("\"multi_thread\"", main, "known options are"),
            ("worker_threads", main, "known options are"),
            ("worker_threads = 0", main, "at least one thread"),
            ("worker_threads = 1, worker_threads = 2", main, "`worker_threads` is given twice"),
            ("flavor = \"current_thread\", worker_threads = 2", main, "has one thread"),
            ("worker_threads = 2", "fn main() {}", "`worker_threads` is for an async main"),
            ("flavor = \"current_thread\"", "fn main() {}", "`flavor` is for an async main"),
        ] {
            let error = error(options, item);
            assert!(error.contains(message), "{options} {item}: {error}");
        }
    }

    #[test]
    fn other_items_are_refused() {
        for (item, message) in [
            ("async fn run() {}", "goes on the function `main`"),
            ("struct Main;", "goes on a function"),
            ("async fn main(x: u8) {}", "takes no arguments"),
            ("async fn main<T>() {}", "cannot be generic"),
            ("async unsafe fn main() {}", "must be safe"),
            ("extern \"C\" fn main() {}", "Rust ABI"),
            ("const fn main() {}", "cannot be const"),
            ("async fn main() -> impl Sized {}", "name the type"),
        ] {
            let error = error("", item);
            assert!(error.contains(message), "{item}: {error}");
        }
    }

    #[test]
    fn everything_wrong_is_said_at_once_and_the_function_stays() {
        let got = expand(TokenStream::new(), &"async fn run<T>(x: T) {}".parse().unwrap()).to_string();
        assert_eq!(got.matches("compile_error").count(), 3, "{got}");
        assert!(got.ends_with("async fn run < T > (x : T) { }"), "{got}");
    }
}
