//! Tags: which things are ours, and those that users want on them.

use std::collections::BTreeMap;

use rustwren_core::config::Settings;
use rustwren_core::error::{Error, ErrorKind, Result};
use rustwren_core::provision::Step;

/// The name of the tag that everything made by setup carries from its first moment.
pub const MARK: &str = "rustwren";

/// Its value.
pub const MARK_VALUE: &str = "setup";

/// Tags by name.
pub(crate) type Tags = BTreeMap<String, String>;

/// What the `tags` of a section ask for, with the mark.
pub(crate) fn wanted(settings: &Settings) -> Result<Tags> {
    let mut tags = Tags::new();
    for tag in settings.get_list("tags")? {
        let Some((name, value)) = tag.split_once('=') else {
            return Err(
                settings.error("tags", format!("must be a list of `name=value`, and `{tag}` has no `=`"))
            );
        };
        let (name, value) = (name.trim(), value.trim());
        if name == MARK || name.to_ascii_lowercase().starts_with("aws:") {
            return Err(
                settings.error("tags", format!("must not have `{name}`: it has a meaning of its own"))
            );
        }
        if !(1..=128).contains(&name.chars().count()) || value.chars().count() > 256 {
            return Err(
                settings.error("tags", "must have names of 1 to 128 and values of up to 256 characters")
            );
        }
        if tags.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(settings.error("tags", format!("must have `{name}` once")));
        }
    }
    // S3 allows 50 of its own kind, and it is the strictest.
    if tags.len() > 40 {
        return Err(settings.error("tags", "must be at most 40"));
    }
    tags.insert(MARK.to_owned(), MARK_VALUE.to_owned());
    Ok(tags)
}

/// Whether a thing with these tags is ours.
pub(crate) fn is_ours(tags: &Tags) -> bool {
    tags.get(MARK).is_some_and(|value| value == MARK_VALUE)
}

/// The refusal of a thing that is not ours. `key` is the setting that names it.
pub(crate) fn not_ours(kind: &str, name: &str, key: &str) -> Error {
    let message =
        format!("the {kind} {name} is there, and was not made by `rustwren setup`: it is left alone");
    Error::new(ErrorKind::Config, message).with_hint(format!(
        "set `{key}` to another name; or, if it is to be RustWren's, tag it with {MARK}={MARK_VALUE}, and it will be changed \
         by setup and removed by teardown"
    ))
}

/// Tells which tags differ. Those that nobody asks for are left alone.
pub(crate) fn compare(mut step: Step, found: &Tags, wanted: &Tags) -> Step {
    for (name, value) in wanted {
        step = step.compare(&format!("tag {name}"), found.get(name), value);
    }
    step
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::COMPUTE;

    fn tags(list: &str) -> Result<Tags> {
        wanted(&Settings::of_program(&COMPUTE, "/cache", [("tags", list)])?)
    }

    #[test]
    fn what_is_asked_for_stands_beside_the_mark() {
        let found = tags("team=vision, cost centre=4=2,empty=").unwrap();
        let pairs: Vec<_> = found.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("cost centre", "4=2"), ("empty", ""), ("rustwren", "setup"), ("team", "vision")]);
        assert!(is_ours(&found));
    }

    #[test]
    fn what_cannot_be_a_tag_is_refused() {
        for list in ["team", "=x", "rustwren=mine", "aws:x=1", "a=1,a=2"] {
            let error = tags(list).unwrap_err().to_string();
            assert!(error.contains("`compute.tags` must"), "{error}");
        }
    }

    #[test]
    fn a_value_of_somebody_elses_is_no_mark() {
        let other: Tags = [(MARK.to_owned(), "other".to_owned())].into();
        assert!(!is_ours(&other) && !is_ours(&Tags::new()));
    }
}
