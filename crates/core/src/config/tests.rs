//! Configurations as users write them, right and wrong, over two made-up backends.

mod any_input;
mod mistakes;
mod places;
mod setup;
mod wrapping;

use std::fs;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::env::Environment;
use crate::error::{Error, ErrorKind};

const DISK: BackendKeys = BackendKeys {
    name: "local",
    section: Section::Storage,
    keys: &[KeyDoc::optional("root", Kind::Path, "the cache", "/data", "Where.")],
};
const RAM: BackendKeys = BackendKeys { name: "memory", section: Section::Storage, keys: &[] };
const BUCKET: BackendKeys = BackendKeys {
    name: "cloud",
    section: Section::Storage,
    keys: &[
        KeyDoc::required("bucket", Kind::Text, "mine", "Which."),
        KeyDoc::optional("token", Kind::Text, "none", "t0", "Key.").secret(),
        KeyDoc::optional("pin", Kind::Integer { min: 0, max: 9 }, "none", "1", "Key.").secret(),
    ],
};
const CORES: BackendKeys = BackendKeys {
    name: "local",
    section: Section::Compute,
    keys: &[
        KeyDoc::optional("workers", Kind::Integer { min: 1, max: 64 }, "one per core", "4", "How many."),
        KeyDoc::with_default("start_timeout", Kind::Duration, "10s", "How long."),
        KeyDoc::optional("memory_limit", Kind::Size, "no limit", "512MB", "How much."),
        KeyDoc::with_default("image", Kind::Choice(&["direct", "packed"]), "direct", "How."),
        KeyDoc::with_default("pass_env", Kind::List, "", "What."),
        KeyDoc::with_default("pin_cores", Kind::Bool, "false", "Whether."),
    ],
};
const FLEET: BackendKeys = BackendKeys {
    name: "cloud",
    section: Section::Compute,
    keys: &[KeyDoc::optional("region", Kind::Text, "nearest", "eu", "Where.")],
};

fn registry() -> Registry {
    Registry::new().declare(DISK).declare(RAM).declare(BUCKET).declare(CORES).declare(FLEET)
}

struct Case {
    dir: TempDir,
    options: LoadOptions,
}

impl Case {
    fn new(toml: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE_NAME), toml).unwrap();
        let options = LoadOptions::empty().search(true).working_dir(dir.path()).user_cache_dir("/cache");
        Self { dir, options }
    }

    fn env(mut self, variables: &[(&str, &str)]) -> Self {
        self.options = self.options.environment(variables.iter().copied().collect());
        self
    }

    fn load(&self) -> Result<Config, Error> {
        Config::load(&registry(), &self.options)
    }

    /// The error's text, with the temporary folder taken out.
    fn error(&self) -> String {
        let error = self.load().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        error.to_string().replace(&format!("{}/", self.dir.path().display()), "")
    }
}

fn shown(config: &Config, key: &str) -> (Option<String>, String) {
    let value = config.show().into_iter().find(|shown| shown.key == key).unwrap();
    let dir =
        config.file().and_then(Path::parent).map(|dir| format!("{}/", dir.display())).unwrap_or_default();
    (value.value.map(|value| value.to_string()), value.origin.to_string().replace(&dir, ""))
}

#[test]
fn nothing_means_defaults() {
    let config = Config::load(&registry(), &LoadOptions::empty()).unwrap();
    assert_eq!(config.file(), None);
    assert_eq!(config.storage().backend(), Some("local"));
    assert_eq!(config.compute().backend(), Some("local"));
    assert_eq!(config.compute().get_u64("workers").unwrap(), None);
    assert_eq!(config.compute().get_duration("start_timeout").unwrap(), Some(Duration::from_secs(10)));
    assert_eq!(config.job(), &JobDefaults::default());
    assert_eq!(config.client(), &ClientConfig { progress: Progress::Auto, logs: Logs::All });
    assert_eq!(config.cache_dir().unwrap_err().kind(), ErrorKind::Config);
}

#[test]
fn layers_go_on_top_of_each_other() {
    let mut case = Case::new("[compute]\nworkers = 2\nimage = 'packed'\nstart_timeout = '1s'\n").env(&[
        ("RUSTWREN__COMPUTE__WORKERS", "3"),
        ("RUSTWREN__COMPUTE__START_TIMEOUT", "2s"),
        ("RUSTWREN__COMPUTE__PASS_ENV", "AWS_*, FOO"),
        ("RUSTWREN__JOB__RETRIES", "7"),
        ("RUSTWREN__CLIENT__LOGS", ""),
    ]);
    case.options =
        case.options.set("compute.start_timeout", Duration::from_secs(3)).set("job.chunk_size", 5u64);
    let config = case.load().unwrap();
    let key = |key| shown(&config, key);
    assert_eq!(key("compute.image"), (Some("\"packed\"".to_owned()), "rustwren.toml:3:1".to_owned()));
    assert_eq!(
        key("compute.workers"),
        (Some("3".to_owned()), "environment variable RUSTWREN__COMPUTE__WORKERS".to_owned())
    );
    assert_eq!(key("compute.start_timeout"), (Some("\"3s\"".to_owned()), "set by the program".to_owned()));
    assert_eq!(key("compute.memory_limit"), (None, "default".to_owned()));
    assert_eq!(key("client.logs").1, "default");
    assert_eq!(config.compute().get_list("pass_env").unwrap(), ["AWS_*", "FOO"]);
    assert_eq!(config.job().retries, Some(7));
    assert_eq!(config.job().chunk_size, Some(5));
}

