//! Whether a value is what a definition says.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::Value;

use super::enums::has_number;
use super::{Api, Schema, Wrong};

/// Which way a message goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sent<'a> {
    /// To Google: what is required is there, and nothing that is for answers alone.
    Request {
        /// The method's id.
        method: &'a str,
        /// Whether all of the message is sent, and not only what changes.
        whole: bool,
    },
    /// From Google, which writes numbers of 64 bits as text, and leaves out what is empty.
    Answer,
}

/// Checks a parameter of a query.
pub(super) fn parameter(schema: &Schema, name: &str, text: &str) -> Result<(), Wrong> {
    // Repeated parameters come once for each value.
    let value = match schema.kind.as_deref() {
        Some("integer" | "number" | "boolean") => {
            serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
        }
        _ => Value::String(text.to_owned()),
    };
    plain(schema, &value, name, true).map_err(Wrong)
}

/// Checks a value that is at this place; else what is wrong.
pub(super) fn check(
    api: &Api,
    schema: &Schema,
    value: &Value,
    place: &str,
    sent: Sent<'_>,
) -> Result<(), String> {
    if let Some(name) = &schema.reference {
        let message = &api.schemas[name];
        return check(api, message, value, place, sent);
    }
    match (schema.kind.as_deref(), value) {
        (Some("any"), _) => Ok(()),
        (Some("array"), Value::Array(all)) => {
            let Some(items) = schema.items.as_deref() else { return Ok(()) };
            all.iter()
                .enumerate()
                .try_for_each(|(index, one)| check(api, items, one, &format!("{place}[{index}]"), sent))
        }
        (Some("object"), Value::Object(map)) => {
            // A value of any kind, if it is of one that is known here.
            if let (Some(message), Sent::Answer) = (api.message_of(value), sent) {
                let mut said = map.clone();
                said.remove("@type");
                return check(api, message, &Value::Object(said), place, sent);
            }
            if let Sent::Request { method, whole } = sent {
                let must = |field: &Schema| {
                    (field.required && whole) || field.required_by.iter().any(|by| by == method)
                };
                let is_there = |name: &String| map.get(name).is_some_and(|value| !value.is_null());
                let missing = schema.properties.iter().find(|(name, field)| must(field) && !is_there(name));
                if let Some((name, _)) = missing {
                    return Err(format!("Required field {} not set", inner(place, name)));
                }
            }
            map.iter().try_for_each(|(name, value)| {
                let Some(field) = schema.properties.get(name) else {
                    return match schema.additional_properties.as_deref() {
                        Some(field) => check(api, field, value, &format!("{place}[{name}]"), sent),
                        None => Err(unknown(name, place)),
                    };
                };
                let place = inner(place, name);
                match sent {
                    Sent::Request { .. } if field.read_only => Err(format!("{place} is output only")),
                    _ => check(api, field, value, &place, sent),
                }
            })
        }
        _ => plain(schema, value, place, matches!(sent, Sent::Request { .. })),
    }
}

fn inner(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}

fn unknown(name: &str, place: &str) -> String {
    let at = if place.is_empty() { String::new() } else { format!(" at '{place}'") };
    format!("Invalid JSON payload received. Unknown name \"{name}\"{at}: Cannot find field.")
}

/// Checks a value that is no message.
fn plain(schema: &Schema, value: &Value, place: &str, is_request: bool) -> Result<(), String> {
    let (kind, format) = (schema.kind.as_deref().unwrap_or_default(), schema.format.as_deref());
    let fits = match (kind, format, value) {
        ("boolean", _, Value::Bool(_)) | ("number", _, Value::Number(_)) => true,
        ("integer", Some("uint32"), Value::Number(number)) => {
            number.as_u64().is_some_and(|n| u32::try_from(n).is_ok())
        }
        ("integer", Some("int32"), Value::Number(number)) => {
            number.as_i64().is_some_and(|n| i32::try_from(n).is_ok())
        }
        ("string", Some("int64"), Value::String(text)) => text.parse::<i64>().is_ok(),
        ("string", Some("uint64"), Value::String(text)) => text.parse::<u64>().is_ok(),
        ("string", Some("int64" | "uint64"), Value::Number(number)) => {
            is_request && (number.is_i64() || number.is_u64())
        }
        ("string", None, Value::Number(number)) => is_request && has_number(schema, number.as_i64()),
        ("string", Some("google-datetime" | "date-time"), Value::String(text)) => is_time(text),
        ("string", _, Value::String(text)) => return text_of(schema, text, place),
        // Where one is expected that is none, its kind is told like any other's.
        _ => false,
    };
    if fits {
        return Ok(());
    }
    let name = format.unwrap_or(kind).to_uppercase();
    Err(format!("Invalid value at '{place}' (TYPE_{name}), {value}"))
}

/// Checks a text that is no number and no time.
fn text_of(schema: &Schema, text: &str, place: &str) -> Result<(), String> {
    match schema.format.as_deref() {
        Some("google-duration") if !is_duration(text) => Err(format!(
            "Invalid value at '{place}' (type.googleapis.com/google.protobuf.Duration), Illegal duration format; duration must \
             end with 's'"
        )),
        Some("byte") if STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).is_err() => {
            Err(format!("Invalid value at '{place}' (TYPE_BYTES), Base64 decoding failed for {text:?}"))
        }
        _ if !schema.one_of.is_empty() && !schema.one_of.iter().any(|known| known == text) => {
            Err(format!("Invalid value at '{place}', {text:?} is none of {}", schema.one_of.join(", ")))
        }
        _ => Ok(()),
    }
}

/// `300s`, `1.5s`
fn is_duration(text: &str) -> bool {
    let Some(number) = text.strip_suffix('s') else { return false };
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole.trim_start_matches('-')) && digits(part) && part.len() <= 9
}

/// `2026-01-31T23:59:59.123Z`, by its form.
fn is_time(text: &str) -> bool {
    const FORM: &[u8] = b"dddd-dd-ddTdd:dd:dd";
    let bytes = text.as_bytes();
    let fits = |(&form, &byte): (&u8, &u8)| if form == b'd' { byte.is_ascii_digit() } else { form == byte };
    let Some(rest) = bytes.get(FORM.len()..) else { return false };
    let part = rest.strip_suffix(b"Z").unwrap_or(b"x");
    FORM.iter().zip(bytes).all(fits)
        && match part.split_first() {
            None => true,
            Some((b'.', digits)) => {
                !digits.is_empty() && digits.len() <= 9 && digits.iter().all(u8::is_ascii_digit)
            }
            Some(_) => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for right in ["2026-01-31T23:59:59Z", "2026-01-31T23:59:59.123456789Z"] {
            assert!(is_time(right), "{right}");
        }
        for wrong in [
            "",
            "2026-01-31",
            "2026-01-31 23:59:59Z",
            "2026-01-31T23:59:59",
            "2026-01-31T23:59:59.Z",
            "2026-01-31T23:59:59+01",
        ] {
            assert!(!is_time(wrong), "{wrong}");
        }
        for right in ["0s", "300s", "1.5s", "-3s"] {
            assert!(is_duration(right), "{right}");
        }
        for wrong in ["", "s", "5m", "1.s", "1.0000000001s", "x s"] {
            assert!(!is_duration(wrong), "{wrong}");
        }
    }
}
