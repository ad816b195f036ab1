//! The API that lines of logs are asked of, by <https://learn.microsoft.com/rest/api/logsquery/query/execute>, [its
//! errors](https://learn.microsoft.com/azure/azure-monitor/logs/api/errors) and [the table of
//! traces](https://learn.microsoft.com/azure/azure-monitor/reference/tables/apptraces), as read in November 2026; and as much of
//! the [Kusto Query Language](https://learn.microsoft.com/kusto/query/) as is spoken here: `where`, `project`, `sort by` and
//! `take`, over columns that hold texts.

use serde_json::{Value, json};

use super::super::Request;
use super::super::times::comparable;
use super::state::State;
use super::{Answered, Refusal};

/// A trace of Application Insights.
#[derive(Debug, Clone)]
pub(super) struct Trace {
    /// The connection string that it came by.
    pub(super) by: String,
    pub(super) time: String,
    pub(super) id: String,
    pub(super) role: String,
    pub(super) instance: String,
    pub(super) message: String,
}

/// The column of times; all others hold texts.
const TIME: &str = "TimeGenerated";
const COLUMNS: [&str; 5] = [TIME, "_ItemId", "AppRoleName", "AppRoleInstance", "Message"];

impl Trace {
    fn row(&self) -> Vec<String> {
        [&self.time, &self.id, &self.role, &self.instance, &self.message].map(Clone::clone).to_vec()
    }
}

fn bad(code: &str, message: &str) -> Refusal {
    let body = json!({ "error": {
        "message": "The request had some invalid properties",
        "code": "BadArgumentError",
        "innererror": { "code": code, "message": message },
    } });
    Refusal { status: 400, body: body.to_string(), retry_after: None }
}

impl State {
    /// The answer to a question about a workspace.
    pub(super) fn lines(&mut self, request: &Request, path: &str) -> Answered {
        let id = path.trim_start_matches("/v1/workspaces/").trim_end_matches("/query");
        let workspace = self.things.values().find(|thing| thing["properties"]["customerId"] == id);
        let Some(workspace) = workspace.filter(|_| request.method == "POST" && path.ends_with("/query"))
        else {
            return Err(Refusal::new(404, "PathNotFoundError", "The requested path does not exist"));
        };
        let body: Value = serde_json::from_slice(&request.body)
            .map_err(|error| bad("SyntaxError", &format!("the body: {error}")))?;
        let known = ["query", "timespan", "workspaces"];
        let fields = body.as_object().map(|fields| fields.keys().cloned().collect::<Vec<_>>());
        if fields.is_none_or(|fields| fields.iter().any(|field| !known.contains(&field.as_str()))) {
            return Err(bad("ValidationError", "an unknown field"));
        }
        // Traces that came by a component which keeps them here.
        let keeps = |by: &str| {
            self.things.values().any(|thing| {
                let properties = &thing["properties"];
                let into = properties["WorkspaceResourceId"].as_str();
                properties["ConnectionString"] == by
                    && into.zip(workspace["id"].as_str()).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b))
            })
        };
        let mut table = Table {
            columns: COLUMNS.map(str::to_owned).to_vec(),
            rows: self.traces.iter().filter(|trace| keeps(&trace.by)).map(Trace::row).collect(),
        };
        table.ask(body["query"].as_str().unwrap_or_default())?;
        let columns = table
            .columns
            .iter()
            .map(|name| json!({ "name": name, "type": if name == TIME { "datetime" } else { "string" } }));
        let mut answer = json!({ "tables": [
            { "name": "PrimaryResult", "columns": columns.collect::<Vec<_>>(), "rows": table.rows },
        ] });
        if let Some(message) = self.partly.take() {
            answer["error"] = json!({ "code": "PartialError", "message": message });
        }
        Ok(answer.into())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Time(String),
    Sign(&'static str),
}

const SIGNS: [&str; 11] = [">=", "<=", "==", "=~", ">", "<", "=", "(", ")", ",", "|"];

fn unknown(text: impl std::fmt::Debug) -> Refusal {
    bad("SyntaxError", &format!("A recognition error occurred at {text:?}"))
}

