//! The targets of calls to a runtime over HTTP, and what the answers about stored objects look like.
//!
//! Everything that decides what a call does is in its target, and so under its signature: keys and ranges are parameters
//! of the query, which proxies pass on as it is (of paths they take slashes and escapes apart).

use std::time::{Duration, UNIX_EPOCH};

use crate::storage::{Key, ObjectMeta};

/// `POST`: run an invocation.
pub const INVOKE: &str = "/v1/invoke";
/// `POST`: run an invocation whose results go to storage only, and answer when it is taken.
pub const DETACH: &str = "/v1/detach";
/// Objects in the runtime's storage: see [`ObjectCall`].
pub const OBJECTS: &str = "/v1/objects";
/// `GET`, by anybody: whether the runtime takes invocations.
pub const HEALTH: &str = "/healthz";
/// The same, where calls come through a platform that keeps some paths to itself, as Google does with `/healthz`.
pub const HEALTH_BEHIND_A_PLATFORM: &str = "/v1/health";
/// `GET`, by anybody: numbers for Prometheus.
pub const METRICS: &str = "/metrics";

/// Objects on one page of a list.
pub const PAGE: usize = 1000;

/// What is done with stored objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectCall {
    /// `PUT`, with the object as the body.
    Put(Key),
    /// `PUT` unless there is one. Answered with 201 or 412.
    PutIfAbsent(Key),
    /// `GET`
    Get(Key),
    /// `GET` of bytes from `offset` on, at most `len`.
    GetRange {
        /// The object.
        key: Key,
        /// Its first byte.
        offset: u64,
        /// How many.
        len: u64,
    },
    /// `GET` of what is known of an object: one line of a list.
    Head(Key),
    /// `DELETE`
    Delete(Key),
    /// `GET` of a page of a list.
    List {
        /// What keys begin with.
        prefix: String,
        /// Only keys behind this one; empty for all.
        after: String,
    },
}

impl ObjectCall {
    /// Its method and target.
    pub fn target(&self) -> (&'static str, String) {
        let object = |key: &Key, rest: &str| format!("{OBJECTS}?key={}{rest}", escape(key.as_str()));
        match self {
            Self::Put(key) => ("PUT", object(key, "")),
            Self::PutIfAbsent(key) => ("PUT", object(key, "&absent")),
            Self::Get(key) => ("GET", object(key, "")),
            Self::GetRange { key, offset, len } => {
                ("GET", object(key, &format!("&offset={offset}&len={len}")))
            }
            Self::Head(key) => ("GET", object(key, "&head")),
            Self::Delete(key) => ("DELETE", object(key, "")),
            Self::List { prefix, after } => {
                ("GET", format!("{OBJECTS}?prefix={}&after={}", escape(prefix), escape(after)))
            }
        }
    }

    /// The call with this method and query, if there is one.
    pub fn parse(method: &str, query: &str) -> Option<Self> {
        let mut parameters = query.split('&');
        let (name, value) = parameters.next()?.split_once('=')?;
        let rest: Vec<&str> = parameters.collect();
        if name == "prefix" {
            let [after] = rest[..] else { return None };
            let (prefix, after) = (unescape(value)?, unescape(after.strip_prefix("after=")?)?);
            return (method == "GET").then_some(Self::List { prefix, after });
        }
        let key = Key::new(unescape(value).filter(|_| name == "key")?).ok()?;
        Some(match (method, &rest[..]) {
            ("PUT", []) => Self::Put(key),
            ("PUT", ["absent"]) => Self::PutIfAbsent(key),
            ("GET", []) => Self::Get(key),
            ("GET", ["head"]) => Self::Head(key),
            ("GET", [offset, len]) => {
                let number = |text: &str, name: &str| text.strip_prefix(name)?.parse().ok();
                Self::GetRange { key, offset: number(offset, "offset=")?, len: number(len, "len=")? }
            }
            ("DELETE", []) => Self::Delete(key),
            _ => return None,
        })
    }
}

/// What a page of a list ends with: whether there are more objects behind it.
const MORE: &str = "more";
const END: &str = "end";

