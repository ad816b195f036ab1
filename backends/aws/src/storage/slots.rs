//! Bodies of answers, received into memory that is there already.

use aws_sdk_s3::primitives::ByteStream;
use bytes::{Bytes, BytesMut};

use crate::error::{Cause, Failure, chain};

/// A body of so many bytes. Where it comes in one piece, that piece is it.
pub(super) async fn whole(mut body: ByteStream, len: usize) -> Result<Bytes, Failure> {
    let Some(first) = next(&mut body).await? else {
        return if len == 0 { Ok(Bytes::new()) } else { Err(cut_short(0, len)) };
    };
    if first.len() == len && next(&mut body).await?.is_none() {
        return Ok(first);
    }
    let mut all = BytesMut::with_capacity(len);
    push(&mut all, &first, len)?;
    receive(body, &mut all, len).await?;
    Ok(all.freeze())
}

/// Appends a body until the slot holds so many bytes, and no fewer or more.
pub(super) async fn receive(mut body: ByteStream, slot: &mut BytesMut, len: usize) -> Result<(), Failure> {
    while let Some(piece) = next(&mut body).await? {
        push(slot, &piece, len)?;
    }
    if slot.len() < len { Err(cut_short(slot.len(), len)) } else { Ok(()) }
}

/// Memory for parts of these lengths, one after the other; [`join`] makes one of it again, without copying.
pub(super) fn slots(lens: impl IntoIterator<Item = usize> + Clone) -> Vec<BytesMut> {
    let mut rest = BytesMut::with_capacity(lens.clone().into_iter().sum());
    let cut = |len| {
        let next = rest.split_off(len);
        std::mem::replace(&mut rest, next)
    };
    lens.into_iter().map(cut).collect()
}

/// What full slots hold, in one piece.
pub(super) fn join(slots: Vec<BytesMut>) -> Bytes {
    let mut slots = slots.into_iter();
    let mut all = slots.next().unwrap_or_default();
    slots.for_each(|slot| all.unsplit(slot));
    all.freeze()
}

async fn next(body: &mut ByteStream) -> Result<Option<Bytes>, Failure> {
    body.try_next().await.map_err(|error| Failure::ours(Cause::Broken, chain(&error)))
}

/// A slot never grows: it would leave its place.
fn push(slot: &mut BytesMut, piece: &[u8], len: usize) -> Result<(), Failure> {
    if slot.len() + piece.len() > len {
        return Err(Failure::ours(
            Cause::Broken,
            format!("the answer is longer than the {len} bytes asked for"),
        ));
    }
    slot.extend_from_slice(piece);
    Ok(())
}

fn cut_short(got: usize, len: usize) -> Failure {
    Failure::ours(Cause::Broken, format!("the answer ended after {got} of {len} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn slots_are_filled_in_any_order_and_joined_in_place() {
        let lens = [5, 5, 3];
        let mut parts = slots(lens);
        let place = parts[0].as_ptr();
        for (i, len) in lens.into_iter().enumerate().rev() {
            let body = ByteStream::from(vec![i as u8; len]);
            receive(body, &mut parts[i], len).await.unwrap();
        }
        let all = join(parts);
        assert_eq!(all[..], [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2]);
        assert_eq!(all.as_ptr(), place);
        assert!(join(slots([])).is_empty());
    }

    #[tokio::test]
    async fn answers_of_another_length_are_refused() {
        for len in [0, 2, 4] {
            let body = || ByteStream::from_static(b"abc");
            assert_eq!(whole(body(), len).await.unwrap_err().cause, Cause::Broken);
            let mut slot = BytesMut::with_capacity(len);
            assert_eq!(receive(body(), &mut slot, len).await.unwrap_err().cause, Cause::Broken);
        }
        assert_eq!(whole(ByteStream::from_static(b"abc"), 3).await.unwrap(), "abc");
        assert_eq!(whole(ByteStream::from_static(b""), 0).await.unwrap(), "");
    }
}
