//! Which part of an answer is asked for: `items(name,size),nextPageToken`, `items/metadata/mark`, `*`; see
//! <https://cloud.google.com/storage/docs/json_api#partial-response>.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Api, Schema};

/// Fields, each with what is wanted of it; nothing said means all of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mask(BTreeMap<String, Mask>);

/// It is not written as masks are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Mask {
    pub(super) fn read(text: &str) -> Result<Self, Malformed> {
        let mut rest = text;
        let mask = list(&mut rest)?;
        if rest.is_empty() { Ok(mask) } else { Err(Malformed) }
    }

    /// Whether a message has all of these fields; else the first that it has not.
    pub(super) fn check(&self, api: &Api, schema: &Schema) -> Result<(), String> {
        let schema = resolved(api, schema);
        self.0.iter().try_for_each(|(name, inner)| {
            if name == "*" {
                return Ok(());
            }
            let field = schema.properties.get(name).or(schema.additional_properties.as_deref());
            // What is in a value of any kind is not known.
            if field.is_none() && schema.kind.as_deref() == Some("any") {
                return Ok(());
            }
            inner.check(api, field.ok_or_else(|| name.clone())?)
        })
    }

    /// That part of a value.
    pub(super) fn select(&self, value: &Value) -> Value {
        match value {
            _ if self.0.is_empty() => value.clone(),
            Value::Array(all) => all.iter().map(|one| self.select(one)).collect(),
            Value::Object(map) => {
                let wanted = |name: &String| self.0.get(name).or_else(|| self.0.get("*"));
                let kept = map.iter().filter_map(|(name, value)| {
                    wanted(name).map(|inner| (name.clone(), inner.select(value)))
                });
                Value::Object(kept.collect())
            }
            other => other.clone(),
        }
    }
}

/// The message that a field is, or each of its items.
fn resolved<'a>(api: &'a Api, schema: &'a Schema) -> &'a Schema {
    if let Some(name) = &schema.reference {
        return resolved(api, &api.schemas[name]);
    }
    schema.items.as_deref().map_or(schema, |items| resolved(api, items))
}

fn list(rest: &mut &str) -> Result<Mask, Malformed> {
    let mut mask = Mask::default();
    loop {
        let (name, inner) = field(rest)?;
        mask.0.entry(name).or_default().0.extend(inner.0);
        match rest.strip_prefix(',') {
            Some(more) => *rest = more,
            None => return Ok(mask),
        }
    }
}

fn field(rest: &mut &str) -> Result<(String, Mask), Malformed> {
    let end = rest.find([',', '(', ')', '/']).unwrap_or(rest.len());
    let (name, more) = rest.split_at(end);
    *rest = more;
    if name.is_empty() {
        return Err(Malformed);
    }
    let inner = if let Some(more) = rest.strip_prefix('/') {
        *rest = more;
        let (name, inner) = field(rest)?;
        Mask(BTreeMap::from([(name, inner)]))
    } else if let Some(more) = rest.strip_prefix('(') {
        *rest = more;
        let inner = list(rest)?;
        *rest = rest.strip_prefix(')').ok_or(Malformed)?;
        inner
    } else {
        Mask::default()
    };
    Ok((name.to_owned(), inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks() {
        let read = |text| Mask::read(text);
        assert_eq!(read("a/b,a/c"), read("a(b,c)"));
        assert_eq!(read("a(b(c),d/e),f").unwrap().0.len(), 2);
        for wrong in ["", ",", "a,", "a(", "a()", "a)", "a(b", "/a", "a/"] {
            assert_eq!(read(wrong), Err(Malformed), "{wrong:?}");
        }
    }
}