fn tokens(mut text: &str) -> Result<Vec<Token>, Refusal> {
    let mut all = Vec::new();
    loop {
        text = text.trim_start();
        let Some(first) = text.chars().next() else { return Ok(all) };
        if let Some(rest) = text.strip_prefix("datetime(") {
            let (time, after) = rest.split_once(')').ok_or_else(|| unknown(text))?;
            all.push(Token::Time(comparable(time)));
            text = after;
        } else if first == '"' {
            let mut values = serde_json::Deserializer::from_str(text).into_iter::<String>();
            let value = values.next().and_then(Result::ok).ok_or_else(|| unknown(text))?;
            all.push(Token::Text(value));
            text = &text[values.byte_offset()..];
        } else if let Some(sign) = SIGNS.iter().find(|sign| text.starts_with(**sign)) {
            all.push(Token::Sign(sign));
            text = &text[sign.len()..];
        } else {
            let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
            if end == 0 {
                return Err(unknown(text));
            }
            all.push(Token::Word(text[..end].to_owned()));
            text = &text[end..];
        }
    }
}

/// What a question has come to so far.
struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Does what a question says, step by step.
    fn ask(&mut self, question: &str) -> Result<(), Refusal> {
        let tokens = tokens(question)?;
        let mut steps = tokens.split(|token| *token == Token::Sign("|"));
        if steps.next() != Some(&[Token::Word("AppTraces".to_owned())]) {
            return Err(bad("SemanticError", "Failed to resolve table expression"));
        }
        for step in steps {
            let (first, rest) = step.split_first().ok_or_else(|| unknown(step))?;
            let Token::Word(operator) = first else { return Err(unknown(step)) };
            match (operator.as_str(), rest) {
                ("where", _) => self.filter(rest)?,
                ("project", _) => self.project(rest)?,
                ("sort", [Token::Word(by), rest @ ..]) if by == "by" => self.sort(rest)?,
                ("take", [Token::Word(most)]) => {
                    self.rows.truncate(most.parse().map_err(|_| unknown(step))?);
                }
                _ => return Err(unknown(step)),
            }
        }
        Ok(())
    }

    fn column(&self, name: &str) -> Result<usize, Refusal> {
        self.columns.iter().position(|column| column == name).ok_or_else(|| {
            bad("SemanticError", &format!("Failed to resolve column or scalar expression named '{name}'"))
        })
    }

    fn filter(&mut self, tokens: &[Token]) -> Result<(), Refusal> {
        let (condition, rest) = self.either(tokens)?;
        if !rest.is_empty() {
            return Err(unknown(rest));
        }
        self.rows.retain(|row| condition(row));
        Ok(())
    }

    fn project(&mut self, tokens: &[Token]) -> Result<(), Refusal> {
        let mut columns = Vec::new();
        for one in tokens.split(|token| *token == Token::Sign(",")) {
            match one {
                [Token::Word(name)] => columns.push((name.clone(), self.column(name)?)),
                [Token::Word(name), Token::Sign("="), Token::Word(from)] => {
                    columns.push((name.clone(), self.column(from)?));
                }
                _ => return Err(unknown(one)),
            }
        }
        for row in &mut self.rows {
            *row = columns.iter().map(|(_, at)| row[*at].clone()).collect();
        }
        self.columns = columns.into_iter().map(|(name, _)| name).collect();
        Ok(())
    }

    fn sort(&mut self, tokens: &[Token]) -> Result<(), Refusal> {
        let mut by = Vec::new();
        for one in tokens.split(|token| *token == Token::Sign(",")) {
            match one {
                [Token::Word(name), Token::Word(order)] if order == "asc" => by.push(self.column(name)?),
                // The other way round unless it is said.
                _ => return Err(unknown(one)),
            }
        }
        let Self { columns, rows } = self;
        let key = |row: &Vec<String>| {
            by.iter().map(|at| value_of(&row[*at], columns[*at] == TIME)).collect::<Vec<_>>()
        };
        rows.sort_by_key(key);
        Ok(())
    }

    /// `a or b`, where `and` binds closer.
    fn either<'a>(&self, tokens: &'a [Token]) -> Result<(Condition<'a>, &'a [Token]), Refusal> {
        let (first, rest) = self.both(tokens)?;
        match rest {
            [Token::Word(or), rest @ ..] if or == "or" => {
                let (second, rest) = self.either(rest)?;
                Ok((Box::new(move |row| first(row) || second(row)), rest))
            }
            _ => Ok((first, rest)),
        }
    }

    fn both<'a>(&self, tokens: &'a [Token]) -> Result<(Condition<'a>, &'a [Token]), Refusal> {
        let (first, rest) = self.one(tokens)?;
        match rest {
            [Token::Word(and), rest @ ..] if and == "and" => {
                let (second, rest) = self.both(rest)?;
                Ok((Box::new(move |row| first(row) && second(row)), rest))
            }
            _ => Ok((first, rest)),
        }
    }

    fn one<'a>(&self, tokens: &'a [Token]) -> Result<(Condition<'a>, &'a [Token]), Refusal> {
        match tokens {
            [Token::Sign("("), rest @ ..] => match self.either(rest)? {
                (inner, [Token::Sign(")"), rest @ ..]) => Ok((inner, rest)),
                (_, rest) => Err(unknown(rest)),
            },
            [Token::Word(name), Token::Sign(sign), Token::Text(value) | Token::Time(value), rest @ ..] => {
                let (at, is_time) = (self.column(name)?, name == TIME);
                if matches!(tokens[2], Token::Time(_)) != is_time {
                    return Err(bad("SemanticError", &format!("Cannot compare values of types at '{name}'")));
                }
                let sign = *sign;
                let holds = move |row: &[String]| {
                    let is = value_of(&row[at], is_time);
                    match sign {
                        "==" => is == *value,
                        "=~" => is.eq_ignore_ascii_case(value),
                        ">=" => is >= *value,
                        "<=" => is <= *value,
                        ">" => is > *value,
                        _ => is < *value,
                    }
                };
                Ok((Box::new(holds), rest))
            }
            _ => Err(unknown(tokens)),
        }
    }
}

