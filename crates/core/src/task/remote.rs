//! The link-time registry of `#[remote]` functions: names that mean the same in every build of a program.

use std::any::TypeId;
use std::collections::HashMap;

use linkme::distributed_slice;

use super::describe::Described;
use super::step;
use crate::entry::Call;
use crate::error::{Error, ErrorKind};
use crate::executor::drive;

/// Every way of calling every `#[remote]` function of the program.
#[distributed_slice]
pub static REMOTE: [RemoteEntry];

/// One `#[remote]` function and one way of calling it. Made by the macro.
#[derive(Debug)]
pub struct RemoteEntry {
    name: &'static str,
    file: &'static str,
    line: u32,
    function: fn() -> Described,
}

impl RemoteEntry {
    /// An entry under this name, for the function written at this place.
    pub const fn new(name: &'static str, file: &'static str, line: u32, function: fn() -> Described) -> Self {
        Self { name, file, line, function }
    }

    pub(super) fn described(&self) -> Described {
        (self.function)()
    }
}

/// Those of the program and our own.
fn all() -> impl Iterator<Item = &'static RemoteEntry> {
    REMOTE.iter().chain([&drive::ENTRY, &step::CHAIN])
}

/// The name of a function type, if it is `#[remote]` and can be called this way.
pub(super) fn name_of(type_id: TypeId, call: Call) -> Option<&'static str> {
    all()
        .find(|entry| {
            let described = entry.described();
            described.type_id() == type_id && described.descriptor().call == call
        })
        .map(|entry| entry.name)
}

/// The function under a name, called this way.
pub(super) fn find(name: &str, call: Call) -> Option<Described> {
    all().filter(|e| e.name == name).map(RemoteEntry::described).find(|d| d.descriptor().call == call)
}

/// Refuses a program in which one name stands for two functions.
pub fn check_unique() -> Result<(), Error> {
    check(all())
}

fn check<'a>(entries: impl Iterator<Item = &'a RemoteEntry>) -> Result<(), Error> {
    let mut seen: HashMap<(&str, Call), &RemoteEntry> = HashMap::new();
    for entry in entries {
        if let Some(first) = seen.insert((entry.name, entry.described().descriptor().call), entry) {
            return Err(Error::new(
                ErrorKind::Config,
                format!(
                    "two #[remote] functions have the name {}: {}:{} and {}:{}",
                    entry.name, first.file, first.line, entry.file, entry.line
                ),
            )
            .with_hint("rename one of them, or move it to a module of its own"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::describe;

    fn one(x: u32) -> u32 {
        x
    }

    #[test]
    fn a_name_for_two_functions_is_refused_with_both_places() {
        let entries = [
            RemoteEntry::new("a::f", "a.rs", 3, || describe::map(one)),
            RemoteEntry::new("a::g", "a.rs", 5, || describe::map(one)),
            RemoteEntry::new("a::f", "b.rs", 9, || describe::map(|x: u8| x)),
        ];
        let text = check(entries.iter()).unwrap_err().to_string();
        assert!(text.contains("a.rs:3") && text.contains("b.rs:9") && text.contains("hint:"), "{text}");
        assert!(check(entries[..2].iter()).is_ok());
    }

    #[test]
    fn one_name_may_be_called_in_several_ways() {
        fn half(x: u32) -> Result<u32, String> {
            x.checked_div(2).ok_or_else(String::new)
        }
        let entries = [
            RemoteEntry::new("a::half", "a.rs", 3, || describe::map(half)),
            RemoteEntry::new("a::half", "a.rs", 3, || describe::try_map(half)),
        ];
        assert!(check(entries.iter()).is_ok());
    }
}
