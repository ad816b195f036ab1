//! Values of enums, which have names and numbers.

use serde_json::Value;

use super::{Api, Schema, Wrong};

/// Whether an answer is asked for with numbers: `json;enum-encoding=int`.
pub(super) fn are_asked_by_number(alt: &str) -> Result<bool, Wrong> {
    match alt {
        "json" => Ok(false),
        "json;enum-encoding=int" => Ok(true),
        // There are others, which are not spoken here.
        _ => Err(Wrong(format!("Invalid value at '$alt', {alt:?}"))),
    }
}

/// A value with the names of enums' values in place of their numbers.
pub(super) fn named(api: &Api, schema: &Schema, value: &Value) -> Value {
    mapped(api, schema, value, &|schema, value| {
        let at = schema.numbers.iter().position(|number| number.is_some() && *number == value.as_i64())?;
        schema.one_of.get(at).map(|name| Value::from(name.as_str()))
    })
}

/// A value with the numbers of enums' values in place of their names. Those whose numbers are not known keep their names.
pub(super) fn numbered(api: &Api, schema: &Schema, value: &Value) -> Value {
    mapped(api, schema, value, &|schema, value| {
        let at = schema.one_of.iter().position(|name| value == name.as_str())?;
        schema.numbers.get(at).copied().flatten().map(Value::from)
    })
}

/// Whether a number is one of an enum's.
pub(super) fn has_number(schema: &Schema, number: Option<i64>) -> bool {
    number.is_some() && schema.numbers.contains(&number)
}

/// A value with every value of an enum in it changed so, wherever there is a change.
fn mapped(
    api: &Api,
    schema: &Schema,
    value: &Value,
    change: &dyn Fn(&Schema, &Value) -> Option<Value>,
) -> Value {
    if let Some(name) = &schema.reference {
        return mapped(api, &api.schemas[name], value, change);
    }
    match value {
        Value::Array(all) => match schema.items.as_deref() {
            Some(items) => all.iter().map(|one| mapped(api, items, one, change)).collect(),
            None => value.clone(),
        },
        Value::Object(map) => {
            let schema = api.message_of(value).unwrap_or(schema);
            let inner = |(name, value): (&String, &Value)| {
                let field = schema.properties.get(name).or(schema.additional_properties.as_deref());
                let value = field.map_or_else(|| value.clone(), |field| mapped(api, field, value, change));
                (name.clone(), value)
            };
            Value::Object(map.iter().map(inner).collect())
        }
        plain => change(schema, plain).unwrap_or_else(|| plain.clone()),
    }
}
