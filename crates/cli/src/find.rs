//! From what a user types to a job's id: the id, or a beginning that no other has.

use rustwren::__cli::error::{Error, ErrorKind, Result};

/// So many candidates are named at most.
const NAMED: usize = 8;
/// Ids further away than this are no typing errors.
const FURTHEST: usize = 4;

/// The only one of `ids` that is `wanted` or begins with it.
pub(crate) fn find<'a>(wanted: &str, ids: &[&'a str], place: &str) -> Result<&'a str> {
    if let Some(exact) = ids.iter().find(|id| **id == wanted) {
        return Ok(exact);
    }
    let candidates: Vec<&str> =
        ids.iter().copied().filter(|id| !wanted.is_empty() && id.starts_with(wanted)).collect();
    match candidates[..] {
        [only] => Ok(only),
        [] => Err(unknown(wanted, ids, place)),
        _ => Err(ambiguous(wanted, &candidates)),
    }
}

fn ambiguous(wanted: &str, candidates: &[&str]) -> Error {
    let mut text = format!("{} jobs have an id that begins with {wanted}:", candidates.len());
    for id in candidates.iter().take(NAMED) {
        text = text + "\n  " + id;
    }
    if candidates.len() > NAMED {
        text = format!("{text}\n  … and {} more", candidates.len() - NAMED);
    }
    Error::new(ErrorKind::Config, text).with_hint("type more of it; `rustwren jobs list` tells them apart")
}

fn unknown(wanted: &str, ids: &[&str], place: &str) -> Error {
    let error = Error::new(ErrorKind::Config, format!("there is no job {:?} in {place}", shown(wanted)));
    if ids.is_empty() {
        return error.with_hint(
            "there are no jobs at all: is it the right configuration? see `rustwren config show`",
        );
    }
    let mut near: Vec<(usize, &str)> = ids
        .iter()
        .map(|id| {
            // Compared with as much of the id as was typed: a beginning may have its own typing error.
            let beginning = id.get(..wanted.len()).unwrap_or(id);
            (strsim::damerau_levenshtein(wanted, id).min(strsim::damerau_levenshtein(wanted, beginning)), *id)
        })
        .filter(|(distance, _)| *distance <= FURTHEST && *distance < wanted.chars().count())
        .collect();
    near.sort_unstable();
    near.truncate(3);
    match near[..] {
        [] => error.with_hint("`rustwren jobs list --all` shows the jobs that are there"),
        [(_, only)] => error.with_hint(format!("did you mean {only}?")),
        _ => {
            let ids: Vec<&str> = near.iter().map(|(_, id)| *id).collect();
            error.with_hint(format!("did you mean one of {}?", ids.join(", ")))
        }
    }
}

fn shown(wanted: &str) -> String {
    wanted.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: [&str; 4] =
        ["6742f1a3-09c2f1-0", "6742f1a3-09c2f1-1", "6742f1b0-55d0aa-0", "resume-1234-5678"];

    fn say(wanted: &str) -> (String, String) {
        let error = find(wanted, &IDS, "here").unwrap_err();
        let text = error.to_string();
        let hint = error.hint().unwrap().to_owned();
        (text.split("\nhint: ").next().unwrap().to_owned(), hint)
    }

    #[test]
    fn a_beginning_is_enough_if_it_is_the_only_one() {
        for wanted in ["6742f1b0-55d0aa-0", "6742f1b", "resume"] {
            assert!(find(wanted, &IDS, "here").unwrap().starts_with(wanted));
        }
        // One id may begin with another.
        assert_eq!(find("a-1", &["a-1", "a-10"], "here").unwrap(), "a-1");
    }

    #[test]
    fn several_are_named() {
        let (text, hint) = say("6742f1a3");
        assert_eq!(
            text,
            "2 jobs have an id that begins with 6742f1a3:\n  6742f1a3-09c2f1-0\n  6742f1a3-09c2f1-1"
        );
        assert!(hint.contains("type more of it"));
        let many: Vec<String> = (0..20).map(|i| format!("a{i}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let text = find("a", &many, "here").unwrap_err().to_string();
        assert!(text.contains("20 jobs") && text.contains("… and 12 more"), "{text}");
    }

    #[test]
    fn the_nearest_are_named() {
        assert_eq!(say("6742f1b0-55d0ab-0").1, "did you mean 6742f1b0-55d0aa-0?");
        assert_eq!(
            say("6742f1c").1,
            "did you mean one of 6742f1a3-09c2f1-0, 6742f1a3-09c2f1-1, 6742f1b0-55d0aa-0?"
        );
        assert_eq!(say("resmue").1, "did you mean resume-1234-5678?");
        assert!(say("nothing like it").1.contains("jobs list --all"));
        assert!(say("").0.contains("no job \"\""));
        let none = find("x", &[], "here").unwrap_err();
        assert!(none.to_string().starts_with("there is no job \"x\" in here"));
        assert!(none.hint().unwrap().contains("no jobs at all"));
    }
}
