//! An invocation as bytes: for whoever runs it without a connection to the client that made it.
//!
//! One version byte, then the encoding of its fields. The two ends may be different builds, of different times: a
//! detached invocation names the stored image that is to run it. Whoever changes what [`JobSpec`] or [`Invocation`]
//! are made of raises [`VERSION`]; a test holds the bytes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError};
use crate::error::{BackendError, ErrorClass};
use crate::invoker::{Invocation, JobSpec, Passing, Payload};

/// The version of the encoding.
pub const VERSION: u8 = 2;

#[derive(Serialize)]
struct Sent<'a> {
    job: &'a JobSpec,
    id: u64,
    first: u64,
    count: u32,
    attempt: u32,
    concurrency: u32,
    whole: bool,
    passing: Passing,
    inputs: &'a Payload,
}

#[derive(Deserialize)]
struct Taken {
    job: JobSpec,
    id: u64,
    first: u64,
    count: u32,
    attempt: u32,
    concurrency: u32,
    whole: bool,
    passing: Passing,
    inputs: Payload,
}

/// The bytes of an invocation, with those of its payloads that are inline.
pub fn encode(invocation: &Invocation) -> Result<Vec<u8>, CodecError> {
    let mut bytes = vec![VERSION];
    let sent = Sent {
        job: &invocation.job,
        id: invocation.id,
        first: invocation.first,
        count: invocation.count,
        attempt: invocation.attempt,
        concurrency: invocation.concurrency,
        whole: invocation.whole,
        passing: invocation.passing,
        inputs: &invocation.inputs,
    };
    codec::encode(&sent, &mut bytes)?;
    Ok(bytes)
}

/// An invocation from its bytes. Bytes of another version are
/// [`ErrorClass::Misconfigured`], anything else that is no invocation [`ErrorClass::Internal`].
pub fn decode(bytes: &[u8]) -> Result<Invocation, BackendError> {
    let Some((&version, body)) = bytes.split_first() else {
        return Err(BackendError::new(ErrorClass::Internal, "an invocation has no bytes"));
    };
    if version != VERSION {
        let message = format!(
            "the invocation is encoded in version {version}, and this program, made with RustWren {}, reads version \
             {VERSION}",
            env!("CARGO_PKG_VERSION")
        );
        return Err(BackendError::new(ErrorClass::Misconfigured, message)
            .with_hint("use the same RustWren on both sides: build the client or the program anew"));
    }
    let taken: Taken = codec::decode(body).map_err(|error| {
        BackendError::new(ErrorClass::Internal, "an invocation cannot be decoded").with_source(error)
    })?;
    if taken.count == 0 || taken.concurrency == 0 {
        return Err(BackendError::new(ErrorClass::Internal, "an invocation has at least one element"));
    }
    Ok(Invocation {
        job: Arc::new(taken.job),
        id: taken.id,
        first: taken.first,
        count: taken.count,
        attempt: taken.attempt,
        concurrency: taken.concurrency,
        whole: taken.whole,
        passing: taken.passing,
        inputs: taken.inputs,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::entry::{Call, Entry, Target};
    use crate::image::ImageId;

    fn invocation(shared: Option<Payload>, inputs: Payload) -> Invocation {
        let target = Target::Named { name: "a::b".to_owned(), call: Call::TryMap };
        let job = JobSpec {
            id: "j".to_owned(),
            label: "l".to_owned(),
            entry: Entry { image: ImageId([7; 32]), target },
            shared,
            task_timeout: Some(Duration::from_millis(1500)),
            concurrency: 3,
        };
        Invocation {
            job: Arc::new(job),
            id: 9,
            first: 300,
            count: 2,
            attempt: 1,
            concurrency: 3,
            whole: true,
            passing: Passing { refers: true, store_above: Some(7) },
            inputs,
        }
    }

    fn same(a: &Invocation, b: &Invocation) -> bool {
        a.job == b.job
            && (a.id, a.first, a.count, a.attempt) == (b.id, b.first, b.count, b.attempt)
            && (a.concurrency, a.whole, a.passing, &a.inputs)
                == (b.concurrency, b.whole, b.passing, &b.inputs)
    }

    fn stored() -> Payload {
        Payload::Stored { key: "k".to_owned(), offset: 1, len: 2 }
    }

    #[test]
    fn an_invocation_comes_back() {
        let inline = Payload::Inline(vec![Bytes::from_static(b"ab"), Bytes::new()]);
        for sent in [
            invocation(None, inline.clone()),
            invocation(Some(inline), stored()),
            invocation(Some(stored()), Payload::Inline(vec![Bytes::from(vec![7; 3 << 20])])),
        ] {
            assert!(same(&decode(&encode(&sent).unwrap()).unwrap(), &sent));
        }
    }

    /// Another program of another time reads these bytes: a change needs another [`VERSION`].
    #[test]
    fn the_bytes_of_this_version() {
        let bytes = encode(&invocation(None, stored())).unwrap();
        let mut expected = vec![2];
        // Job: id, label, image, target, no shared value, time limit, concurrency.
        expected.extend([1, b'j', 1, b'l']);
        expected.extend([7; 32]);
        expected.extend([1, 4, b'a', b':', b':', b'b', 1, 0, 1, 1]);
        // 500 000 000 ns as a 32-bit number behind its mark.
        expected.extend([252, 0x00, 0x65, 0xcd, 0x1d, 3]);
        // 300 as a 16-bit number behind its mark.
        expected.extend([9, 251, 0x2c, 0x01, 2, 1, 3, 1]);
        // Referring inputs; items longer than 7 bytes are stored.
        expected.extend([1, 1, 7]);
        expected.extend([1, 1, b'k', 1, 2]);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn another_version_is_refused_with_the_mend() {
        let mut bytes = encode(&invocation(None, stored())).unwrap();
        bytes[0] = VERSION + 1;
        let error = decode(&bytes).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Misconfigured);
        assert!(error.to_string().contains("version 3") && error.hint().is_some(), "{error}");
    }

    proptest! {
        #[test]
        fn torn_and_foreign_bytes_are_errors(cut in 0_usize..70, foreign: Vec<u8>) {
            let bytes = encode(&invocation(None, stored())).unwrap();
            prop_assert!(decode(&bytes[..cut.min(bytes.len() - 1)]).is_err());
            // Any bytes may decode by chance; they must not panic.
            if let Ok(invocation) = decode(&foreign) {
                prop_assert!(invocation.count > 0);
            }
        }
    }
}