/// Appends one object's line: size, time in nanoseconds since 1970 or `-`, and key.
pub fn append_object(page: &mut String, object: &ObjectMeta) {
    let nanos = object.modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let nanos = nanos.map_or_else(|| "-".to_owned(), |time| time.as_nanos().to_string());
    page.extend([&object.size.to_string(), " ", &nanos, " ", &escape(object.key.as_str()), "\n"]);
}

/// Appends the last line.
pub fn append_page_end(page: &mut String, more: bool) {
    page.extend([if more { MORE } else { END }, "\n"]);
}

/// The object of a line.
pub fn parse_object(line: &str) -> Option<ObjectMeta> {
    let mut words = line.split(' ');
    let (size, time, key) = (words.next()?.parse().ok()?, words.next()?, words.next()?);
    let modified = match time {
        "-" => None,
        nanos => Some(UNIX_EPOCH + Duration::from_nanos(nanos.parse().ok()?)),
    };
    let key = Key::new(unescape(key)?).ok()?;
    words.next().is_none().then_some(ObjectMeta { key, size, modified })
}

/// The objects of a page, and whether there are more. None if it is not a whole page.
pub fn parse_page(page: &str) -> Option<(Vec<ObjectMeta>, bool)> {
    let (objects, last) = match page.strip_suffix('\n')?.rsplit_once('\n') {
        Some((objects, last)) => (objects, last),
        None => ("", page.strip_suffix('\n')?),
    };
    let more = match last {
        MORE => true,
        END => false,
        _ => return None,
    };
    let objects = objects.split('\n').filter(|line| !line.is_empty()).map(parse_object);
    Some((objects.collect::<Option<_>>()?, more))
}

/// A text as part of a query: everything but letters, digits and `-._~/` as `%` and two digits.
fn escape(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(byte as char);
        } else {
            let digit = |nibble: u8| DIGITS[usize::from(nibble & 15)] as char;
            out.extend(['%', digit(byte >> 4), digit(byte)]);
        }
    }
    out
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, after) = rest.split_first_chunk::<2>()?;
        let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> impl Strategy<Value = Key> {
        "[a-z %&=+#?é\u{4e2d}]{1,9}(/[a-z.~%]{1,3}x)?".prop_map(|name| Key::new(name).unwrap())
    }

    fn call() -> impl Strategy<Value = ObjectCall> {
        (key(), any::<u64>(), any::<u64>(), ".{0,9}", 0..7).prop_map(|(key, offset, len, prefix, which)| {
            match which {
                0 => ObjectCall::Put(key),
                1 => ObjectCall::PutIfAbsent(key),
                2 => ObjectCall::Get(key),
                3 => ObjectCall::GetRange { key, offset, len },
                4 => ObjectCall::Head(key),
                5 => ObjectCall::Delete(key),
                _ => ObjectCall::List { prefix, after: key.as_str().to_owned() },
            }
        })
    }

    proptest! {
        #[test]
        fn calls_come_back_from_their_targets(call in call()) {
            let (method, target) = call.target();
            prop_assert!(target.bytes().all(|byte| byte.is_ascii_graphic()));
            let query = target.strip_prefix(OBJECTS).unwrap().strip_prefix('?').unwrap();
            prop_assert_eq!(ObjectCall::parse(method, query), Some(call));
        }

        #[test]
        fn any_query_is_read_without_panic(method in "GET|PUT|DELETE|POST", query in ".{0,60}") {
            let _ = ObjectCall::parse(&method, &query);
            let _ = ObjectCall::parse(&method, &format!("key={query}"));
            let _ = parse_page(&query);
        }

        #[test]
        fn pages_come_back_and_parts_of_them_do_not(
            objects in proptest::collection::vec((key(), any::<u64>(), any::<Option<u32>>()), 0..9), more: bool,
        ) {
            let objects: Vec<_> = objects
                .into_iter()
                .map(|(key, size, time)| {
                    let modified = time.map(|time| UNIX_EPOCH + Duration::from_micros(u64::from(time)));
                    ObjectMeta { key, size, modified }
                })
                .collect();
            let mut page = String::new();
            for object in &objects {
                append_object(&mut page, object);
            }
            append_page_end(&mut page, more);
            prop_assert_eq!(parse_page(&page), Some((objects, more)));
            for cut in 0..page.len() {
                prop_assert_eq!(parse_page(&page[..cut]), None);
            }
        }
    }
}