/// A value as it is compared.
fn value_of(text: &str, is_time: bool) -> String {
    if is_time { comparable(text) } else { text.to_owned() }
}

type Condition<'a> = Box<dyn Fn(&[String]) -> bool + 'a>;

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(question: &str) -> Result<Vec<Vec<String>>, String> {
        let row = |time: &str, id: &str| {
            vec![time.to_owned(), id.to_owned(), "App".to_owned(), "i".to_owned(), "m".to_owned()]
        };
        let mut table = Table {
            columns: COLUMNS.map(str::to_owned).to_vec(),
            rows: vec![
                row("2026-11-01T00:00:00.1Z", "b"),
                row("2026-11-01T00:00:00Z", "c"),
                row("2026-11-01T00:00:00.10Z", "a"),
            ],
        };
        table.ask(question).map(|()| table.rows).map_err(|refusal| refusal.body)
    }

    fn ids(question: &str) -> Vec<String> {
        let rows = asked(&format!("AppTraces | {question} | project Id = _ItemId")).unwrap();
        rows.into_iter().flatten().collect()
    }

    #[test]
    fn questions() {
        assert_eq!(ids("sort by TimeGenerated asc, _ItemId asc"), ["c", "a", "b"]);
        assert_eq!(ids("sort by _ItemId asc | take 2"), ["a", "b"]);
        assert_eq!(ids("where AppRoleName =~ \"aPP\" and _ItemId > \"a\""), ["b", "c"]);
        assert_eq!(ids("where AppRoleName == \"aPP\""), [""; 0]);
        let after = "where TimeGenerated > datetime(2026-11-01T00:00:00.1Z) or (TimeGenerated == \
                     datetime(2026-11-01T00:00:00.1Z) and _ItemId > \"a\")";
        assert_eq!(ids(after), ["b"]);
        for wrong in [
            "",
            "AppRequests",
            "AppTraces | where",
            "AppTraces | where Colour == \"x\"",
            "AppTraces | where TimeGenerated > \"x\"",
            "AppTraces | where Message == \"x\" Message",
            "AppTraces | sort by Message",
            "AppTraces | take all",
            "AppTraces | summarize count()",
        ] {
            assert!(asked(wrong).unwrap_err().contains("BadArgumentError"), "{wrong}");
        }
    }
}
