//! The expansion of `#[remote]`.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Error, FnArg, Ident, ItemFn, ReturnType, Signature, Type};

use crate::main_fn::Findings;

/// The function as it is, followed by its entry in the registry or by what is wrong with it.
pub(crate) fn expand(options: &TokenStream, item: &TokenStream) -> TokenStream {
    let added = try_expand(options, item.clone()).unwrap_or_else(Error::into_compile_error);
    quote! { #item #added }
}

fn try_expand(options: &TokenStream, item: TokenStream) -> Result<TokenStream, Error> {
    if !options.is_empty() {
        return Err(Error::new_spanned(options, "#[remote] takes no options: remove them"));
    }
    let function: ItemFn =
        syn::parse2(item.clone()).map_err(|error| match syn::parse2::<syn::Item>(item) {
            // It is an item, but no function.
            Ok(other) => Error::new_spanned(other, "#[remote] goes on a function: `fn f(input: I) -> O`"),
            Err(_) => error,
        })?;
    check(&function.sig)?;
    let call = call(&function.sig)?;
    Ok(entry(&function, call))
}

/// The registration of one function, also as a step of pipelines where it takes no shared value. `call` is the
/// constructor that knows how it is called.
fn entry(function: &ItemFn, call: &str) -> TokenStream {
    let name = &function.sig.ident;
    let cfgs = function.attrs.iter().filter(|a| a.path().is_ident("cfg"));
    // Errors about the function's types point at the function, and lints know that nobody wrote this.
    let place = Span::call_site().located_at(name.span());
    let call = Ident::new(call, Span::call_site());
    let with_shared = call.to_string().ends_with("_with");
    let step = (!with_shared).then(|| quote_spanned! { place=> ::rustwren::__private::step::#call(#name) });
    let describe = quote_spanned! { place=> ::rustwren::__private::#call(#name) };
    let entries = [("ENTRY", Some(describe)), ("STEP", step)].into_iter().filter_map(|(entry, describe)| {
        let (entry, describe) = (Ident::new(entry, Span::call_site()), describe?);
        Some(quote! {
            #[::rustwren::__private::linkme::distributed_slice(::rustwren::__private::REMOTE)]
            #[linkme(crate = ::rustwren::__private::linkme)]
            static #entry: ::rustwren::__private::RemoteEntry = ::rustwren::__private::RemoteEntry::new(
                ::core::concat!(::core::module_path!(), "::", ::core::stringify!(#name)),
                ::core::file!(),
                ::core::line!(),
                || #describe,
            );
        })
    });
    quote! {
        #(#cfgs)*
        const _: () = {
            #(#entries)*
        };
    }
}

/// Refuses what has no single address, or none that a worker could call.
fn check(sig: &Signature) -> Result<(), Error> {
    let mut findings = Findings::default();
    if !sig.generics.params.is_empty() {
        findings.add(
            &sig.generics,
            "a #[remote] function has no parameters in angle brackets: one name stands for one function. Write one \
             function for each type, or map the generic function without #[remote]",
        );
    }
    if let Some(token) = &sig.unsafety {
        findings.add(token, "a #[remote] function is safe to call: wrap the unsafe one in it");
    }
    if let Some(abi) = &sig.abi {
        findings.add(abi, "a #[remote] function has the Rust ABI: remove this, or wrap the foreign function");
    }
    if let Some(variadic) = &sig.variadic {
        findings.add(variadic, "a #[remote] function takes one input: several travel as a tuple");
    }
    for argument in &sig.inputs {
        match argument {
            FnArg::Receiver(receiver) => findings.add(
                receiver,
                "a #[remote] function is no method: write a function outside the impl that takes the value as its \
                 input, or by reference as its shared value",
            ),
            FnArg::Typed(argument) if matches!(*argument.ty, Type::ImplTrait(_)) => {
                findings.add(&argument.ty, "a #[remote] function is not generic: name the type of the argument");
            }
            FnArg::Typed(_) => {}
        }
    }
    if let ReturnType::Type(_, output) = &sig.output {
        match &**output {
            Type::ImplTrait(output) => findings.add(
                output,
                "name the type of the output; for `impl Future`, write an `async fn`",
            ),
            Type::Reference(output) => findings.add(
                output,
                "the output travels back to the client, so it is owned: return `String` instead of `&str`, `Vec<T>` \
                 instead of `&[T]`",
            ),
            _ => {}
        }
    }
    findings.into_result()
}

/// The way this function is mapped, as the name of the method and of its constructor.
fn call(sig: &Signature) -> Result<&'static str, Error> {
    const ALLOWED: &str = "a #[remote] function is `fn f(input: I) -> O`, `async fn f(input: I) -> O` or \
                           `fn f(shared: &S, input: I) -> O`";
    let types: Vec<&Type> = sig
        .inputs
        .iter()
        .filter_map(|argument| match argument {
            FnArg::Typed(argument) => Some(&*argument.ty),
            FnArg::Receiver(_) => None,
        })
        .collect();
    let fallible = returns_result(&sig.output);
    let (with_shared, input) = match types.as_slice() {
        [] => {
            let message = format!("{ALLOWED}: take an input, `_: ()` if there is none");
            return Err(Error::new_spanned(sig, message));
        }
        [input] => (false, *input),
        [Type::Reference(shared), input] => {
            if shared.mutability.is_some() {
                let message =
                    "the shared value is decoded once per worker and read by all its tasks: take `&S`";
                return Err(Error::new_spanned(shared, message));
            }
            if let Some(token) = &sig.asyncness {
                let message =
                    "async functions take no shared value: make it part of each input, or drop `async`";
                return Err(Error::new_spanned(token, message));
            }
            (true, *input)
        }
        [first, _] => {
            let message = format!(
                "{ALLOWED}: of two arguments the first is the job's shared value, by reference; several inputs \
                 travel as a tuple, `(a, b): (A, B)`"
            );
            return Err(Error::new_spanned(first, message));
        }
        [_, _, third, ..] => {
            let message = format!("{ALLOWED}: several inputs travel as a tuple, `(a, b): (A, B)`");
            return Err(Error::new_spanned(third, message));
        }
    };
    if let Type::Reference(input) = input {
        let message = "the input is decoded for each task, so it is owned: take `String` instead of `&str`, `Vec<T>` \
                       instead of `&[T]`; what all tasks share comes first, `fn f(shared: &S, input: I)`";
        return Err(Error::new_spanned(input, message));
    }
    Ok(match (with_shared, sig.asyncness.is_some(), fallible) {
        (true, _, false) => "map_with",
        (true, _, true) => "try_map_with",
        (false, false, false) => "map",
        (false, false, true) => "try_map",
        (false, true, false) => "map_async",
        (false, true, true) => "try_map_async",
    })
}

/// Whether a return type is a `Result`, judged by the last segment of its path: a macro sees no types.
fn returns_result(output: &ReturnType) -> bool {
    let ReturnType::Type(_, output) = output else {
        return false;
    };
    let Type::Path(path) = &**output else { return false };
    path.path.segments.last().is_some_and(|last| last.ident == "Result")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(item: &str) -> Result<&'static str, String> {
        let function: ItemFn = syn::parse_str(item).unwrap();
        check(&function.sig).and_then(|()| call(&function.sig)).map_err(|e| e.to_string())
    }

    #[test]
    fn the_signature_says_how_it_is_mapped() {
        for (item, expected) in [
            ("fn f(x: u64) -> u64 { x }", "map"),
            ("fn f((a, b): (u64, u64)) {}", "map"),
            ("pub const fn f(x: u64) -> [u64; 2] { [x, x] }", "map"),
            ("fn f(x: u64) -> Result<u64, String> { Ok(x) }", "try_map"),
            ("fn f(x: u64) -> std::io::Result<u64> { Ok(x) }", "try_map"),
            ("fn f(x: u64) -> Vec<Result<u64, String>> { vec![Ok(x)] }", "map"),
            ("fn f(x: u64) -> std::fmt::Result { Ok(()) }", "try_map"),
            ("async fn f(x: u64) -> u64 { x }", "map_async"),
            ("async fn f(x: u64) -> rustwren::Result<u64> { Ok(x) }", "try_map_async"),
            ("fn f(s: &Model, x: u64) -> u64 { x }", "map_with"),
            ("fn f(s: &[u8], x: u64) -> Result<u64, E> { Ok(x) }", "try_map_with"),
        ] {
            assert_eq!(parsed(item), Ok(expected), "{item}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_mend() {
        for (item, message) in [
            ("fn f() {}", "take an input"),
            ("fn f(x: &str) {}", "`String` instead of `&str`"),
            ("fn f(s: &S, x: &str) {}", "`String` instead of `&str`"),
            ("fn f(a: u8, b: u8) {}", "travel as a tuple"),
            ("fn f(s: &S, a: u8, b: u8) {}", "travel as a tuple"),
            ("fn f(s: &mut S, a: u8) {}", "take `&S`"),
            ("async fn f(s: &S, a: u8) {}", "drop `async`"),
            ("fn f<T>(x: T) {}", "one name stands for one function"),
            ("fn f<'a>(x: S<'a>) {}", "one name stands for one function"),
            ("fn f(x: impl Read) {}", "name the type of the argument"),
            ("fn f(x: u8) -> impl Future<Output = u8> { async { x } }", "write an `async fn`"),
            ("fn f(x: u8) -> &'static str { \"\" }", "it is owned"),
            ("fn f(&self, x: u8) {}", "is no method"),
            ("unsafe fn f(x: u8) {}", "safe to call"),
            ("extern \"C\" fn f(x: u8) {}", "Rust ABI"),
        ] {
            let error = parsed(item).unwrap_err();
            assert!(error.contains(message), "{item}: {error}");
        }
    }

    #[test]
    fn the_function_stays_and_the_entry_follows() {
        let item = quote! {
            /// Docs stay.
            #[inline]
            #[cfg(feature = "x")]
            pub fn half(x: u32) -> u32 { x / 2 }
        };
        let expected = quote! {
            #item
            #[cfg(feature = "x")]
            const _: () = {
                #[::rustwren::__private::linkme::distributed_slice(::rustwren::__private::REMOTE)]
                #[linkme(crate = ::rustwren::__private::linkme)]
                static ENTRY: ::rustwren::__private::RemoteEntry = ::rustwren::__private::RemoteEntry::new(
                    ::core::concat!(::core::module_path!(), "::", ::core::stringify!(half)),
                    ::core::file!(),
                    ::core::line!(),
                    || ::rustwren::__private::map(half),
                );
                #[::rustwren::__private::linkme::distributed_slice(::rustwren::__private::REMOTE)]
                #[linkme(crate = ::rustwren::__private::linkme)]
                static STEP: ::rustwren::__private::RemoteEntry = ::rustwren::__private::RemoteEntry::new(
                    ::core::concat!(::core::module_path!(), "::", ::core::stringify!(half)),
                    ::core::file!(),
                    ::core::line!(),
                    || ::rustwren::__private::step::map(half),
                );
            };
        };
        assert_eq!(expand(&TokenStream::new(), &item).to_string(), expected.to_string());
    }

    #[test]
    fn a_refused_function_stays_callable() {
        let item = quote! { fn f<T>(x: &T, y: u8, z: impl Sized) {} };
        let got = expand(&TokenStream::new(), &item).to_string();
        assert!(got.starts_with(&item.to_string()), "{got}");
        assert_eq!(got.matches("compile_error").count(), 2, "{got}");
    }

    #[test]
    fn other_items_and_options_are_refused() {
        let got = expand(&TokenStream::new(), &quote! { struct S; }).to_string();
        assert!(got.contains("goes on a function"), "{got}");
        let got = expand(&quote! { name = "x" }, &quote! { fn f(x: u8) {} }).to_string();
        assert!(got.contains("takes no options"), "{got}");
    }
}
