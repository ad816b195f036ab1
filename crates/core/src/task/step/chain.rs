//! Several steps in a row, in one function process: what passes from one to the next never leaves it.

use std::any::{Any, TypeId, type_name};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::course::Course;
use super::{Items, Step};
use crate::codec;
use crate::entry::{Call, Entry};
use crate::failure::{FailureKind, TaskFailure};
use crate::image::ImageId;
use crate::protocol::records::input_bodies;
use crate::raw::entry::Descriptor;
use crate::task::remote::RemoteEntry;
use crate::task::{Described, resolve};
use crate::worker::{self, Chunk, Function, Shared};

/// One step as the client names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// Its function.
    pub entry: Entry,
    /// The user's name for it.
    pub label: String,
}

/// The function that runs chains: its shared value is a `Vec<Leg>`, its output a [`Course`].
pub fn chain() -> Described {
    const DESCRIPTOR: &Descriptor =
        &Descriptor::new(Call::Steps, type_name::<Chain>, Function { open: Chain::open, run: Chain::run });
    Described { descriptor: DESCRIPTOR, type_id: TypeId::of::<Chain>() }
}

/// Its name, the same in every build of a program.
pub(crate) static CHAIN: RemoteEntry = RemoteEntry::new("rustwren_core::chain", file!(), line!(), chain);

/// Steps that are run one after the other.
#[derive(Debug)]
pub struct Chain {
    steps: Vec<(Step, String)>,
}

impl Chain {
    fn open(shared: &[u8]) -> Result<Shared, TaskFailure> {
        let refused = |message: String| TaskFailure::new(FailureKind::Input, message);
        let legs: Vec<Leg> = codec::decode(shared).map_err(|error| refused(error.to_string()))?;
        let own = worker::own_image().unwrap_or(ImageId([0; 32]));
        let chain = Self::resolve(legs, |entry| resolve(entry, own)).map_err(refused)?;
        Ok(Box::new(chain))
    }

    /// The steps that `find` finds.
    pub fn resolve(
        legs: Vec<Leg>,
        find: impl Fn(&Entry) -> Result<&'static Function, String>,
    ) -> Result<Self, String> {
        let step = |leg: Leg| {
            let opened = (find(&leg.entry)?.open)(&[]).map_err(|failure| failure.to_string())?;
            let step = opened.downcast::<Step>().map_err(|_| format!("{} is no step", leg.label))?;
            Ok((*step, leg.label))
        };
        Ok(Self { steps: legs.into_iter().map(step).collect::<Result<_, String>>()? })
    }

    fn run(chunk: &Chunk<'_>, shared: &(dyn Any + Send + Sync)) {
        let Some(chain) = shared.downcast_ref::<Self>() else {
            return chunk.run(|_, _| Err(TaskFailure::new(FailureKind::Input, "the steps are not there")));
        };
        if chain.steps.iter().any(|(step, _)| matches!(step, Step::List(_))) {
            chunk.run_lists(|bodies, out| chain.apply(bodies)?.write(out));
        } else if chain.steps.iter().any(|(step, _)| matches!(step, Step::EachAsync(_))) {
            chunk.run_async(|input| {
                let input = input.to_vec();
                Ok(async move {
                    let mut out = Vec::new();
                    chain.apply_async(&input).await?.write(&mut out)?;
                    Ok(out)
                })
            });
        } else {
            chunk.run(|input, out| chain.apply(&[input])?.write(out));
        }
    }

    /// Runs these items through all steps. None of them is async.
    pub fn apply(&self, bodies: &[&[u8]]) -> Result<Course, TaskFailure> {
        let mut course = Course::default();
        for (number, (step, label)) in self.steps.iter().enumerate() {
            let begun = Instant::now();
            let mut given = Items::default();
            let outcome = catch_unwind(AssertUnwindSafe(|| match step {
                Step::List(apply) if number == 0 => apply(bodies, &mut given),
                Step::List(apply) => apply(&split(&course.items)?, &mut given),
                Step::Each(apply) if number == 0 => {
                    bodies.iter().try_for_each(|item| apply(item, &mut given))
                }
                Step::Each(apply) => {
                    split(&course.items)?.iter().try_for_each(|item| apply(item, &mut given))
                }
                Step::EachAsync(_) => {
                    Err(TaskFailure::new(FailureKind::Input, "async steps are not run together with lists"))
                }
            }));
            let result = outcome.unwrap_or_else(|payload| Err(worker::panic_failure(payload)));
            result.map_err(|failure| self.in_step(failure, label))?;
            course.step(begun.elapsed(), given);
        }
        Ok(course)
    }

