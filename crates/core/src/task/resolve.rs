//! The worker's side of an entry.

use std::sync::OnceLock;

use super::remote;
use crate::entry::{Entry, Target};
use crate::image::ImageId;
use crate::raw::entry::{Mapping, from_offset, program_mappings};
use crate::worker::Function;

/// Finds the function an entry names in this program, whose image is `own`, or says why it is not here.
pub fn resolve(entry: &Entry, own: ImageId) -> Result<&'static Function, String> {
    match &entry.target {
        Target::Named { name, call } => match remote::find(name, *call) {
            Some(found) => Ok(&found.descriptor().function),
            None => Err(format!(
                "this program has no #[remote] function {name} for {call}; is the worker's image an older build?"
            )),
        },
        Target::Offset { offset, type_name } => {
            if entry.image != own {
                return Err(format!(
                    "{type_name} was sent by image {} and this worker runs image {own}: closures and plain functions \
                     are only found in the very same program; mark the function #[remote] to find it by name",
                    entry.image
                ));
            }
            let mappings = mappings()?;
            let found = from_offset(*offset, mappings).map_err(|why| {
                format!("no function {type_name} at offset {offset} of this program: {why}")
            })?;
            let here = (found.type_name)();
            if here == type_name {
                Ok(&found.function)
            } else {
                Err(format!("at offset {offset} of this program lies {here}, not {type_name}"))
            }
        }
    }
}

/// The program's constants; read once, the kernel does not move them.
fn mappings() -> Result<&'static [Mapping], String> {
    static MAPPINGS: OnceLock<Vec<Mapping>> = OnceLock::new();
    if let Some(known) = MAPPINGS.get() {
        return Ok(known);
    }
    let text = std::fs::read_to_string("/proc/self/maps")
        .map_err(|error| format!("the program's memory map cannot be read from /proc/self/maps: {error}"))?;
    Ok(MAPPINGS.get_or_init(|| program_mappings(&text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Call;
    use crate::task::describe;

    const OWN: ImageId = ImageId([1; 32]);

    fn entry() -> Entry {
        describe::map(|x: u64| x + 1).entry(OWN)
    }

    #[test]
    fn an_entry_of_this_image_is_found() {
        assert!(resolve(&entry(), OWN).is_ok());
    }

    #[test]
    fn another_image_is_refused_with_the_mend() {
        let text = resolve(&entry(), ImageId([2; 32])).unwrap_err();
        assert!(text.contains("#[remote]") && text.contains(&OWN.to_string()), "{text}");
    }

    #[test]
    fn a_wrong_offset_is_refused() {
        let Target::Offset { offset, type_name } = entry().target else { panic!("a closure has no name") };
        for wrong in [offset + 8, offset - 8, 0, i64::MIN, i64::MAX] {
            let entry =
                Entry { image: OWN, target: Target::Offset { offset: wrong, type_name: type_name.clone() } };
            assert!(resolve(&entry, OWN).is_err(), "{wrong}");
        }
    }

    #[test]
    fn another_function_at_the_offset_is_refused() {
        let other = describe::map(|x: u8| x).entry(OWN);
        let (Target::Offset { offset, .. }, Target::Offset { type_name, .. }) =
            (other.target, entry().target)
        else {
            panic!("a closure has no name")
        };
        let text =
            resolve(&Entry { image: OWN, target: Target::Offset { offset, type_name } }, OWN).unwrap_err();
        assert!(text.contains("not "), "{text}");
    }

    #[test]
    fn a_wrong_name_is_refused() {
        let target = Target::Named { name: "nowhere::nothing".to_owned(), call: Call::Map };
        let text = resolve(&Entry { image: OWN, target }, OWN).unwrap_err();
        assert!(text.contains("nowhere::nothing"), "{text}");
    }
}
