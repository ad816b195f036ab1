//! Backends that stand around others.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::{BUCKET, CORES, Case, DISK, FLEET, RAM, shown};
use crate::config::{
    BackendKeys, Config, KeyDoc, Kind, LoadOptions, Registry, Section, Settings, StorageFactory,
    StorageWrapper, WRAPS, reference,
};
use crate::error::{ErrorKind, Result};
use crate::storage::{Key, MemoryStorage, PrefixedStorage, Storage};

const SHELL: BackendKeys = BackendKeys {
    name: "shell",
    section: Section::Storage,
    keys: &[WRAPS, KeyDoc::with_default("below", Kind::Text, "shell", "Where.")],
};
const COAT: BackendKeys = BackendKeys {
    name: "coat",
    section: Section::Compute,
    keys: &[
        WRAPS,
        KeyDoc::optional("lost", Kind::Share, "none", "2%", "How many."),
        KeyDoc::optional("wait", Kind::DurationRange, "none", "1s..2s", "How long."),
    ],
};
const OTHER_COAT: BackendKeys = BackendKeys { name: "other", section: Section::Compute, keys: &[WRAPS] };
const CLASHING: BackendKeys = BackendKeys {
    name: "clashing",
    section: Section::Compute,
    keys: &[WRAPS, KeyDoc::with_default("workers", Kind::Text, "x", "Doc.")],
};

fn registry() -> Registry {
    let bases = Registry::new().declare(DISK).declare(RAM).declare(BUCKET).declare(CORES).declare(FLEET);
    bases.declare(SHELL).declare(COAT).declare(OTHER_COAT).declare(CLASHING)
}

fn load(case: &Case) -> Result<Config> {
    Config::load(&registry(), &case.options)
}

fn error(case: &Case) -> String {
    let error = load(case).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    error.to_string().replace(&format!("{}/", case.dir.path().display()), "")
}

fn key(config: &Config, key: &str) -> (String, String) {
    let (value, origin) = shown(config, key);
    (value.unwrap_or_default(), origin)
}

#[test]
fn both_have_their_keys_in_one_section() {
    let file =
        "[compute]\nbackend = 'coat'\nwraps = 'cloud'\nlost = '0.5%'\nwait = '1s..2s'\nregion = 'eu'\n";
    let config = load(&Case::new(file)).unwrap();
    let compute = config.compute();
    assert_eq!((compute.backend(), compute.wraps()), (Some("coat"), Some("cloud")));
    assert_eq!(compute.get_share("lost").unwrap(), Some(0.005));
    assert_eq!(
        compute.get_range("wait").unwrap().map(|(least, most)| (least.as_secs(), most.as_secs())),
        Some((1, 2))
    );
    assert_eq!(compute.get_str("region").unwrap(), Some("eu"));
    let inner = compute.wrapped().unwrap();
    assert_eq!((inner.backend(), inner.wraps()), (Some("cloud"), None));
    assert_eq!(inner.get_str("region").unwrap(), Some("eu"));
    assert_eq!(
        inner.get_share("lost").unwrap_err().kind(),
        ErrorKind::Internal,
        "that is none of its business"
    );
    assert_eq!(key(&config, "compute.wraps"), ("\"cloud\"".to_owned(), "rustwren.toml:3:1".to_owned()));
    assert_eq!(key(&config, "compute.lost").0, "\"0.5%\"");
    assert_eq!(key(&config, "compute.region").1, "rustwren.toml:6:1");
}

#[test]
fn without_a_name_what_was_chosen_below_is_wrapped_and_keeps_its_values() {
    let wrap = [("RUSTWREN__COMPUTE__BACKEND", "coat"), ("RUSTWREN__COMPUTE__LOST", "1%")];
    let config = load(&Case::new("").env(&wrap)).unwrap();
    assert_eq!(config.compute().wraps(), Some("local"));
    assert_eq!(key(&config, "compute.wraps").1, "default");

    let file = "[compute]\nbackend = 'cloud'\nregion = 'eu'\n";
    let config = load(&Case::new(file).env(&wrap)).unwrap();
    assert_eq!(config.compute().wraps(), Some("cloud"));
    assert_eq!(config.compute().get_str("region").unwrap(), Some("eu"));
    assert_eq!(key(&config, "compute.wraps"), ("\"cloud\"".to_owned(), "rustwren.toml:2:1".to_owned()));

    // Wrapping something else drops what was said about the first.
    let other =
        [wrap[0], wrap[1], ("RUSTWREN__COMPUTE__WRAPS", "local"), ("RUSTWREN__COMPUTE__WORKERS", "3")];
    let config = load(&Case::new(file).env(&other)).unwrap();
    assert_eq!(config.compute().get_u64("workers").unwrap(), Some(3));
    assert!(config.show().iter().all(|shown| shown.key != "compute.region"));
}

#[test]
fn a_wrapper_can_be_taken_off_again_and_changed() {
    let file = "[compute]\nbackend = 'coat'\nlost = '1%'\nworkers = 3\n";
    let bare = load(&Case::new(file).env(&[("RUSTWREN__COMPUTE__BACKEND", "local")])).unwrap();
    assert_eq!((bare.compute().backend(), bare.compute().wraps()), (Some("local"), None));
    assert_eq!(bare.compute().get_u64("workers").unwrap(), Some(3));
    assert!(bare.show().iter().all(|shown| !["compute.lost", "compute.wraps"].contains(&shown.key.as_str())));

    let other = load(&Case::new(file).env(&[("RUSTWREN__COMPUTE__BACKEND", "other")])).unwrap();
    assert_eq!((other.compute().backend(), other.compute().wraps()), (Some("other"), Some("local")));
    assert_eq!(other.compute().get_u64("workers").unwrap(), Some(3));
    assert!(other.show().iter().all(|shown| shown.key != "compute.lost"));

    let gone = load(&Case::new(file).env(&[("RUSTWREN__COMPUTE__BACKEND", "cloud")])).unwrap();
    assert!(gone.show().iter().all(|shown| shown.key != "compute.workers"));
}

