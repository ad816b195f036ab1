//! The typed trampolines. Each calling convention has one: it decodes an input, applies the function and
//! encodes the output. The compiler makes a copy for every function that is mapped, with the function inlined
//! into the loop over a chunk's elements.

use std::any::{Any, TypeId, type_name};
use std::fmt::Display;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::remote;
use crate::codec;
use crate::entry::{Call, Entry, Target};
use crate::failure::{FailureKind, TaskFailure};
use crate::image::ImageId;
use crate::raw::entry::{Descriptor, conjure, to_offset};
use crate::worker::{Chunk, Function};

/// A function ready to be named to another process.
#[derive(Debug, Clone, Copy)]
pub struct Described {
    pub(super) descriptor: &'static Descriptor,
    pub(super) type_id: TypeId,
}

impl Described {
    /// The entry under which function processes of this image find the function. `#[remote]` functions go by
    /// name, all others by their place in the image.
    pub fn entry(&self, image: ImageId) -> Entry {
        let call = self.descriptor.call;
        let target = match remote::name_of(self.type_id, call) {
            Some(name) => Target::Named { name: name.to_owned(), call },
            None => Target::Offset {
                offset: to_offset(self.descriptor),
                type_name: (self.descriptor.type_name)().to_owned(),
            },
        };
        Entry { image, target }
    }

    /// The last part of the function's path, for labels: `render`, `{{closure}}`.
    pub fn short_name(&self) -> &'static str {
        let name = (self.descriptor.type_name)();
        name.rsplit("::").next().unwrap_or(name)
    }

    pub(super) fn type_id(&self) -> TypeId {
        self.type_id
    }

    pub(super) fn descriptor(&self) -> &'static Descriptor {
        self.descriptor
    }
}

/// Bounds that every mapped function meets.
macro_rules! assert_captures_nothing {
    ($f:ty) => {
        const {
            assert!(
                size_of::<$f>() == 0,
                "this function cannot be sent to workers: it is a closure that captures variables, or a `fn` \
                 pointer. Pass the variables with `map_with(&shared, |shared, x| ..., inputs)`, make them part \
                 of each input, or pass the function itself instead of a pointer to it."
            );
        }
    };
}
pub(super) use assert_captures_nothing;

pub(super) fn input<I: DeserializeOwned>(bytes: &[u8]) -> Result<I, TaskFailure> {
    codec::decode(bytes).map_err(|error| {
        let message = format!("{} bytes are not a {}: {error}", bytes.len(), type_name::<I>());
        TaskFailure::new(FailureKind::Input, message)
    })
}

fn output<O: Serialize>(value: &O, out: &mut Vec<u8>) -> Result<(), TaskFailure> {
    codec::encode(value, out).map_err(|error| {
        TaskFailure::new(FailureKind::Output, format!("a {} cannot be encoded: {error}", type_name::<O>()))
    })
}

pub(super) fn returned<E: Display>(error: &E) -> TaskFailure {
    TaskFailure::new(FailureKind::Returned, error.to_string())
}

