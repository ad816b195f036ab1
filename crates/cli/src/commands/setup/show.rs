//! Plans as people and scripts read them.

use std::fmt::Write as _;

use anstyle::Style;
use rustwren::provision::{Change, Difference, Plan, Step};

use crate::human;
use crate::output::{ACTIVE, BOLD, DIM, ERROR, GOOD, WARNING};
use crate::table::{Align, Cell, Table, printable};

/// What is said of a change before it is made, and how it looks.
fn word(change: Change) -> (&'static str, Style) {
    match change {
        Change::None => ("ok", DIM),
        Change::Create => ("create", GOOD),
        Change::Update => ("update", ACTIVE),
        Change::Replace => ("replace", WARNING),
        Change::Delete => ("delete", ERROR),
    }
}

/// What is said of a change that was made.
pub(super) fn past(change: Change) -> &'static str {
    match change {
        Change::None => "left alone",
        Change::Create => "created",
        Change::Update => "updated",
        Change::Replace => "replaced",
        Change::Delete => "deleted",
    }
}

/// The plan: a heading, a row for each step with what differs below it, and what else is to know.
pub(crate) fn plan(backend: &str, target: &str, plan: &Plan) -> String {
    let mut text = format!("{BOLD}{backend}{BOLD:#}: {}\n\n", printable(target));
    let mut table = Table::new([
        ("CHANGE", Align::Left),
        ("KIND", Align::Left),
        ("NAME", Align::Left),
        ("ABOUT", Align::Left),
    ]);
    for step in &plan.steps {
        let (word, style) = word(step.change);
        table.row([
            Cell::styled(word, style),
            Cell::new(step.kind.as_str()),
            Cell::new(step.name.as_str()),
            Cell::styled(step.about.as_str(), DIM),
        ]);
    }
    let rendered = table.render();
    let mut lines = rendered.lines();
    // Writing to a string does not fail.
    let line = |text: &mut String, line: &str| writeln!(text, "  {line}").unwrap_or_default();
    if !plan.steps.is_empty() {
        line(&mut text, lines.next().unwrap_or_default());
    }
    for (step, row) in plan.steps.iter().zip(lines) {
        line(&mut text, row);
        for different in &step.differences {
            line(&mut text, &format!("         {}", difference(different)));
        }
    }
    for note in &plan.notes {
        line(&mut text, &format!("{WARNING}note:{WARNING:#} {}", printable(note)));
    }
    text
}

fn difference(difference: &Difference) -> String {
    let what = printable(&difference.what);
    let side = |value: &Option<String>| value.as_deref().map_or_else(|| "(not set)".to_owned(), printable);
    match (&difference.from, &difference.to) {
        (None, None) => format!("{what} {DIM}differs{DIM:#}"),
        (from, to) => format!("{what} {DIM}{} →{DIM:#} {}", side(from), side(to)),
    }
}

/// `3 to create, 1 to update, 2 as they should be`.
pub(crate) fn sum(plans: &[&Plan]) -> String {
    let steps = || plans.iter().flat_map(|plan| &plan.steps);
    let count = |change| steps().filter(|step| step.change == change).count() as u64;
    let changes = [Change::Create, Change::Update, Change::Replace, Change::Delete];
    let mut parts: Vec<String> = changes
        .into_iter()
        .filter(|change| count(*change) > 0)
        .map(|change| format!("{} to {}", human::count(count(change)), word(change).0))
        .collect();
    match count(Change::None) {
        0 => {}
        1 => parts.push("1 as it should be".to_owned()),
        others => parts.push(format!("{} as they should be", human::count(others))),
    }
    parts.join(", ")
}

/// A step as a phrase: `create bucket rustwren-1`.
pub(super) fn phrase(step: &Step) -> String {
    format!("{} {} {}", word(step.change).0, printable(&step.kind), printable(&step.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_a_table_with_differences_below_their_rows() {
        let shown = Plan::new([
            Step::new("bucket", "rustwren-1", Change::None).about("encrypted"),
            Step::new("role", "rustwren", Change::Create),
            Step::new("function", "rustwren\u{1b}[2J", Change::Update)
                .differs("memory", Some("512MB"), Some("1GB"))
                .differs("timeout", None::<&str>, Some("15m"))
                .differs_untold("code"),
        ])
        .note("The function is restarted.");
        let text = plan("aws", "account 1", &shown);
        let expected = "\
aws: account 1

  CHANGE  KIND      NAME          ABOUT
  ok      bucket    rustwren-1    encrypted
  create  role      rustwren
  update  function  rustwren\u{fffd}[2J
           memory 512MB → 1GB
           timeout (not set) → 15m
           code differs
  note: The function is restarted.
";
        assert_eq!(anstream::adapter::strip_str(&text).to_string(), expected);
        assert_eq!(sum(&[&shown]), "1 to create, 1 to update, 1 as it should be");
        assert_eq!(phrase(&shown.steps[1]), "create role rustwren");
    }

    #[test]
    fn nothing_is_summed_up_as_nothing() {
        assert_eq!(sum(&[]), "");
        assert_eq!(plan("http", "x", &Plan::default().note("y")).lines().count(), 3);
    }
}
