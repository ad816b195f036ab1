//! The signature's header, written and read.

const VERSION: &str = "v1";
/// Longer than any header in this form.
const MAX_HEADER: usize = 300;

/// What a header says, but for the code that vouches for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) key: [u8; 8],
    pub(super) time: u64,
    pub(super) nonce: [u8; 16],
    pub(super) body: [u8; 32],
}

impl Parts {
    /// The bytes that are signed.
    pub(super) fn signed(&self, method: &str, target: &str) -> Vec<u8> {
        let Self { key, time, nonce, body } = self;
        let (key, nonce, body) = (hex(key), hex(nonce), hex(body));
        format!("rustwren {VERSION}\n{method}\n{target}\n{key}\n{time}\n{nonce}\n{body}\n").into_bytes()
    }

    pub(super) fn header(&self, mac: &[u8]) -> String {
        let Self { key, time, nonce, body } = self;
        let (key, nonce, body, mac) = (hex(key), hex(nonce), hex(body), hex(mac));
        format!("{VERSION} key={key} time={time} nonce={nonce} body={body} mac={mac}")
    }

    /// Reads a header: what it says, and the code. None if it is not in exactly the form of [`Parts::header`].
    pub(super) fn parse(header: &str) -> Option<(Self, [u8; 32])> {
        if header.len() > MAX_HEADER {
            return None;
        }
        let mut words = header.split(' ');
        if words.next() != Some(VERSION) {
            return None;
        }
        let mut field = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=');
        let key = unhex(field("key")?)?;
        let time = field("time")?;
        if !time.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (time, nonce) = (time.parse().ok()?, unhex(field("nonce")?)?);
        let (body, mac) = (unhex(field("body")?)?, unhex(field("mac")?)?);
        if words.next().is_some() {
            return None;
        }
        Some((Self { key, time, nonce, body }, mac))
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS[usize::from(nibble & 15)] as char;
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// The bytes of so many lower-case digits.
fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let text = text.as_bytes();
    if text.len() != 2 * N {
        return None;
    }
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn headers_come_back(key: [u8; 8], time: u64, nonce: [u8; 16], body: [u8; 32], mac: [u8; 32]) {
            let parts = Parts { key, time, nonce, body };
            let header = parts.header(&mac);
            prop_assert!(header.len() <= MAX_HEADER);
            prop_assert_eq!(Parts::parse(&header), Some((parts, mac)));
            for cut in 0..header.len() {
                prop_assert_eq!(Parts::parse(&header[..cut]), None);
            }
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".{0,400}") {
            let _ = Parts::parse(&text);
            let _ = Parts::parse(&format!("v1 key={text}"));
        }
    }

    #[test]
    fn a_header_has_one_form_only() {
        let header = Parts { key: [0xab; 8], time: 7, nonce: [1; 16], body: [2; 32] }.header(&[3; 32]);
        for other in [
            header.to_uppercase(),
            header.replace("time=7", "time=+7"),
            header.replace(' ', "  "),
            format!("{header} "),
            format!(" {header}"),
            header.replace("v1", "v2"),
        ] {
            assert_eq!(Parts::parse(&other), None, "{other}");
        }
    }
}
