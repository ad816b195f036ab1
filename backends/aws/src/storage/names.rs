//! Where a key lies in its bucket, and what to call it.

use std::borrow::Cow;

use rustwren_core::storage::remote::Prefix;

/// The bucket and what all names in it begin with.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) bucket: String,
    pub(super) prefix: Prefix,
    /// The region that requests go to.
    pub(super) region: String,
}

impl Names {
    /// The object's name in the bucket.
    pub(super) fn object(&self, key: &str) -> String {
        self.prefix.object(key)
    }

    /// Where it is, for people.
    pub(super) fn location(&self, key: &str) -> String {
        format!("s3://{}/{}", self.bucket, self.object(key)).trim_end_matches('/').to_owned()
    }

    /// The objects below the prefix as a policy names them.
    pub(super) fn arn(&self) -> String {
        format!("arn:aws:s3:::{}/{}", self.bucket, self.object("*"))
    }
}

/// Undoes the encoding of names in listings: `%` with two hexadecimal digits, and `+` for a space. None where it is not
/// UTF-8 afterwards.
pub(super) fn decoded(name: &str) -> Option<Cow<'_, str>> {
    if !name.contains(['%', '+']) {
        return Some(Cow::Borrowed(name));
    }
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = |at: usize| char::from(*tail.get(at)?).to_digit(16);
        match (first, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &tail[2..];
            }
            (b'+', ..) => {
                bytes.push(b' ');
                rest = tail;
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rustwren_core::storage::Key;

    use super::*;

    fn names(prefix: Option<&str>) -> Names {
        let prefix = prefix.map(|prefix| Key::new(prefix).unwrap());
        Names { bucket: "b".to_owned(), prefix: prefix.into(), region: "us-east-1".to_owned() }
    }

    #[test]
    fn places() {
        let below = names(Some("p/q"));
        assert_eq!((below.location(""), below.location("k")), ("s3://b/p/q".into(), "s3://b/p/q/k".into()));
        assert_eq!(below.arn(), "arn:aws:s3:::b/p/q/*");
        let root = names(None);
        assert_eq!((root.location(""), root.arn()), ("s3://b".into(), "arn:aws:s3:::b/*".into()));
    }

    #[test]
    fn names_in_listings() {
        for (encoded, name) in [
            ("a/b", "a/b"),
            ("a+b%2Bc%20d", "a b+c d"),
            ("%C3%A9", "\u{e9}"),
            ("100%", "100%"),
            ("%zz", "%zz"),
        ] {
            assert_eq!(decoded(encoded).as_deref(), Some(name));
        }
        assert_eq!(decoded("%ff"), None);
    }

    proptest! {
        #[test]
        fn every_name_comes_back(name in "\\PC{0,20}") {
            let encoded: Vec<String> = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let encoded = encoded.concat();
            let decoded = decoded(&encoded);
            prop_assert_eq!(decoded.as_deref(), Some(name.as_str()));
        }
    }
}
