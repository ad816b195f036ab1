//! Whatever is in a file or a variable is read or refused.

use std::path::Path;

use proptest::prelude::*;

use super::registry;
use crate::config::{Config, LoadOptions, RawConfig, merge};
use crate::error::{Error, ErrorKind};

/// TOML that is nearly right reaches deeper than random text.
fn nearly_toml() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("compute"),
        Just("storage"),
        Just("job"),
        Just("client"),
        Just("provider"),
        Just("backend"),
        Just("workers"),
        Just("timeout"),
        Just("root"),
        Just("token"),
        Just("["),
        Just("]"),
        Just("="),
        Just("."),
        Just("\n"),
        Just("\""),
        Just("'''"),
        Just("{"),
        Just("}"),
        Just(","),
        Just("4"),
        Just("-1"),
        Just("1e9"),
        Just("\"30s\""),
        Just("'cloud'"),
        Just("'aws'"),
        Just("é"),
        Just("\t"),
        Just("\r\n"),
        Just("# x"),
        Just("1979-05-27"),
    ];
    proptest::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn any_file_is_read_or_refused(text in any::<String>()) {
        check_any(&text)?;
    }

    #[test]
    fn any_nearly_right_file_is_read_or_refused(text in nearly_toml()) {
        check_any(&text)?;
    }

    #[test]
    fn any_variables_are_read_or_refused(section in "[A-Z_]{0,10}", key in "[A-Z_]{0,10}", value in any::<String>()) {
        let environment = [(format!("RUSTWREN__{section}__{key}"), value)].into_iter().collect();
        if let Err(error) = Config::load(&registry(), &LoadOptions::empty().environment(environment)) {
            prop_assert_eq!(error.kind(), ErrorKind::Config);
        }
    }
}

fn check_any(text: &str) -> Result<(), TestCaseError> {
    let options = LoadOptions::empty();
    let (registry, mut merge_options) = (registry(), options);
    merge_options = merge_options.working_dir("/w");
    let mut merge = merge::Merge::new(&registry, &merge_options);
    match RawConfig::parse(Path::new("/w/rustwren.toml"), text.to_owned(), &["token"]) {
        Ok(raw) => {
            if let Err(error) = merge.apply(&raw) {
                let error = Error::from(error);
                prop_assert_eq!(error.kind(), ErrorKind::Config);
                prop_assert!(error.to_string().starts_with("/w/rustwren.toml:"), "{}", error);
            }
        }
        Err(error) => prop_assert!(Error::from(error).to_string().starts_with("/w/rustwren.toml:")),
    }
    Ok(())
}
