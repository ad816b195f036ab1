//! Wrong configurations and what is said about them.

use super::Case;

/// Files, and what the message about each holds.
const IN_FILES: &[(&str, &str)] = &[
    (
        "[compute]\nwokers = 4\n",
        "rustwren.toml:2:1: unknown key `wokers` in [compute] of backend `local`\n  |\n2 | wokers\n  | ^^^^^^\nhint: did you mean `workers`?",
    ),
    (
        "[compute]\n  workers = \"many\"\n",
        "rustwren.toml:2:13: `compute.workers` must be a whole number from 1 to 64, not \"many\"\n  |\n2 |   workers = \"many\"\n  |             ^^^^^^",
    ),
    ("[compute]\nworkers = \"4\"\n", "not \"4\": write it without the quotes"),
    ("[compute]\nworkers = 65\n", "from 1 to 64, not 65"),
    ("[compute]\nworkers = -1\n", "from 1 to 64, not -1"),
    ("[compute]\nworkers = 1.5\n", "a whole number from 1 to 64, not 1.5"),
    ("[compute]\nworkers = {}\n", "not a table"),
    ("[compute.workers]\nx = 1\n", "rustwren.toml:1:1: `compute.workers` must be"),
    ("[compute]\npin_cores = \"yes\"\n", "must be true or false, not \"yes\""),
    (
        "[compute]\nstart_timeout = 10\n",
        "must be a duration such as \"90s\", \"1m30s\" or \"250ms\", not 10: write a string with a unit",
    ),
    ("[compute]\nstart_timeout = \"10\"\n", "10 has no unit"),
    (
        "[compute]\nmemory_limit = \"1 lot\"\n",
        "must be a size such as \"512MB\" or \"1GiB\", not \"1 lot\": \"lot\" is no unit",
    ),
    ("[compute]\npass_env = 'AWS_*'\n", "write it in square brackets"),
    ("[compute]\npass_env = ['a', 1]\n", "must be a list of strings, not an array: it holds an integer"),
    (
        "[compute]\nimage = 'pcked'\n",
        "must be \"direct\" or \"packed\", not \"pcked\": did you mean \"packed\"?",
    ),
    ("[compute]\nregion = 'eu'\n", "hint: `region` is a key of backend `cloud`"),
    ("[compute]\nretries = 1\n", "hint: `retries` belongs in [job]"),
    ("[compute]\nxyzzy = 1\n", "hint: [compute] takes `workers`, `start_timeout`"),
    (
        "workers = 1\n",
        "rustwren.toml:1:1: unknown key `workers`\n  |\n1 | workers\n  | ^^^^^^^\nhint: `workers` belongs in [compute]",
    ),
    ("provder = 'local'\n", "hint: did you mean `provider`?"),
    (
        "[strage]\n",
        "rustwren.toml:1:2: unknown section [strage]\n  |\n1 | [strage\n  |  ^^^^^^\nhint: did you mean `storage`?",
    ),
    ("[zzz]\n", "hint: sections are `storage`, `compute`, `image`, `job` and `client`"),
    ("storage = 1\n", "`storage` is a section"),
    ("provider = 1\n", "`provider` must be a string, not 1"),
    ("[provider]\n", "`provider` must be a string, not a table"),
    (
        "provider = 'loacl'\n",
        "rustwren.toml:1:12: there is no provider \"loacl\"\n  |\n1 | provider = 'loacl'\n  |            ^^^^^^^\nhint: did you mean `local`? Known: `cloud`, `local` and `memory`; with a cargo feature of `rustwren`: `aws`, `azure`, `gcp` and `http`",
    ),
    ("[storage]\nbackend = 'disk'\n", "there is no storage backend \"disk\""),
    (
        "provider = 'aws'\n",
        "rustwren.toml:1:12: backend `aws` is not compiled into this program\n  |\n1 | provider = 'aws'\n  |            ^^^^^\nhint: enable it in Cargo.toml: `rustwren = { version = \"…\", features = [\"aws\"] }`",
    ),
    (
        "provider = 'cloud'\n",
        "`storage.bucket` is not set, and backend `cloud` needs it\nhint: set `bucket` in [storage] of the configuration file, or RUSTWREN__STORAGE__BUCKET",
    ),
    ("[job]\ntimeout = '0s'\n", "rustwren.toml:2:1: `job.timeout` must be more than zero"),
    ("[job]\nretries = 2\nretries = 3\n", "rustwren.toml:3:1: not valid TOML: duplicate key"),
    (
        "a = 1\n[job\nretries = 2\n",
        "rustwren.toml:2:5: not valid TOML: unclosed table, expected `]`\n  |\n2 | [job\n  |     ^",
    ),
    ("x = \"é\" y\n", "rustwren.toml:1:9: not valid TOML"),
];

#[test]
fn mistakes_in_files_name_place_and_mend() {
    for (toml, expected) in IN_FILES {
        let error = Case::new(toml).error();
        assert!(error.contains(expected), "{toml}\n--- expected\n{expected}\n--- got\n{error}");
    }
}

#[test]
fn mistakes_in_variables_name_the_variable() {
    for (name, value, expected) in [
        (
            "RUSTWREN__COMPUTE__WOKERS",
            "4",
            "environment variable RUSTWREN__COMPUTE__WOKERS: unknown key `wokers` in [compute] of backend `local`\nhint: did you mean `workers`?",
        ),
        (
            "RUSTWREN__COMPUTE__WORKERS",
            "many",
            "environment variable RUSTWREN__COMPUTE__WORKERS: `compute.workers` must be a whole number from 1 to 64, not \"many\"",
        ),
        ("RUSTWREN__COMPUT__WORKERS", "4", "unknown section [comput]\nhint: did you mean `compute`?"),
        ("RUSTWREN__COMPUTE", "4", "`compute` is a section"),
        (
            "RUSTWREN__A__B__C",
            "4",
            "unknown key `a.b.c`\nhint: a key is `section.key`; as an environment variable: RUSTWREN__SECTION__KEY",
        ),
        ("RUSTWREN__PROVIDER", "gcp", "features = [\"gcp\"]"),
        (
            "RUSTWREN__JOB__TIMEOUT",
            "0s",
            "environment variable RUSTWREN__JOB__TIMEOUT: `job.timeout` must be more than zero",
        ),
        (
            "RUSTWREN_PROGRESS",
            "on",
            "environment variable RUSTWREN_PROGRESS: `client.progress` must be \"auto\", \"always\" or \"never\", not \"on\"",
        ),
    ] {
        let error = Case::new("").env(&[(name, value)]).error();
        assert!(error.contains(expected), "{name}={value}\n--- expected\n{expected}\n--- got\n{error}");
    }
}
