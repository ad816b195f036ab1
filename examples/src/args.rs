//! Reading an example's arguments: numbers in a fixed order, each with a default.

use std::ffi::OsString;
use std::fmt::Display;
use std::str::FromStr;

/// The argument at this place, or the default if there are fewer. The error names the argument and what was given.
pub fn parse<T>(args: &[OsString], place: usize, name: &str, default: T) -> Result<T, String>
where
    T: FromStr<Err: Display>,
{
    let Some(given) = args.get(place) else {
        return Ok(default);
    };
    let given = given.to_string_lossy();
    given.parse().map_err(|error| format!("{name}: {given:?}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_arguments_have_defaults_and_wrong_ones_are_named() {
        let args = [OsString::from("12"), OsString::from("x")];
        assert_eq!(parse(&args, 0, "size", 1_u32), Ok(12));
        assert_eq!(parse(&args, 5, "size", 1_u32), Ok(1));
        let error = parse(&args, 1, "size", 1_u32).unwrap_err();
        assert_eq!(error, "size: \"x\": invalid digit found in string");
    }
}
