//! Buckets, their objects, and uploads under way.

use std::collections::{BTreeMap, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::query::Target;

#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) data: Bytes,
    pub(super) generation: i64,
    pub(super) written: SystemTime,
    pub(super) crc32c: u32,
    /// What the writer said of it: `metadata`, `contentType`.
    pub(super) said: Map<String, Value>,
}

/// What must hold for a request to be carried out.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Conditions {
    is: Option<i64>,
    is_not: Option<i64>,
}

impl Conditions {
    /// Those of a request's query.
    pub(super) fn of(target: &Target) -> Self {
        let number = |name| target.value(name).and_then(|value| value.parse().ok());
        Self { is: number("ifGenerationMatch"), is_not: number("ifGenerationNotMatch") }
    }

    /// Whether they hold for what is there; of nothing the generation is 0.
    pub(super) fn hold(self, object: Option<&Object>) -> bool {
        let generation = object.map_or(0, |object| object.generation);
        self.is.is_none_or(|is| is == generation) && self.is_not.is_none_or(|is_not| is_not != generation)
    }
}

/// Why an object was not written.
#[derive(Debug)]
pub(super) enum NotWritten {
    NoBucket,
    Unmet,
    /// Its checksum is not the one that the writer gave.
    Damaged(String),
}

/// A resumable upload under way.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) bucket: String,
    pub(super) object: String,
    pub(super) conditions: Conditions,
    pub(super) said: Map<String, Value>,
    /// What has arrived.
    pub(super) data: Bytes,
}

impl Upload {
    /// Bytes from this place on, and no others after them. Those of one request are kept as they came.
    pub(super) fn put(&mut self, start: usize, bytes: Bytes) {
        self.data = match start {
            0 => bytes,
            _ => [&self.data[..start], &bytes].concat().into(),
        };
    }
}

#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) buckets: HashMap<String, BTreeMap<String, Object>>,
    pub(super) uploads: HashMap<String, Upload>,
    /// Objects that uploads were completed as: whoever asks again is told the same.
    pub(super) completed: HashMap<String, Value>,
    last_generation: i64,
}

impl Store {
    /// Whether it was not there before.
    pub(super) fn make_bucket(&mut self, bucket: &str) -> bool {
        let is_new = !self.buckets.contains_key(bucket);
        self.buckets.entry(bucket.to_owned()).or_default();
        is_new
    }

    /// Writes an object, and gives its resource.
    pub(super) fn write(
        &mut self,
        bucket: &str,
        name: &str,
        data: Bytes,
        said: Map<String, Value>,
        conditions: Conditions,
    ) -> Result<Value, NotWritten> {
        let objects = self.buckets.get_mut(bucket).ok_or(NotWritten::NoBucket)?;
        if !conditions.hold(objects.get(name)) {
            return Err(NotWritten::Unmet);
        }
        let crc32c = crc32c::crc32c(&data);
        if let Some(given) = said.get("crc32c").and_then(Value::as_str)
            && given != encoded(crc32c)
        {
            return Err(NotWritten::Damaged(format!(
                "Provided CRC32C \"{given}\" doesn't match calculated CRC32C \"{}\".",
                encoded(crc32c)
            )));
        }
        #[expect(clippy::disallowed_methods, reason = "the date is the client's to show")]
        let written = SystemTime::now();
        // Microseconds, as the service has them, and never the same twice.
        let now = written.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64);
        self.last_generation = now.max(self.last_generation + 1);
        let object = Object { data, generation: self.last_generation, written, crc32c, said };
        let resource = resource(bucket, name, &object);
        objects.insert(name.to_owned(), object);
        Ok(resource)
    }
}

/// A checksum as the API has it.
pub(super) fn encoded(crc32c: u32) -> String {
    STANDARD.encode(crc32c.to_be_bytes())
}

/// An object's resource, <https://cloud.google.com/storage/docs/json_api/v1/objects#resource>.
pub(super) fn resource(bucket: &str, name: &str, object: &Object) -> Value {
    let generation = object.generation.to_string();
    let written = timestamp(object.written);
    let mut resource = json!({
        "kind": "storage#object",
        "id": format!("{bucket}/{name}/{generation}"),
        "bucket": bucket,
        "name": name,
        "generation": generation,
        "metageneration": "1",
        "size": object.data.len().to_string(),
        "crc32c": encoded(object.crc32c),
        "etag": format!("E{generation}"),
        "storageClass": "STANDARD",
        "timeCreated": written,
        "updated": written,
    });
    for name in ["metadata", "contentType"] {
        if let Some(value) = object.said.get(name) {
            resource[name] = value.clone();
        }
    }
    resource
}

/// `2026-01-31T23:59:59.123Z`
fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = ((since.as_secs() / 86_400).cast_signed(), since.as_secs() % 86_400);
    // Days since the first of March of the year 0, in eras of 400 years.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, year) = if month < 10 { (month + 3, year) } else { (month - 9, year + 1) };
    let year = year + era * 400;
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn timestamps() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_001, "2000-02-29T00:00:00.001Z"),
            (1_798_761_599_999, "2026-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(timestamp(UNIX_EPOCH + Duration::from_millis(millis)), text);
        }
    }
}