    /// Runs one item through all steps, none of which takes lists.
    pub async fn apply_async(&self, input: &[u8]) -> Result<Course, TaskFailure> {
        let mut course = Course::default();
        let mut first = Some(input);
        for (step, label) in &self.steps {
            let begun = Instant::now();
            let items = std::mem::take(&mut course.items);
            let bodies = match first.take() {
                Some(input) => vec![input],
                None => split(&items)?,
            };
            let mut given = Items::default();
            for body in bodies {
                let result = match step {
                    Step::Each(apply) => apply(body, &mut given),
                    Step::EachAsync(start) => match start(body) {
                        Ok(future) => future.await.map(|more| {
                            given.records.extend_from_slice(&more.records);
                            given.count += more.count;
                        }),
                        Err(failure) => Err(failure),
                    },
                    Step::List(_) => Err(TaskFailure::new(
                        FailureKind::Input,
                        "lists are not run together with async steps",
                    )),
                };
                result.map_err(|failure| self.in_step(failure, label))?;
            }
            course.step(begun.elapsed(), given);
        }
        Ok(course)
    }

    /// Whether one of its steps takes lists.
    pub fn takes_lists(&self) -> bool {
        self.steps.iter().any(|(step, _)| matches!(step, Step::List(_)))
    }

    /// Says which of several steps failed.
    fn in_step(&self, mut failure: TaskFailure, label: &str) -> TaskFailure {
        if self.steps.len() > 1 {
            let colon = if failure.message.is_empty() { "" } else { ": " };
            failure.message = format!("in step {label}{colon}{}", failure.message);
        }
        failure
    }
}

/// The bodies of input records.
fn split(items: &Items) -> Result<Vec<&[u8]>, TaskFailure> {
    let bodies: Result<_, _> = input_bodies(&items.records).collect();
    bodies.map_err(|error| TaskFailure::new(FailureKind::Input, format!("between two steps: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::step;

    const OWN: ImageId = ImageId([7; 32]);

    fn chain_of(steps: &[Described]) -> Chain {
        let leg = |described: &Described| Leg { entry: described.entry(OWN), label: "s".to_owned() };
        Chain::resolve(steps.iter().map(leg).collect(), |entry| resolve(entry, OWN)).unwrap()
    }

    fn encoded(values: &[u32]) -> Vec<Vec<u8>> {
        values.iter().map(|value| codec::to_vec(value).unwrap()).collect()
    }

    fn decoded(course: &Course) -> Vec<u32> {
        split(&course.items).unwrap().into_iter().map(|body| codec::decode(body).unwrap()).collect()
    }

    #[test]
    fn steps_shrink_and_grow() {
        let chain = chain_of(&[
            step::list(|list: Vec<u32>| list.into_iter().filter(|x| x % 2 == 0).collect::<Vec<u32>>()),
            step::flat_map(|x: u32| [x, x + 1]),
            step::map(|x: u32| x * 10),
        ]);
        let inputs = encoded(&[1, 2, 3, 4]);
        let bodies: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let course = chain.apply(&bodies).unwrap();
        assert_eq!(decoded(&course), [20, 30, 40, 50]);
        assert_eq!(course.steps.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [2, 4, 4]);
        assert_eq!(course.items.count, 4);
    }

    #[test]
    fn a_failing_step_is_named() {
        let chain = chain_of(&[
            step::map(|x: u32| x),
            step::try_map(|x: u32| if x > 1 { Err("too large") } else { Ok(x) }),
        ]);
        let failure = chain.apply(&[&codec::to_vec(&2_u32).unwrap()]).unwrap_err();
        assert_eq!(failure.message, "in step s: too large");
    }

    #[test]
    fn what_is_no_step_is_refused() {
        let leg = Leg { entry: crate::task::map(|x: u32| x).entry(OWN), label: "square".to_owned() };
        let text = Chain::resolve(vec![leg], |entry| resolve(entry, OWN)).unwrap_err();
        assert!(text.contains("square"), "{text}");
    }
}
