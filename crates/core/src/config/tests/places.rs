//! Where files are found, and what paths count from.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Case, registry};
use crate::config::{Config, FILE_NAME, LoadOptions};

#[test]
fn relative_paths_count_from_the_file() {
    let root = |case: Case| {
        let path = case.load().unwrap().storage().get_path("root").unwrap().unwrap();
        path.strip_prefix(case.dir.path()).map_or(path.clone(), Path::to_owned)
    };
    assert_eq!(root(Case::new("[storage]\nroot = 'data'\n")), PathBuf::from("data"));
    assert_eq!(root(Case::new("[storage]\nroot = '/data'\n")), PathBuf::from("/data"));
    assert_eq!(root(Case::new("").env(&[("RUSTWREN__STORAGE__ROOT", "x")])), PathBuf::from("x"));
    let mut case = Case::new("[storage]\nroot = '~/data'\n");
    case.options = case.options.home_dir("/me");
    assert_eq!(root(case), PathBuf::from("/me/data"));
    assert!(Case::new("[storage]\nroot = ''\n").error().contains("a path is neither empty"));
}

#[test]
fn cache_dir() {
    assert_eq!(Case::new("").load().unwrap().cache_dir().unwrap(), Path::new("/cache/rustwren"));
    let config = Case::new("").env(&[("RUSTWREN_CACHE_DIR", "/fast")]).load().unwrap();
    assert_eq!(config.cache_dir().unwrap(), Path::new("/fast"));
    assert_eq!(config.compute().cache_dir().unwrap(), Path::new("/fast"));
}

#[test]
fn discovery_order() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    let deep = at("work/a/b");
    fs::create_dir_all(&deep).unwrap();
    fs::create_dir_all(at("user/rustwren")).unwrap();
    let options = |variables: &[(&str, &str)]| {
        LoadOptions::empty()
            .search(true)
            .working_dir(&deep)
            .user_config_dir(at("user"))
            .environment(variables.iter().copied().collect())
    };
    let file = |options: &LoadOptions| {
        let config = Config::load(&registry(), options).unwrap();
        config.file().map(|path| path.strip_prefix(dir.path()).unwrap().to_owned())
    };

    let config = Config::load(&registry(), &options(&[])).unwrap();
    assert_eq!(config.file(), None);
    assert_eq!(config.searched().first(), Some(&deep.join(FILE_NAME)));
    assert_eq!(config.searched().last(), Some(&at("user/rustwren/rustwren.toml")));

    fs::write(at("user/rustwren/rustwren.toml"), "").unwrap();
    assert_eq!(file(&options(&[])), Some("user/rustwren/rustwren.toml".into()));
    fs::write(at("work/rustwren.toml"), "").unwrap();
    assert_eq!(file(&options(&[])), Some("work/rustwren.toml".into()));
    // A folder of that name is none.
    fs::create_dir(deep.join(FILE_NAME)).unwrap();
    assert_eq!(file(&options(&[])), Some("work/rustwren.toml".into()));
    assert_eq!(file(&options(&[]).search(false)), None);

    fs::write(deep.join("env.toml"), "").unwrap();
    fs::write(deep.join("mine.toml"), "").unwrap();
    let variables = options(&[("RUSTWREN_CONFIG", "env.toml")]);
    assert_eq!(file(&variables), Some("work/a/b/env.toml".into()));
    assert_eq!(file(&variables.file("mine.toml")), Some("work/a/b/mine.toml".into()));
}

#[test]
fn a_named_file_must_exist() {
    let case = Case::new("").env(&[("RUSTWREN_CONFIG", "none.toml")]);
    assert_eq!(
        case.error(),
        "the configuration file that RUSTWREN_CONFIG names does not exist: none.toml\nhint: `rustwren init PATH` writes one"
    );
    let mut case = Case::new("");
    case.options = case.options.file("none.toml");
    assert!(case.error().starts_with("the configuration file that was asked for does not exist: none.toml"));
    case.options = case.options.file(".");
    assert!(case.error().starts_with("the configuration file that was asked for is a directory"));
}

#[test]
fn files_that_are_no_text() {
    let case = Case::new("");
    fs::write(case.dir.path().join(FILE_NAME), b"a = 1\nb = \"\xff\"\n").unwrap();
    assert_eq!(case.error(), "rustwren.toml:2: not valid UTF-8\nhint: save the file as UTF-8");
    fs::write(case.dir.path().join(FILE_NAME), vec![b'#'; (1 << 20) + 1]).unwrap();
    assert_eq!(case.error(), "rustwren.toml is larger than any configuration: over 1 MiB");
}

#[test]
fn what_was_set_can_be_given_on_as_variables() {
    let file = "provider = 'cloud'\n[storage]\nbucket = 'b'\ntoken = 'hunter2'\n[compute]\nregion = 'eu'\n";
    let config = Case::new(file).load().unwrap();
    let expected = [("RUSTWREN__STORAGE__BACKEND", "cloud"), ("RUSTWREN__STORAGE__BUCKET", "b")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(config.storage().variables(), expected, "and not the secret");
}
