//! Inputs that a job takes from another's outputs in storage: they are read here, so that a function process sees inputs
//! like any others.

use bytes::Bytes;
use futures_util::stream::{StreamExt, TryStreamExt, iter};
use rustwren_core::error::{BackendError, ErrorClass};
use rustwren_core::protocol::records::{input_bodies, put_varint};
use rustwren_core::protocol::references::{Place, Referred};
use rustwren_core::storage::Storage;

use crate::fetch::fetch;

/// How many ranges are read at once.
const AT_ONCE: usize = 8;

/// One or more inputs that lie behind each other in one object.
struct Range<'a> {
    place: Place<'a>,
    /// Their lengths.
    inputs: Vec<u64>,
}

/// An input record on its way.
enum Record<'a> {
    Here(&'a [u8]),
    /// The next ones of the next range.
    Stored,
}

/// Referring input records as input records, with what they refer to in its place.
pub(crate) async fn resolve(storage: &dyn Storage, rope: Vec<Bytes>) -> Result<Vec<Bytes>, BackendError> {
    let records = whole(rope);
    let (order, ranges) = read(&records)?;
    // Made before they are run: a stream that makes them would have to be of any lifetime.
    let fetching: Vec<_> = ranges.iter().map(|range| get(storage, range.place)).collect();
    let fetched: Vec<Bytes> = iter(fetching).buffered(AT_ONCE).try_collect().await?;
    let mut stored = ranges.iter().zip(fetched).flat_map(|(range, bytes)| {
        let mut at = 0;
        range.inputs.iter().map(move |len| {
            let end = at + *len as usize;
            bytes.slice(std::mem::replace(&mut at, end)..end)
        })
    });
    let mut out = Vec::new();
    // Short pieces that follow each other are one.
    let mut piece = Vec::new();
    for record in order {
        match record {
            Record::Here(input) => {
                put_varint(&mut piece, input.len() as u64);
                piece.extend_from_slice(input);
            }
            Record::Stored => {
                let input = stored.next().unwrap_or_default();
                put_varint(&mut piece, input.len() as u64);
                out.push(std::mem::take(&mut piece).into());
                out.push(input);
            }
        }
    }
    out.push(piece.into());
    out.retain(|part: &Bytes| !part.is_empty());
    Ok(out)
}

async fn get(storage: &dyn Storage, place: Place<'_>) -> Result<Bytes, BackendError> {
    let Place { key, offset, len } = place;
    fetch(storage, key, offset, len).await.map_err(|error| match error.class() {
        ErrorClass::NotFound => {
            let message =
                format!("an output of the step before is no longer in {} ({key})", storage.location());
            BackendError::new(ErrorClass::NotFound, message)
                .with_source(error)
                .with_hint("was it removed while the pipeline ran? run the pipeline again")
        }
        _ => error,
    })
}

/// A rope as one piece: references are short, and what is inline is not worth a second way of reading.
fn whole(mut rope: Vec<Bytes>) -> Bytes {
    match rope.len() {
        1 => rope.remove(0),
        _ => rope.concat().into(),
    }
}

fn read(records: &[u8]) -> Result<(Vec<Record<'_>>, Vec<Range<'_>>), BackendError> {
    let malformed = |error| BackendError::new(ErrorClass::Internal, format!("inputs that refer: {error}"));
    let (mut order, mut ranges) = (Vec::new(), Vec::<Range<'_>>::new());
    for body in input_bodies(records) {
        let place = match Referred::read(body.map_err(malformed)?).map_err(malformed)? {
            Referred::Here(input) => {
                order.push(Record::Here(input));
                continue;
            }
            Referred::Stored(place) => place,
        };
        order.push(Record::Stored);
        match ranges.last_mut() {
            Some(Range { place: before, inputs })
                if before.key == place.key && before.offset.checked_add(before.len) == Some(place.offset) =>
            {
                before.len = before.len.saturating_add(place.len);
                inputs.push(place.len);
            }
            _ => ranges.push(Range { place, inputs: vec![place.len] }),
        }
    }
    Ok((order, ranges))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rustwren_core::protocol::records::append_input;
    use rustwren_core::storage::{Key, MemoryStorage};

    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    fn stored(key: &str, offset: u64, len: u64) -> Vec<u8> {
        let mut record = Vec::new();
        Referred::Stored(Place { key, offset, len }).append(&mut record);
        record
    }

    proptest! {
        #[test]
        fn inputs_come_in_order_wherever_they_are(
            inputs in prop::collection::vec((0_usize..4, 0_usize..30), 0..20),
            cut in 1_usize..40,
        ) {
            let (mut records, mut expected) = (Vec::new(), Vec::new());
            let mut objects = [Vec::new(), Vec::new(), Vec::new()];
            for (number, (wher, len)) in inputs.into_iter().enumerate() {
                let input = vec![number as u8; len];
                match objects.get_mut(wher) {
                    Some(object) => {
                        records.extend(stored(&format!("o{wher}"), object.len() as u64, len as u64));
                        object.extend_from_slice(&input);
                    }
                    None => Referred::Here(&input).append(&mut records),
                }
                append_input(&mut expected, |out| {
                    out.extend_from_slice(&input);
                    Ok::<(), ()>(())
                })
                .unwrap();
            }
            let resolved = run(async {
                let storage = MemoryStorage::new();
                for (wher, object) in objects.into_iter().enumerate() {
                    storage.put(&Key::new(format!("o{wher}")).unwrap(), object.into()).await.unwrap();
                }
                let rope = records.chunks(cut).map(Bytes::copy_from_slice).collect();
                resolve(&storage, rope).await.unwrap()
            });
            prop_assert_eq!(resolved.concat(), expected);
        }
    }

    #[test]
    fn what_is_gone_is_named() {
        let error =
            run(resolve(&MemoryStorage::new(), vec![stored("jobs/a/out/1", 0, 5).into()])).unwrap_err();
        assert_eq!(error.class(), ErrorClass::NotFound);
        assert!(error.to_string().contains("jobs/a/out/1") && error.hint().is_some(), "{error}");
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        let lies = [stored("o", u64::MAX, 5), stored("o", 0, u64::MAX), vec![1, 7], vec![5, 0], vec![0]];
        for record in lies {
            run(resolve(&MemoryStorage::new(), vec![record.into()])).unwrap_err();
        }
    }
}