#[test]
fn provider_is_shorthand_for_both_backends() {
    let config = Case::new("provider = 'cloud'\n[storage]\nbucket = 'b'\n").load().unwrap();
    assert_eq!(config.storage().backend(), Some("cloud"));
    assert_eq!(config.compute().backend(), Some("cloud"));
    assert_eq!(config.storage().get_str("bucket").unwrap(), Some("b"));

    let config = Case::new("provider = 'local'\n[storage]\nbackend = 'memory'\n").load().unwrap();
    assert_eq!(config.storage().backend(), Some("memory"));
    assert_eq!(config.compute().backend(), Some("local"));

    // A provider with only one half leaves the other alone.
    let config = Case::new("provider = 'memory'\n").load().unwrap();
    assert_eq!(config.storage().backend(), Some("memory"));
    assert_eq!(config.compute().backend(), Some("local"));
}

#[test]
fn a_layer_that_changes_the_backend_drops_the_old_ones_keys() {
    let file = "provider = 'cloud'\n[storage]\nbucket = 'b'\n[compute]\nregion = 'eu'\n[job]\nretries = 1\n";
    let case = Case::new(file).env(&[("RUSTWREN__PROVIDER", "local"), ("RUSTWREN__COMPUTE__WORKERS", "2")]);
    let config = case.load().unwrap();
    assert_eq!(config.compute().get_u64("workers").unwrap(), Some(2));
    assert_eq!(config.job().retries, Some(1));
    assert!(config.show().iter().all(|shown| shown.key != "compute.region"));

    // The same backend again keeps them.
    let config = Case::new(file).env(&[("RUSTWREN__PROVIDER", "cloud")]).load().unwrap();
    assert_eq!(config.compute().get_str("region").unwrap(), Some("eu"));
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_utf8_is_named() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let mut case = Case::new("");
    let environment: Environment =
        [("RUSTWREN__JOB__RETRIES", OsStr::from_bytes(&[0xff]))].into_iter().collect();
    case.options = case.options.environment(environment);
    assert_eq!(case.error(), "environment variable RUSTWREN__JOB__RETRIES: not valid UTF-8");
}

#[test]
fn mistakes_of_the_program_are_said_to_be() {
    let mut case = Case::new("");
    case.options = case.options.set("compute.wokers", 4u64);
    assert!(case.error().starts_with("set by the program: unknown key `wokers`"));
}

#[test]
fn shorthand_for_progress() {
    let progress = |variables| {
        Case::new("[client]\nprogress = 'always'\n").env(variables).load().unwrap().client().progress
    };
    assert_eq!(progress(&[]), Progress::Always);
    assert_eq!(progress(&[("RUSTWREN_PROGRESS", "never")]), Progress::Never);
    assert_eq!(
        progress(&[("RUSTWREN_PROGRESS", "never"), ("RUSTWREN__CLIENT__PROGRESS", "auto")]),
        Progress::Auto
    );
}

#[test]
fn variables_with_one_underscore_are_warned_of() {
    let case = Case::new("").env(&[("RUSTWREN_COMPUTE_WORKERS", "4"), ("RUSTWREN_LOG", "info")]);
    let config = case.load().unwrap();
    let [warning] = config.warnings() else { panic!("{:?}", config.warnings()) };
    assert!(warning.contains("RUSTWREN_COMPUTE_WORKERS"), "{warning}");
}

#[test]
fn secrets_are_never_shown() {
    let secret = "hunter2";
    let file = format!("provider = 'cloud'\n[storage]\nbucket = 'b'\ntoken = '{secret}'\n");
    let case = Case::new(&file).env(&[("RUSTWREN__STORAGE__PIN", "3")]);
    let config = case.load().unwrap();
    assert_eq!(config.storage().get_str("token").unwrap(), Some(secret));
    assert_eq!(shown(&config, "storage.token").0.as_deref(), Some("\"***\""));
    assert_eq!(shown(&config, "storage.pin").0.as_deref(), Some("\"***\""));
    let dump = format!("{config:?} {:#?} {:?} {:?}", config.show(), case.options, config.storage());
    assert!(!dump.contains(secret), "{dump}");

    for wrong in [
        "[storage]\nbackend = 'cloud'\npin = 'hunter2'",
        "[storage]\nbackend = 'cloud'\ntoken = ['hunter2']",
        "[storage]\nbackend = 'cloud'\ntokn = 'hunter2'",
        "storage = { backend = 'cloud', token = 'hunter2', bcket = 1 }",
        "storage = { backend = 'cloud', tokn = 'hunter2', bcket = 1 }",
        "[storage]\nbackend = 'cloud'\ntoken = 'hunter2",
        "[storage]\nbackend = 'cloud'\ntoken = '''\nhunter2",
    ] {
        let error = Case::new(wrong).error();
        assert!(!error.contains(secret), "{wrong}\n{error}");
    }
    let error = Case::new("provider = 'cloud'").env(&[("RUSTWREN__STORAGE__PIN", secret)]).error();
    assert!(error.contains("must be a whole number from 0 to 9, not this text") && !error.contains(secret));
}