#[test]
fn mistakes_name_place_and_mend() {
    for (toml, expected) in [
        (
            "[compute]\nbackend = 'coat'\nwraps = 'coat'\n",
            "rustwren.toml:3:9: `coat` stands around another backend and cannot be wrapped itself\n  |\n3 | wraps = 'coat'\n  |         ^^^^^^\nhint: name the backend that is to do the work: `cloud` and `local`",
        ),
        (
            "[compute]\nbackend = 'coat'\nwraps = 'loacl'\n",
            "rustwren.toml:3:9: there is no compute backend \"loacl\"\n  |\n3 | wraps = 'loacl'\n  |         ^^^^^^^\nhint: did you mean `local`?",
        ),
        (
            "[compute]\nbackend = 'coat'\nwraps = 'aws'\n",
            "rustwren.toml:3:9: backend `aws` is not compiled into",
        ),
        (
            "[compute]\nwraps = 'local'\n",
            "rustwren.toml:2:1: unknown key `wraps` in [compute] of backend `local`\n  |\n2 | wraps\n  | ^^^^^\nhint: `wraps` is a key of backend `clashing`, `coat` and `other`",
        ),
        (
            "[compute]\nbackend = 'coat'\nlots = '1%'\n",
            "unknown key `lots` in [compute] of backend `coat` around `local`",
        ),
        ("[compute]\nbackend = 'coat'\nwokers = 1\n", "hint: did you mean `workers`?"),
        ("[compute]\nbackend = 'coat'\nregion = 'eu'\n", "hint: `region` is a key of backend `cloud`"),
        (
            "[compute]\nbackend = 'clashing'\n",
            "rustwren.toml:2:1: backend `clashing` around `local` does not go: both have a key `workers` in [compute]",
        ),
        (
            "[storage]\nbackend = 'shell'\nwraps = 'cloud'\n",
            "`storage.bucket` is not set, and backend `cloud` needs it",
        ),
        ("[compute]\nbackend = 'coat'\nlost = 0.5\n", "must be a share such as \"2%\" or \"0.5%\", not 0.5"),
        ("[compute]\nbackend = 'coat'\nlost = 1\n", "not 1: write a string with a unit"),
        ("[compute]\nbackend = 'coat'\nlost = '200%'\n", "not \"200%\": it is more than 100%"),
        (
            "[compute]\nbackend = 'coat'\nwait = '2s..1s'\n",
            "must be a range of durations such as \"60ms..300ms\", or one duration, not \"2s..1s\": the shorter one comes first",
        ),
    ] {
        let error = error(&Case::new(toml));
        assert!(error.contains(expected), "{toml}\n--- expected\n{expected}\n--- got\n{error}");
    }
}

#[test]
fn the_reference_says_that_keys_stand_beside_those_of_another() {
    let page = reference::markdown(&registry());
    assert!(
        page.contains("With `backend = \"coat\"`, beside the keys of the backend that it wraps:"),
        "{page}"
    );
    assert!(page.contains("| `lost` | a share such as \"2%\" or \"0.5%\" | none | How many. |"), "{page}");
}

/// Makes a storage and remembers with which settings.
struct Memory(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl StorageFactory for Memory {
    fn keys(&self) -> BackendKeys {
        DISK
    }

    async fn build(&self, settings: &Settings) -> Result<Arc<dyn Storage>> {
        self.0.lock().unwrap().push(format!("{:?} {:?}", settings.backend(), settings.get_path("root")?));
        Ok(Arc::new(MemoryStorage::new()))
    }
}

struct Shell;

#[async_trait]
impl StorageWrapper for Shell {
    fn keys(&self) -> BackendKeys {
        SHELL
    }

    async fn wrap(&self, settings: &Settings, inner: Arc<dyn Storage>) -> Result<Arc<dyn Storage>> {
        let below = settings.get_str("below")?.unwrap_or_default();
        Ok(Arc::new(PrefixedStorage::new(inner, &Key::new(below)?)))
    }
}

#[tokio::test]
async fn a_wrapper_is_put_around_what_the_other_makes() {
    let made = Arc::new(Mutex::new(Vec::new()));
    let registry = Registry::new().storage(Memory(Arc::clone(&made))).storage_wrapper(Shell).declare(CORES);
    let options = LoadOptions::empty().set("storage.backend", "shell").set("storage.root", "/data");
    let config = Config::load(&registry, &options).unwrap();
    let storage = registry.build_storage(config.storage()).await.unwrap();
    assert_eq!(storage.location(), "memory://shell");
    assert_eq!(*made.lock().unwrap(), ["Some(\"local\") Some(\"/data\")"]);
    // Declared, and not to be had.
    let options = LoadOptions::empty().set("storage.backend", "shell").set("storage.wraps", "memory");
    let registry = registry.declare(RAM);
    let config = Config::load(&registry, &options).unwrap();
    let error = registry.build_storage(config.storage()).await.err().unwrap();
    assert_eq!(error.to_string(), "storage backend `memory` cannot be made by this program");
}
