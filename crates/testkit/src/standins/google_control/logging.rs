//! Entries of logs, and as much of the language of filters as is spoken here: comparisons, all of which must hold.

use serde_json::{Value, json};

use super::super::times::comparable;
use super::state::{Call, State};
use super::{Answer, bad};

/// As many as Google gives where nothing else is asked for.
const PAGE: usize = 50;

impl State {
    pub(super) fn logging(&self, call: &Call<'_>) -> Answer {
        let body = &call.body;
        let project = format!("projects/{}", self.project);
        if body["resourceNames"] != json!([project]) {
            return Err(bad(&format!("The resource names must be [{project}].")));
        }
        let comparisons = comparisons(body["filter"].as_str().unwrap_or_default())?;
        let mut found: Vec<&Value> = Vec::new();
        for entry in &self.entries {
            if comparisons.iter().all(|comparison| comparison.holds(entry)) {
                found.push(entry);
            }
        }
        // Equal times are in the order of their ids.
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        found.sort_by_key(|entry| (comparable(&text(&entry["timestamp"])), text(&entry["insertId"])));
        match body["orderBy"].as_str() {
            None | Some("timestamp asc") => {}
            Some("timestamp desc") => found.reverse(),
            Some(other) => return Err(bad(&format!("Invalid order_by: {other}"))),
        }
        let first: usize = match body["pageToken"].as_str() {
            None => 0,
            Some(token) => {
                token.parse().map_err(|_| bad("page_token doesn't match arguments from the request"))?
            }
        };
        let most = body["pageSize"].as_u64().map_or(PAGE, |size| (size as usize).min(1000));
        let entries: Vec<_> = found.iter().skip(first).take(most).collect();
        let next = first + entries.len();
        // What is empty is left out.
        let mut page = json!({});
        if !entries.is_empty() {
            page["entries"] = json!(entries);
        }
        if next < found.len() {
            page["nextPageToken"] = json!(next.to_string());
        }
        Ok(page)
    }
}

/// `resource.labels.service_name = "wren"`
#[derive(Debug, PartialEq, Eq)]
struct Comparison {
    field: Vec<String>,
    operator: &'static str,
    value: String,
}

impl Comparison {
    fn holds(&self, entry: &Value) -> bool {
        let found = self.field.iter().fold(entry, |value, name| &value[name.as_str()]);
        let found = found.as_str().unwrap_or_default();
        let order = match self.field[0].as_str() {
            "timestamp" => comparable(found).cmp(&comparable(&self.value)),
            _ => found.cmp(&self.value),
        };
        match self.operator {
            "=" => order.is_eq(),
            "!=" => order.is_ne(),
            ">=" => order.is_ge(),
            _ => order.is_le(),
        }
    }
}

fn comparisons(filter: &str) -> Result<Vec<Comparison>, (u16, Value)> {
    let unparseable = || bad(&format!("Unparseable filter: {filter}"));
    let mut all = Vec::new();
    for part in filter.split(" AND ").filter(|part| !part.is_empty()) {
        let operators = ["!=", ">=", "<=", "="];
        let (at, operator) = operators
            .iter()
            .filter_map(|operator| Some((part.find(operator)?, *operator)))
            .min()
            .ok_or_else(unparseable)?;
        let (field, value) = (part[..at].trim(), part[at + operator.len()..].trim());
        let value: String = serde_json::from_str(value).map_err(|_| unparseable())?;
        let known = ["resource.type", "resource.labels.", "labels.", "timestamp", "logName", "severity"];
        if !known.iter().any(|known| field.starts_with(known)) {
            return Err(unparseable());
        }
        all.push(Comparison { field: field.split('.').map(ToOwned::to_owned).collect(), operator, value });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        let entry = json!({ "resource": { "type": "t", "labels": { "a": "b" } }, "timestamp": "2026-11-01T00:00:00Z" });
        let holds = |filter| comparisons(filter).unwrap().iter().all(|one| one.holds(&entry));
        assert!(holds(""));
        assert!(holds(
            r#"resource.type="t" AND resource.labels.a = "b" AND timestamp>="2026-11-01T00:00:00Z""#
        ));
        assert!(!holds(r#"resource.type="t" AND resource.labels.a="c""#));
        assert!(!holds(r#"timestamp>="2026-11-01T00:00:01Z""#));
        assert!(!holds(r#"timestamp>="2026-11-01T00:00:00.000001Z""#));
        assert!(comparable("2026-11-01T00:00:00.1Z") > comparable("2026-11-01T00:00:00Z"));
        for wrong in ["resource.type", "resource.type=t", "resourse.type=\"t\"", "resource.type=\"t"] {
            comparisons(wrong).unwrap_err();
        }
    }
}
