//! Rules of the house that no compiler checks. `CONTRIBUTING.md` has the reasons; each finding here names its
//! place and its mend.

#![expect(clippy::expect_used, clippy::panic, reason = "a test says what went wrong by failing")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "tidy/tokens.rs"]
mod tokens;

use tokens::{lines_of, tokens};

/// Longer files do more than one thing, or one thing in too many words.
const MAX_LINES: usize = 450;

/// Files that may be longer, each with the reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// Where `unsafe` lives.
const RAW: &str = "crates/core/src/raw/";

/// Where a simulation replays every run, so that time and chance come from outside.
const SIMULATED: &str = "crates/core/src/scheduler/";

/// The one file that names the encoding's crate (docs/decisions/0003-bincode.md).
const CODEC: &str = "crates/core/src/codec.rs";

/// Hosts that betray where a file was fetched from. In pieces, so that this file passes.
const HOSTS: &[&str] = &[
    concat!("crates", ".io"),
    concat!("registry.npm", "js"),
    concat!("pypi", ".org"),
    concat!("python", "hosted.org"),
    concat!("proxy.gol", "ang.org"),
    concat!("arti", "factory"),
];

/// Folders that exist on one machine only.
const HOME_FOLDERS: &[&str] =
    &[concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("/ro", "ot/"), concat!("/wo", "rk/")];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file of the project, relative to its root: what is tracked and what is about to be.
fn files() -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root())
        .output()
        .expect("the tidy tests list the project's files with git: install git");
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let files: Vec<String> = String::from_utf8(output.stdout)
        .expect("file names are UTF-8")
        .split_terminator('\0')
        .filter(|name| root().join(name).is_file())
        .map(str::to_owned)
        .collect();
    assert!(files.len() > 20, "git lists {} files: is this a clone?", files.len());
    files
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|e| e == extension)
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Runs a check over every Rust file and fails with all findings at once.
fn check_rust_files(check: fn(&str, &str) -> Vec<String>) {
    let names = files().into_iter().filter(|name| has_extension(name, "rs"));
    none(&names.flat_map(|name| check(&name, &read(&name))).collect::<Vec<_>>());
}

