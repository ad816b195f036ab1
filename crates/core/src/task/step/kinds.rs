//! The trampolines of steps: one for each way of writing a step's function.

use std::any::{Any, TypeId, type_name};
use std::fmt::Display;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Items, ItemsFuture, Step};
use crate::entry::Call;
use crate::failure::{FailureKind, TaskFailure};
use crate::raw::entry::{Descriptor, conjure};
use crate::task::Described;
use crate::task::describe::{assert_captures_nothing, input, returned};
use crate::worker::{Chunk, Function, Shared};

/// Makes a type that carries the function's types and whose constant is the descriptor. What the descriptor opens
/// is the step; run by itself it has nothing to say.
macro_rules! step {
    ($call:ident, $name:ident<$($g:ident),*>, $kind:ident, [$($bounds:tt)*], fn($($arg:ident: $type:ty),*) -> $result:ty, |$f:ident| $body:expr) => {
        struct $name<$($g),*>(PhantomData<fn($($g),*)>);

        impl<$($g),*> $name<$($g),*>
        where
            F: Copy + Send + Sync + 'static,
            $($bounds)*
        {
            const DESCRIPTOR: &'static Descriptor =
                &Descriptor::new(Call::$call, type_name::<F>, Function { open: Self::open, run });

            fn open(_shared: &[u8]) -> Result<Shared, TaskFailure> {
                Ok(Box::new(Step::$kind(Self::apply)))
            }

            fn apply($($arg: $type),*) -> $result {
                let $f = conjure::<F>();
                $body
            }
        }
    };
}

fn run(chunk: &Chunk<'_>, _shared: &(dyn Any + Send + Sync)) {
    chunk.run(|_, _| Err(TaskFailure::new(FailureKind::Input, "a step runs in a pipeline only")));
}

step!(StepMap, Each<F, I, O>, Each, [
    F: Fn(I) -> O, I: DeserializeOwned + 'static, O: Serialize + 'static,
], fn(bytes: &[u8], items: &mut Items) -> Result<(), TaskFailure>, |f| items.push(&f(input(bytes)?)));

step!(StepTryMap, TryEach<F, I, O, E>, Each, [
    F: Fn(I) -> Result<O, E>, I: DeserializeOwned + 'static, O: Serialize + 'static, E: Display + 'static,
], fn(bytes: &[u8], items: &mut Items) -> Result<(), TaskFailure>, |f| {
    items.push(&f(input(bytes)?).map_err(|error| returned(&error))?)
});

step!(StepFlatMap, Flat<F, I, It>, Each, [
    F: Fn(I) -> It, I: DeserializeOwned + 'static, It: IntoIterator + 'static, It::Item: Serialize,
], fn(bytes: &[u8], items: &mut Items) -> Result<(), TaskFailure>, |f| {
    f(input(bytes)?).into_iter().try_for_each(|item| items.push(&item))
});

step!(StepMapAsync, EachAsync<F, I, U, O>, EachAsync, [
    F: Fn(I) -> U, U: Future<Output = O> + 'static, I: DeserializeOwned + 'static, O: Serialize + 'static,
], fn(bytes: &[u8]) -> Result<ItemsFuture, TaskFailure>, |f| {
    let future = f(input(bytes)?);
    Ok(Box::pin(async move {
        let mut items = Items::default();
        items.push(&future.await)?;
        Ok(items)
    }))
});

step!(StepTryMapAsync, TryEachAsync<F, I, U, O, E>, EachAsync, [
    F: Fn(I) -> U, U: Future<Output = Result<O, E>> + 'static, I: DeserializeOwned + 'static,
    O: Serialize + 'static, E: Display + 'static,
], fn(bytes: &[u8]) -> Result<ItemsFuture, TaskFailure>, |f| {
    let future = f(input(bytes)?);
    Ok(Box::pin(async move {
        let mut items = Items::default();
        items.push(&future.await.map_err(|error| returned(&error))?)?;
        Ok(items)
    }))
});

step!(StepList, List<F, I, O>, List, [
    F: Fn(Vec<I>) -> Vec<O>, I: DeserializeOwned + 'static, O: Serialize + 'static,
], fn(bodies: &[&[u8]], items: &mut Items) -> Result<(), TaskFailure>, |f| {
    let inputs = bodies.iter().map(|bytes| input(bytes)).collect::<Result<Vec<I>, _>>()?;
    f(inputs).iter().try_for_each(|item| items.push(item))
});

/// A step that takes an item and gives an item.
pub fn map<F, I, O>(_witness: F) -> Described
where
    F: Fn(I) -> O + Copy + Send + Sync + 'static,
    I: DeserializeOwned + 'static,
    O: Serialize + 'static,
{
    assert_captures_nothing!(F);
    Described { descriptor: Each::<F, I, O>::DESCRIPTOR, type_id: TypeId::of::<F>() }
}

/// A step that takes an item and gives an item, or says why it cannot.
pub fn try_map<F, I, O, E>(_witness: F) -> Described
where
    F: Fn(I) -> Result<O, E> + Copy + Send + Sync + 'static,
    I: DeserializeOwned + 'static,
    O: Serialize + 'static,
    E: Display + 'static,
{
    assert_captures_nothing!(F);
    Described { descriptor: TryEach::<F, I, O, E>::DESCRIPTOR, type_id: TypeId::of::<F>() }
}

/// A step that takes an item and gives any number of items.
pub fn flat_map<F, I, It>(_witness: F) -> Described
where
    F: Fn(I) -> It + Copy + Send + Sync + 'static,
    I: DeserializeOwned + 'static,
    It: IntoIterator + 'static,
    It::Item: Serialize,
{
    assert_captures_nothing!(F);
    Described { descriptor: Flat::<F, I, It>::DESCRIPTOR, type_id: TypeId::of::<F>() }
}

/// An async step that takes an item and gives an item.
pub fn map_async<F, I, U, O>(_witness: F) -> Described
where
    F: Fn(I) -> U + Copy + Send + Sync + 'static,
    U: Future<Output = O> + 'static,
    I: DeserializeOwned + 'static,
    O: Serialize + 'static,
{
    assert_captures_nothing!(F);
    Described { descriptor: EachAsync::<F, I, U, O>::DESCRIPTOR, type_id: TypeId::of::<F>() }
}

/// An async step that takes an item and gives an item, or says why it cannot.
pub fn try_map_async<F, I, U, O, E>(_witness: F) -> Described
where
    F: Fn(I) -> U + Copy + Send + Sync + 'static,
    U: Future<Output = Result<O, E>> + 'static,
    I: DeserializeOwned + 'static,
    O: Serialize + 'static,
    E: Display + 'static,
{
    assert_captures_nothing!(F);
    Described { descriptor: TryEachAsync::<F, I, U, O, E>::DESCRIPTOR, type_id: TypeId::of::<F>() }
}

/// A step that takes a list and gives a list of any length.
pub fn list<F, I, O>(_witness: F) -> Described
where
    F: Fn(Vec<I>) -> Vec<O> + Copy + Send + Sync + 'static,
    I: DeserializeOwned + 'static,
    O: Serialize + 'static,
{
    assert_captures_nothing!(F);
    Described { descriptor: List::<F, I, O>::DESCRIPTOR, type_id: TypeId::of::<F>() }
}
