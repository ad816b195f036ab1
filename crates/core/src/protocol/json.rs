//! Bytes where a provider lets only JSON through: an object of one field with the bytes in base64.
//!
//! AWS Lambda's Invoke is such a place, in both directions. Base64 makes four bytes of three, so that a limit of
//! the provider is met by three quarters of it in bytes; [`room`] does that sum.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeStruct, Serializer};

/// The object's only field. Whatever else comes by in JSON (a test event of a console, say) does not have it.
const FIELD: &str = "rustwren";

/// Bytes in their JSON clothes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enveloped(pub Vec<u8>);

/// How many bytes fit an envelope of at most `limit` bytes of JSON.
pub const fn room(limit: usize) -> usize {
    // The braces, four quotes and the colon.
    limit.saturating_sub(FIELD.len() + 7) / 4 * 3
}

/// The JSON text of these bytes, in one piece of memory.
pub fn to_json(bytes: &[u8]) -> Vec<u8> {
    let mut text = String::with_capacity(FIELD.len() + 7 + bytes.len().div_ceil(3) * 4);
    text.push_str("{\"");
    text.push_str(FIELD);
    text.push_str("\":\"");
    STANDARD.encode_string(bytes, &mut text);
    text.push_str("\"}");
    text.into_bytes()
}

impl Serialize for Enveloped {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Enveloped", 1)?;
        object.serialize_field(FIELD, &STANDARD.encode(&self.0))?;
        object.end()
    }
}

impl<'de> Deserialize<'de> for Enveloped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Enveloped;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with the field `{FIELD}`, as RustWren sends it")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Enveloped, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<Field>()? {
            if key.0 {
                found = Some(map.next_value::<Text>()?.0);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        found.map(Enveloped).ok_or_else(|| de::Error::missing_field(FIELD))
    }
}

/// Whether a key is the field.
struct Field(bool);

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = Field;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_str<E: de::Error>(self, key: &str) -> Result<Field, E> {
                Ok(Field(key == FIELD))
            }
        }
        deserializer.deserialize_identifier(KeyVisitor)
    }
}

/// The bytes that a base64 text stands for, decoded from where the parser has it.
struct Text(Vec<u8>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl Visitor<'_> for TextVisitor {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes in base64")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                STANDARD.decode(text).map(Text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &[u8]) -> Result<Enveloped, serde_json::Error> {
        serde_json::from_slice(text)
    }

    proptest! {
        #[test]
        fn bytes_come_back(bytes: Vec<u8>) {
            let text = to_json(&bytes);
            prop_assert_eq!(&serde_json::to_vec(&Enveloped(bytes.clone())).unwrap(), &text);
            prop_assert_eq!(parse(&text).unwrap().0, bytes);
        }

        #[test]
        fn what_has_room_fits(limit in 0_usize..300) {
            let room = room(limit);
            prop_assert!(room == 0 || to_json(&vec![0; room]).len() <= limit);
            prop_assert!(to_json(&vec![0; room + 3]).len() > limit, "and not much is given away");
        }
    }

    #[test]
    fn other_json_is_refused_with_what_is_missing() {
        for (text, why) in [
            ("{\"key1\":\"value1\"}", "missing field `rustwren`"),
            ("[1]", "as RustWren sends it"),
            ("{\"rustwren\":\"%\"}", "Invalid"),
            ("{\"rustwren\":1}", "bytes in base64"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
        let later = parse(b"{\"more\":[{}],\"rustwren\":\"AA==\"}").unwrap();
        assert_eq!(later.0, [0], "a field more is no trouble");
    }
}