#[track_caller]
fn none(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

fn length_findings(name: &str, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    let reason = LONG_FILES.iter().find(|(file, _)| *file == name).map(|(_, reason)| reason);
    match (lines > MAX_LINES, reason) {
        (true, None) => vec![format!(
            "{name}:{MAX_LINES}: {lines} lines, the limit is {MAX_LINES}: split it by what it does, or list it in \
             LONG_FILES in tests/tests/tidy.rs with the reason"
        )],
        (false, Some(reason)) => {
            vec![format!(
                "{name}:1: no longer long ({reason}): remove it from LONG_FILES in tests/tests/tidy.rs"
            )]
        }
        _ => Vec::new(),
    }
}

fn unsafe_findings(name: &str, text: &str) -> Vec<String> {
    if name.starts_with(RAW) {
        return Vec::new();
    }
    lines_of(&tokens(name, text), &["unsafe"])
        .into_iter()
        .map(|line| format!("{name}:{line}: `unsafe` outside {RAW}: move it there, with its safety argument"))
        .collect()
}

fn leftover_findings(name: &str, text: &str) -> Vec<String> {
    let tokens = tokens(name, text);
    ["todo", "unimplemented", "dbg"]
        .into_iter()
        .flat_map(|word| lines_of(&tokens, &[word, "!"]).into_iter().map(move |line| (word, line)))
        .map(|(word, line)| {
            format!("{name}:{line}: `{word}!` is left over: write what belongs here, or remove it")
        })
        .collect()
}

fn replay_findings(name: &str, text: &str) -> Vec<String> {
    if !name.starts_with(SIMULATED) {
        return Vec::new();
    }
    let tokens = tokens(name, text);
    let clock = "take the time from the injected `Clock`";
    let chance = "draw from the generator made of the job's seed";
    let banned: &[(&[&str], &str)] = &[
        (&["Instant"], clock),
        (&["SystemTime"], clock),
        (&["tokio", ":", ":", "time"], clock),
        (&["Rng", ":", ":", "new"], chance),
    ];
    let mut out = Vec::new();
    for (sequence, mend) in banned {
        for line in lines_of(&tokens, sequence) {
            out.push(format!("{name}:{line}: `{}` breaks replay: {mend}", sequence.concat()));
        }
    }
    // `fastrand::u64(..)` and its like draw from a generator of the thread's own.
    for window in tokens.windows(5) {
        let [crate_name, _, _, function, call] = window else {
            continue;
        };
        if crate_name.text == "fastrand" && call.text == "(" && function.text.starts_with(char::is_lowercase)
        {
            out.push(format!(
                "{name}:{}: `fastrand::{}` breaks replay: {chance}",
                function.line, function.text
            ));
        }
    }
    out
}

fn codec_findings(name: &str, text: &str) -> Vec<String> {
    if name == CODEC {
        return Vec::new();
    }
    lines_of(&tokens(name, text), &["bincode"])
        .into_iter()
        .map(|line| format!("{name}:{line}: only {CODEC} names bincode: call its functions instead"))
        .collect()
}

fn place_findings(name: &str, text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for (number, line) in text.lines().enumerate().map(|(i, line)| (i + 1, line)) {
        for host in HOSTS {
            // The lock file names the default registry by its index.
            if line.contains(host) && name != "Cargo.lock" {
                out.push(format!(
                    "{name}:{number}: names the package registry `{host}`: say what is meant instead"
                ));
            }
        }
        for folder in HOME_FOLDERS {
            let continues_a_path = |c: char| c.is_alphanumeric() || "_-.~/*}>".contains(c);
            // `me` stands for whoever reads it.
            let is_real = |at: usize| {
                !line[..at].ends_with(continues_a_path) && !line[at + folder.len()..].starts_with("me")
            };
            if line.match_indices(folder).any(|(at, _)| is_real(at)) {
                out.push(format!(
                    "{name}:{number}: a path below `{folder}` exists on one machine only: use a relative path or a \
                     variable"
                ));
            }
        }
    }
    out
}

#[test]
fn files_stay_readable() {
    check_rust_files(length_findings);
    for (file, _) in LONG_FILES {
        assert!(
            root().join(file).is_file(),
            "{file} is gone: remove it from LONG_FILES in tests/tests/tidy.rs"
        );
    }
}

#[test]
fn unsafe_code_stays_in_its_module() {
    check_rust_files(unsafe_findings);
}

#[test]
fn nothing_is_left_over() {
    check_rust_files(leftover_findings);
}

#[test]
fn the_scheduler_can_be_replayed() {
    check_rust_files(replay_findings);
}

#[test]
fn one_module_names_the_encoding() {
    check_rust_files(codec_findings);
}

#[test]
fn files_name_no_machine() {
    let mut found = Vec::new();
    for name in files() {
        // What is not text names nothing.
        if let Ok(text) = String::from_utf8(fs::read(root().join(&name)).unwrap()) {
            found.extend(place_findings(&name, &text));
        }
    }
    none(&found);
}

#[test]
fn decisions_are_indexed() {
    const INDEX: &str = "docs/decisions/README.md";
    let index = read(INDEX);
    let mut found = Vec::new();
    let pages: Vec<String> = files()
        .into_iter()
        .filter(|name| name.starts_with("docs/decisions/") && name != INDEX && has_extension(name, "md"))
        .map(|name| name["docs/decisions/".len()..].to_owned())
        .collect();
    for page in &pages {
        if !index.contains(&format!("]({page})")) {
            found.push(format!("docs/decisions/{page}:1: not in the index: add a row to {INDEX}"));
        }
    }
    for (number, line) in index.lines().enumerate() {
        for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if has_extension(link, "md") && !pages.iter().any(|page| page == link) {
                found.push(format!(
                    "{INDEX}:{}: links {link}, which is not there: remove the row",
                    number + 1
                ));
            }
        }
    }
    none(&found);
}