#[test]
fn what_editors_do() {
    let config = Case::new("\u{feff}[job]\r\nretries = 1_0\r\n").load().unwrap();
    assert_eq!(config.job().retries, Some(10));
    let error = Case::new("\u{feff}[job]\r\n\tretrys = 1\r\n").error();
    assert!(error.starts_with("rustwren.toml:2:2: unknown key `retrys`"), "{error}");
}

#[test]
fn getters_refuse_what_is_not_declared() {
    let config = Config::load(&registry(), &LoadOptions::empty()).unwrap();
    assert_eq!(config.compute().get_u64("nope").unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(config.compute().get_u64("image").unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(config.compute().get_str("start_timeout").unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(config.compute().get_bool("pin_cores").unwrap(), Some(false));
}

#[test]
fn declared_defaults_and_examples_are_of_their_kind() {
    let plain: Vec<KeyDoc> = sections::PLAIN.iter().flat_map(|(_, keys)| *keys).copied().collect();
    for key in registry().backends().flat_map(|backend| backend.keys).chain(&plain) {
        assert!(RawValue::from(key.example).resolve(key.kind).is_ok(), "{}", key.name);
    }
}

#[test]
fn the_check_of_annotated_files_finds_what_is_wrong() {
    const KEYS: BackendKeys = BackendKeys {
        name: "b",
        section: Section::Compute,
        keys: &[
            KeyDoc::with_default("limit", Kind::Size, "1MB", "Doc."),
            KeyDoc::optional("root", Kind::Text, "nowhere", "x", "Doc."),
        ],
    };
    let image = "#[image]\n# the program that starts the job\n#path = 'target/aarch64-unknown-linux-gnu/release/render'\n# nothing is run\n#command = ['cargo', 'zigbuild', '--release', '--target', 'aarch64-unknown-linux-gnu.2.34']\n";
    let plain = "#[job]\n# none after an error or a panic, up to three after a lost worker\n#retries = 2\n# no limit\n#timeout = '30s'\n# adapted to the measured time of the tasks\n#chunk_size = 100\n# as many as the provider allows\n#workers = 100\n# one for plain functions, many for async ones\n#concurrency = 4\n# no limit\n#budget_usd = 2.5\n# no limit\n#max_invocations = 10000\n# no limit\n#max_worker_time = '10h'\n# 15 seconds\n#lease = '1m'\n#[client]\n#progress = 'auto'\n#logs = 'all'\n";
    let head = "# as `backend` in each section says\nprovider = 'b'\n[compute]\n#backend = 'b'\n";
    let check = |body: &str| reference::check_annotated(&format!("{head}{body}{image}{plain}"), &[KEYS]);
    assert_eq!(check("#limit = '1MB'\n# When not set: nowhere.\n#root = 'x'\n"), Vec::<String>::new());
    assert_eq!(check("# When not set: nowhere.\n#root = 'x'\n"), ["`compute.limit` is missing"]);
    assert_eq!(
        check("#limit = '2MB'\n# When not set: nowhere.\n#root = 'x'\n"),
        ["`compute.limit` must be shown as \"1MB\""]
    );
    assert_eq!(
        check("#limit = '1MB'\n#root = 'x'\n"),
        ["the lines above `compute.root` must say what holds when it is not set: nowhere"]
    );
    assert_eq!(
        check("#limit = '1MB'\n# nowhere\n#root = 'x'\n#more = 1\n"),
        ["`compute.more` is not declared"]
    );
}

#[test]
fn another_build_of_the_program() {
    let case = Case::new("[image]\npath = 'build/arm'\ncommand = ['make', 'arm']\n");
    let config = case.load().unwrap();
    assert_eq!(config.image().path.as_deref(), Some(case.dir.path().join("build/arm").as_path()));
    assert_eq!(config.image().command, ["make", "arm"]);
    let config = case.env(&[("RUSTWREN__IMAGE__COMMAND", "cargo,build")]).load().unwrap();
    assert_eq!(config.image().command, ["cargo", "build"]);
    assert_eq!(Case::new("").load().unwrap().image(), &ImageConfig::default());
    let error = Case::new("[image]\ncommand = ['make']\n").error();
    assert!(error.contains("rustwren.toml:2:1: `image.command`") && error.contains("set `path`"), "{error}");
}
