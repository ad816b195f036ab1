//! Bodies of answers, received into memory that is there already.

use bytes::{Bytes, BytesMut};
use futures_util::stream::{Stream, StreamExt as _};

/// A body that is not what it should be.
#[derive(Debug)]
pub enum Unreceived<E> {
    /// It broke off.
    Broken(E),
    /// It has another length than it was asked for; the text says which.
    Length(String),
}

/// A body of so many bytes. Where it comes in one piece, that piece is it.
pub(super) async fn whole<E>(
    mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    len: usize,
) -> Result<Bytes, Unreceived<E>> {
    let Some(first) = next(&mut body).await? else {
        return if len == 0 { Ok(Bytes::new()) } else { Err(cut_short(0, len)) };
    };
    if first.len() == len {
        while let Some(more) = next(&mut body).await? {
            if !more.is_empty() {
                return Err(too_long(len));
            }
        }
        return Ok(first);
    }
    let mut all = BytesMut::with_capacity(len);
    push(&mut all, &first, len)?;
    receive(body, &mut all, len).await?;
    Ok(all.freeze())
}

/// Appends a body until the slot holds so many bytes, and no fewer or more.
pub(super) async fn receive<E>(
    mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    slot: &mut BytesMut,
    len: usize,
) -> Result<(), Unreceived<E>> {
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

async fn next<E>(
    body: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
) -> Result<Option<Bytes>, Unreceived<E>> {
    body.next().await.transpose().map_err(Unreceived::Broken)
}

/// A slot never grows: it would leave its place.
fn push<E>(slot: &mut BytesMut, piece: &[u8], len: usize) -> Result<(), Unreceived<E>> {
    if slot.len() + piece.len() > len {
        return Err(too_long(len));
    }
    slot.extend_from_slice(piece);
    Ok(())
}

fn too_long<E>(len: usize) -> Unreceived<E> {
    Unreceived::Length(format!("the answer is longer than the {len} bytes asked for"))
}

fn cut_short<E>(got: usize, len: usize) -> Unreceived<E> {
    Unreceived::Length(format!("the answer ended after {got} of {len} bytes"))
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    /// A body that comes in pieces of two bytes.
    fn body(bytes: &'static [u8]) -> impl Stream<Item = Result<Bytes, ()>> + Unpin {
        stream::iter(bytes.chunks(2).map(|piece| Ok(Bytes::from_static(piece))))
    }

    #[tokio::test]
    async fn slots_are_filled_in_any_order_and_joined_in_place() {
        let contents: [&'static [u8]; 3] = [b"aaaaa", b"bbbbb", b"ccc"];
        let mut parts = slots(contents.map(<[u8]>::len));
        let place = parts[0].as_ptr();
        for (i, content) in contents.into_iter().enumerate().rev() {
            receive(body(content), &mut parts[i], content.len()).await.unwrap();
        }
        let all = join(parts);
        assert_eq!(all, "aaaaabbbbbccc");
        assert_eq!(all.as_ptr(), place);
        assert!(join(slots([])).is_empty());
    }

    #[tokio::test]
    async fn answers_of_another_length_are_refused() {
        for len in [0, 2, 4] {
            assert!(matches!(whole(body(b"abc"), len).await, Err(Unreceived::Length(_))));
            let mut slot = BytesMut::with_capacity(len);
            assert!(matches!(receive(body(b"abc"), &mut slot, len).await, Err(Unreceived::Length(_))));
        }
        assert_eq!(whole(body(b"abc"), 3).await.unwrap(), "abc");
        assert_eq!(whole(body(b""), 0).await.unwrap(), "");
        let mut broken = stream::iter([Ok(Bytes::from_static(b"a")), Err("reset")]);
        assert!(matches!(whole(&mut broken, 2).await, Err(Unreceived::Broken("reset"))));
    }
}