/// The paths in the first column of the code map, with their lines.
fn code_map(text: &str) -> Vec<(usize, Vec<String>)> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| line.starts_with("| `"))
        .filter_map(|(i, line)| Some((i + 1, line.split('|').nth(1)?)))
        .map(|(line, cell)| (line, cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()))
        .collect()
}

#[test]
fn the_code_map_is_true() {
    const MAP: &str = "docs/architecture.md";
    let rows = code_map(&read(MAP));
    assert!(rows.len() > 5, "{MAP}: the code map's rows should start with a path in backquotes");
    let mut found = Vec::new();
    let mut named = BTreeSet::new();
    for (line, paths) in rows {
        // Further paths of a row may be written relative to the first one's folder.
        let beside = Path::new(&paths[0]).parent().map(Path::to_owned).unwrap_or_default();
        for path in paths {
            match [PathBuf::from(&path), beside.join(&path)].into_iter().find(|p| root().join(p).exists()) {
                Some(path) => drop(named.insert(path.to_string_lossy().trim_end_matches('/').to_owned())),
                None => {
                    found.push(format!(
                        "{MAP}:{line}: `{path}` does not exist: mend the path or remove the row"
                    ));
                }
            }
        }
    }
    for manifest in files().iter().filter(|name| name.ends_with("/Cargo.toml")) {
        let folder = manifest.trim_end_matches("/Cargo.toml");
        if !named.iter().any(|path| path == folder || path.starts_with(&format!("{folder}/"))) {
            found.push(format!("{manifest}:1: the crate is not in the code map: add a row to {MAP}"));
        }
    }
    none(&found);
}

/// The checks find what they are there to find, and nothing in comments or strings.
#[test]
fn the_checks_can_fail() {
    let long = "\n".repeat(MAX_LINES + 1);
    assert_eq!(length_findings("x.rs", &long).len(), 1);
    assert!(length_findings("x.rs", &long[1..]).is_empty());

    let block = "// unsafe\nfn f() -> &'static str {\n    unsafe { g() }\n}\nconst S: &str = \"unsafe\";";
    let found = unsafe_findings("crates/cli/src/x.rs", block);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("crates/cli/src/x.rs:3: "), "{found:?}");
    assert!(unsafe_findings("crates/core/src/raw/x.rs", block).is_empty());

    let found = leftover_findings("x.rs", "fn f() {\n    todo!()\n}\nfn todo() {}");
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("x.rs:2: "), "{found:?}");

    let draws = "fn f() { fastrand::u64(..); }\nfn g() { fastrand::Rng::with_seed(1).u64(..); }";
    assert_eq!(replay_findings("crates/core/src/scheduler/x.rs", draws).len(), 1);
    let clock = "use std::time::{Duration, Instant};\nfn f() { tokio::time::sleep(d); Rng::new(); }";
    assert_eq!(replay_findings("crates/core/src/scheduler/x.rs", clock).len(), 3);
    assert!(replay_findings("crates/core/src/clock.rs", clock).is_empty());

    assert_eq!(codec_findings("crates/core/src/x.rs", "use bincode::config;").len(), 1);
    assert!(codec_findings("crates/core/src/codec.rs", "use bincode::config;").is_empty());

    for folder in HOME_FOLDERS {
        assert_eq!(place_findings("x.md", &format!("see `{folder}you/x`")).len(), 1);
        assert!(
            place_findings("x.md", &format!("https://example.com{folder}x, a{folder}b, {folder}me"))
                .is_empty()
        );
    }
    for host in HOSTS {
        assert_eq!(place_findings("x.md", &format!("a\nhttps://{host}/x")).len(), 1);
    }
}