fn output_vec<O: Serialize>(value: &O) -> Result<Vec<u8>, TaskFailure> {
    let mut out = Vec::new();
    output(value, &mut out)?;
    Ok(out)
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of Function::open")]
fn open_nothing(_shared: &[u8]) -> Result<Box<dyn Any + Send + Sync>, TaskFailure> {
    Ok(Box::new(()))
}

fn open_shared<S>(shared: &[u8]) -> Result<Box<dyn Any + Send + Sync>, TaskFailure>
where
    S: DeserializeOwned + Send + Sync + 'static,
{
    input::<S>(shared).map(|value| Box::new(value) as Box<dyn Any + Send + Sync>)
}

/// Makes a type that carries the function's types and whose constant is the descriptor.
macro_rules! trampoline {
    ($name:ident<$($g:ident),*>, $call:ident, $open:expr, [$($bounds:tt)*], |$chunk:ident, $shared:ident, $f:ident| $run:expr) => {
        struct $name<$($g),*>(PhantomData<fn($($g),*)>);

        impl<$($g),*> $name<$($g),*>
        where
            F: Copy + Send + Sync + 'static,
            $($bounds)*
        {
            const DESCRIPTOR: &'static Descriptor =
                &Descriptor::new(Call::$call, type_name::<F>, Function { open: $open, run: Self::run });

            fn run($chunk: &Chunk<'_>, $shared: &(dyn Any + Send + Sync)) {
                let $f = conjure::<F>();
                $run
            }
        }
    };
}

trampoline!(Map<F, I, O>, Map, open_nothing, [
    F: Fn(I) -> O, I: DeserializeOwned + 'static, O: Serialize + 'static,
], |chunk, _shared, f| chunk.run(|bytes, out| output(&f(input(bytes)?), out)));

trampoline!(TryMap<F, I, O, E>, TryMap, open_nothing, [
    F: Fn(I) -> Result<O, E>, I: DeserializeOwned + 'static, O: Serialize + 'static, E: Display + 'static,
], |chunk, _shared, f| chunk.run(|bytes, out| {
    output(&f(input(bytes)?).map_err(|error| returned(&error))?, out)
}));

trampoline!(MapAsync<F, I, U, O>, MapAsync, open_nothing, [
    F: Fn(I) -> U, U: Future<Output = O> + 'static, I: DeserializeOwned + 'static, O: Serialize + 'static,
], |chunk, _shared, f| chunk.run_async(|bytes| {
    let future = f(input(bytes)?);
    Ok(async move { output_vec(&future.await) })
}));

trampoline!(TryMapAsync<F, I, U, O, E>, TryMapAsync, open_nothing, [
    F: Fn(I) -> U, U: Future<Output = Result<O, E>> + 'static, I: DeserializeOwned + 'static,
    O: Serialize + 'static, E: Display + 'static,
], |chunk, _shared, f| chunk.run_async(|bytes| {
    let future = f(input(bytes)?);
    Ok(async move { output_vec(&future.await.map_err(|error| returned(&error))?) })
}));

trampoline!(MapWith<F, S, I, O>, MapWith, open_shared::<S>, [
    F: Fn(&S, I) -> O, S: DeserializeOwned + Send + Sync + 'static, I: DeserializeOwned + 'static,
    O: Serialize + 'static,
], |chunk, shared, f| {
    let shared = shared.downcast_ref::<S>();
    chunk.run(|bytes, out| {
        let shared = shared.ok_or_else(no_shared)?;
        output(&f(shared, input(bytes)?), out)
    });
});

trampoline!(TryMapWith<F, S, I, O, E>, TryMapWith, open_shared::<S>, [
    F: Fn(&S, I) -> Result<O, E>, S: DeserializeOwned + Send + Sync + 'static, I: DeserializeOwned + 'static,
    O: Serialize + 'static, E: Display + 'static,
], |chunk, shared, f| {
    let shared = shared.downcast_ref::<S>();
    chunk.run(|bytes, out| {
        let shared = shared.ok_or_else(no_shared)?;
        output(&f(shared, input(bytes)?).map_err(|error| returned(&error))?, out)
    });
});

fn no_shared() -> TaskFailure {
    TaskFailure::new(FailureKind::Input, "the job's shared value is of another type")
}

/// Describes a function for `map`.
pub fn map<F, I, O>(_witness: F) -> Described
where
    F: Fn(I) -> O + Copy + Send + Sync + 'static,
    I: DeserializeOwned + 'static,
    O: Serialize + 'static,
{
    assert_captures_nothing!(F);
    Described { descriptor: Map::<F, I, O>::DESCRIPTOR, type_id: TypeId::of::<F>() }
}

/// Describes a function for `try_map`.
pub fn try_map<F, I, O, E>(_witness: F) -> Described
where
    F: Fn(I) -> Result<O, E> + Copy + Send + Sync + 'static,
    I: DeserializeOwned + 'static,
    O: Serialize + 'static,
    E: Display + 'static,
{
    assert_captures_nothing!(F);
    Described { descriptor: TryMap::<F, I, O, E>::DESCRIPTOR, type_id: TypeId::of::<F>() }
}

/// Describes a function for `map_async`.
pub fn map_async<F, I, U, O>(_witness: F) -> Described
where
    F: Fn(I) -> U + Copy + Send + Sync + 'static,
    U: Future<Output = O> + 'static,
    I: DeserializeOwned + 'static,
    O: Serialize + 'static,
{
    assert_captures_nothing!(F);
    Described { descriptor: MapAsync::<F, I, U, O>::DESCRIPTOR, type_id: TypeId::of::<F>() }
}

/// Describes a function for `try_map_async`.
pub fn try_map_async<F, I, U, O, E>(_witness: F) -> Described
where
    F: Fn(I) -> U + Copy + Send + Sync + 'static,
    U: Future<Output = Result<O, E>> + 'static,
    I: DeserializeOwned + 'static,
    O: Serialize + 'static,
    E: Display + 'static,
{
    assert_captures_nothing!(F);
    Described { descriptor: TryMapAsync::<F, I, U, O, E>::DESCRIPTOR, type_id: TypeId::of::<F>() }
}

/// Describes a function for `map_with`.
pub fn map_with<F, S, I, O>(_witness: F) -> Described
where
    F: Fn(&S, I) -> O + Copy + Send + Sync + 'static,
    S: DeserializeOwned + Send + Sync + 'static,
    I: DeserializeOwned + 'static,
    O: Serialize + 'static,
{
    assert_captures_nothing!(F);
    Described { descriptor: MapWith::<F, S, I, O>::DESCRIPTOR, type_id: TypeId::of::<F>() }
}

/// Describes a function for `try_map_with`.
pub fn try_map_with<F, S, I, O, E>(_witness: F) -> Described
where
    F: Fn(&S, I) -> Result<O, E> + Copy + Send + Sync + 'static,
    S: DeserializeOwned + Send + Sync + 'static,
    I: DeserializeOwned + 'static,
    O: Serialize + 'static,
    E: Display + 'static,
{
    assert_captures_nothing!(F);
    Described { descriptor: TryMapWith::<F, S, I, O, E>::DESCRIPTOR, type_id: TypeId::of::<F>() }
}
