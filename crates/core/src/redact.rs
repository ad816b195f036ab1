//! Signatures of URLs out of texts: a signed URL lets in whoever has it.
//!
//! No code of RustWren's writes queries of URLs into its messages. The crates that it is built on may, at the most talkative
//! levels; so what is logged passes through [`Redacting`].

use std::borrow::Cow;
use std::io::{self, Write};

/// Parameters of queries whose values are secret, in lower case: of Azure's shared access signatures and its operations' own
/// addresses, of URLs that AWS and Google presign, and keys of functions.
const SECRET: &[&str] = &[
    "sig",
    "s",
    "code",
    "awsaccesskeyid",
    "signature",
    "upload_id",
    "x-amz-credential",
    "x-amz-security-token",
    "x-amz-signature",
    "x-goog-credential",
    "x-goog-signature",
];
/// What parameters begin after. JSON and HTML have ways of their own to write an ampersand.
const BEFORE: [&[u8]; 4] = [b"?", b"&", br"\u0026", b"&amp;"];
/// What stands in their place.
const INSTEAD: &[u8] = b"REDACTED";

/// A URL without its query, for messages.
pub fn without_query(url: &str) -> &str {
    url.split_once(['?', '#']).map_or(url, |(url, _)| url)
}

/// The text with the values of secret parameters replaced, wherever queries stand in it.
pub fn redact(text: &[u8]) -> Cow<'_, [u8]> {
    let mut redacted: Option<Vec<u8>> = None;
    // Up to where the text is copied, once something is replaced.
    let mut copied = 0;
    let mut at = 0;
    while let Some(value) = next_secret(text, at) {
        let into = redacted.get_or_insert_with(|| Vec::with_capacity(text.len()));
        into.extend_from_slice(&text[copied..value.0]);
        into.extend_from_slice(INSTEAD);
        copied = value.1;
        at = value.1;
    }
    match redacted {
        None => Cow::Borrowed(text),
        Some(mut redacted) => {
            redacted.extend_from_slice(&text[copied..]);
            Cow::Owned(redacted)
        }
    }
}

/// Where the next secret value begins and ends.
fn next_secret(text: &[u8], from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    loop {
        at += text[at..].iter().position(|byte| matches!(byte, b'?' | b'&' | b'6' | b';'))? + 1;
        let begins = BEFORE.iter().any(|before| text[..at].ends_with(before));
        if !begins {
            continue;
        }
        let name = text[at..].iter().take_while(|byte| is_of_name(**byte)).count();
        let (name, rest) = text[at..].split_at(name);
        let is_secret = SECRET.iter().any(|secret| name.eq_ignore_ascii_case(secret.as_bytes()));
        if is_secret && rest.first() == Some(&b'=') {
            let begin = at + name.len() + 1;
            let value = text[begin..].iter().take_while(|byte| is_of_value(**byte)).count();
            return Some((begin, begin + value));
        }
    }
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// What a value may have in it, percent signs included.
fn is_of_value(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%+/=*:".contains(&byte)
}

/// Writes what it is given to another writer, [redacted](redact). Each message must be written in one piece.
#[derive(Debug)]
pub struct Redacting<W>(pub W);

impl<W: Write> Write for Redacting<W> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.write_all(&redact(text))?;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str) -> String {
        String::from_utf8(redact(text.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn signatures_are_replaced_and_nothing_else() {
        for (text, expected) in [
            (
                "GET https://a/b?sv=1&sig=hunter2%2B%3D&se=2 sent",
                "GET https://a/b?sv=1&sig=REDACTED&se=2 sent",
            ),
            ("?SIG=hunter2", "?SIG=REDACTED"),
            (
                r#"uri: "https://b.s3.amazonaws.com/k?X-Amz-Credential=hunter2%2F1&X-Amz-Date=2&X-Amz-Signature=hunter2", x"#,
                r#"uri: "https://b.s3.amazonaws.com/k?X-Amz-Credential=REDACTED&X-Amz-Date=2&X-Amz-Signature=REDACTED", x"#,
            ),
            (
                "https://g/u?X-Goog-Signature=hunter2&upload_id=hunter2\n",
                "https://g/u?X-Goog-Signature=REDACTED&upload_id=REDACTED\n",
            ),
            (r"\u0026sig=hunter2\u0026x=1", r"\u0026sig=REDACTED\u0026x=1"),
            ("a?x=1&amp;sig=hunter2&amp;y=2", "a?x=1&amp;sig=REDACTED&amp;y=2"),
            ("https://app/api/f?code=hunter2==", "https://app/api/f?code=REDACTED"),
        ] {
            assert_eq!(redacted(text), expected);
            assert!(!redacted(text).contains("hunter2"), "{text}");
        }
        for same in [
            "",
            "no query",
            "?",
            "&sig",
            "design=1 sig=1",
            "?comp=block&blockid=c2ln",
            "a & b; c = d?",
            "6s=7;s=8",
        ] {
            assert!(matches!(redact(same.as_bytes()), Cow::Borrowed(_)), "{same}");
            assert_eq!(redacted(same), same);
        }
        assert_eq!(without_query("https://a/b?sig=hunter2"), "https://a/b");
        assert_eq!(without_query("https://a/b#sig=hunter2"), "https://a/b");
        assert_eq!(without_query("https://a/b"), "https://a/b");
    }

    #[test]
    fn a_writer_takes_all_that_it_is_given() {
        let mut writer = Redacting(Vec::new());
        let text = b"one ?sig=hunter2 two\n";
        assert_eq!(writer.write(text).unwrap(), text.len());
        writer.flush().unwrap();
        assert_eq!(writer.0, b"one ?sig=REDACTED two\n");
    }
}
