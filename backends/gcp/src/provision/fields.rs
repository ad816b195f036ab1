//! Comparing what is there with what is wanted, field by field.

use rustwren_core::provision::Step;
use serde_json::Value;

/// A field that setup is in charge of: what people call it, and where it is.
pub(super) type Field = (&'static str, &'static str);

/// Adds every field that differs between two things to a step, which becomes an update where there are any. Fields are
/// JSON pointers. What is written out in full is told with both values, the rest only by its name.
pub(super) fn compare(step: Step, fields: &[Field], is: &Value, wanted: &Value) -> Step {
    let differs = fields.iter().fold(step, |step, (name, pointer)| {
        let (is, wanted) = (is.pointer(pointer), wanted.pointer(pointer));
        if same(is, wanted) {
            return step;
        }
        match (is.map(short), wanted.map(short)) {
            (Some(None), _) | (_, Some(None)) => step.differs_untold(*name),
            (is, wanted) => step.differs(*name, is.flatten(), wanted.flatten()),
        }
    });
    differs.update_if_different()
}

/// Google leaves out what is empty, and writes some numbers as text.
fn same(is: Option<&Value>, wanted: Option<&Value>) -> bool {
    let plain = |value: Option<&Value>| match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    is == wanted || plain(is) == plain(wanted)
}

fn short(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rustwren_core::provision::Change;
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_setup_is_in_charge_of_counts() {
        let fields = [("memory", "/a/memory"), ("variables", "/a/env"), ("instances", "/n")];
        let wanted = json!({ "a": { "memory": "2Gi", "env": [{ "name": "X" }] }, "n": 100 });
        let is = json!({ "a": { "memory": "2Gi", "env": [{ "name": "X" }] }, "n": "100", "uid": "7" });
        let step = || Step::new("service", "s", Change::None);
        assert_eq!(compare(step(), &fields, &is, &wanted).change, Change::None);
        let is = json!({ "a": { "memory": "1Gi", "env": [] } });
        let step = compare(step(), &fields, &is, &wanted);
        assert_eq!(step.change, Change::Update);
        let told: Vec<_> =
            step.differences.iter().map(|d| (&*d.what, d.from.as_deref(), d.to.as_deref())).collect();
        assert_eq!(
            told,
            [
                ("memory", Some("1Gi"), Some("2Gi")),
                ("variables", None, None),
                ("instances", None, Some("100"))
            ]
        );
    }
}
