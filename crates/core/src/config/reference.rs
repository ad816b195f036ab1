//! The configuration's reference, and the check of annotated files, from the declarations in a [`Registry`].

use std::fmt::Write as _;
use std::path::Path;

use super::sections::{BACKEND, PLAIN, PROVIDER};
use super::{BackendKeys, KeyDefault, KeyDoc, RawConfig, RawValue, Registry, Section};
use crate::env::{self, Audience};

/// The reference as Markdown: every key of every backend in `registry`, and every environment variable.
pub fn markdown(registry: &Registry) -> String {
    let mut page = String::from(HEAD);
    let mut put = |text: &str| page.push_str(text);
    put("## Keys\n\nOutside all sections:\n\n");
    put(&table(&[PROVIDER]));
    for section in [Section::Storage, Section::Compute] {
        put(&format!("### [{}]\n\n", section.name()));
        put(&table(&[BACKEND]));
        for backend in registry.backends().filter(|backend| backend.section == section) {
            put(&format!("With `backend = \"{}\"`", backend.name));
            if backend.wraps() {
                put(", beside the keys of the backend that it wraps");
            }
            if backend.keys.is_empty() {
                put(", no further keys.\n\n");
            } else {
                put(":\n\n");
                put(&table(backend.keys));
            }
        }
    }
    for (section, keys) in PLAIN {
        put(&format!("### [{section}]\n\n"));
        put(&table(keys));
    }
    put("## Environment variables\n\nA variable that is set but empty counts as not set.\n\n");
    put(&format!(
        "Any key can be set by `{}SECTION__KEY`, in capitals, with two underscores between the parts: \
         `RUSTWREN__COMPUTE__WORKERS=4`, `RUSTWREN__PROVIDER=local`. Lists are separated by commas.\n\n",
        env::OVERRIDE_PREFIX
    ));
    for (title, audience) in [
        ("For users", Audience::User),
        ("Conventions of the system that RustWren follows", Audience::System),
        ("Set by RustWren for function processes, not by hand", Audience::Internal),
    ] {
        put(&format!("{title}:\n\n| variable | what it does | when not set |\n|---|---|---|\n"));
        for variable in env::ALL.iter().filter(|variable| variable.audience == audience) {
            put(&format!("| `{}` | {} | {} |\n", variable.name, variable.doc, variable.default));
        }
        put("\n");
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

const HEAD: &str = "\
# Configuration

<!-- Made from the declarations in the code; a test keeps it so. -->

RustWren reads `rustwren.toml`. The first of these that is there is the one that counts:

1. the path given in the program or with `--config` (it must exist);
2. the path in the environment variable `RUSTWREN_CONFIG` (it must exist);
3. `rustwren.toml` in the working directory, then in each of its parents;
4. `rustwren/rustwren.toml` in the user's configuration folder (`$XDG_CONFIG_HOME`, else `~/.config`).

Without any, everything runs on this machine. Environment variables go before the file, and what the program sets
goes before both. `rustwren config show` prints what holds and where each value comes from; `rustwren init` writes
a file with every key explained.

A layer that chooses another backend for a section (say, `RUSTWREN__PROVIDER=local` over a file for a cloud) drops what
the layers below it set for the old one. A backend that wraps another is put around what the layers below chose, and
drops nothing: `RUSTWREN__PROVIDER=chaos` over a file for a cloud is that cloud, with faults. Unknown keys and values of
the wrong kind are errors.

- Sizes are whole numbers with a unit: `\"512MB\"` (a million bytes each), `\"512MiB\"` (2^20 bytes each); `B`, `kB`,
  `KiB`, `MB`, `MiB`, `GB`, `GiB`, `TB`, `TiB`.
- Durations are whole numbers with units: `\"90s\"`, `\"1m30s\"`, `\"250ms\"`; `d`, `h`, `m`, `s`, `ms`, `us`, `ns`.
- Ranges of durations are two with `..` between, `\"60ms..300ms\"`, or one. Shares are percentages: `\"2%\"`, `\"0.5%\"`.
- Amounts are dollars, without quotes: `2.5`, `0.00002`.
- Relative paths in the file count from the file's folder, others from the working directory; `~/` is the home folder.

";

fn table(keys: &[KeyDoc]) -> String {
    let mut text = String::from("| key | value | default | what it does |\n|---|---|---|---|\n");
    for key in keys {
        let default = match key.default {
            KeyDefault::Required => "must be set".to_owned(),
            KeyDefault::Unset { meaning } => meaning.to_owned(),
            KeyDefault::Value(_) => format!("`{}`", literal(key)),
        };
        let secret = if key.secret { " Never shown." } else { "" };
        // Writing to a string cannot fail.
        writeln!(text, "| `{}` | {} | {default} | {}{secret} |", key.name, key.kind, key.doc)
            .unwrap_or_default();
    }
    text.push('\n');
    text
}

/// The default, or the example where there is none, as TOML.
fn literal(key: &KeyDoc) -> String {
    RawValue::from(key.example)
        .resolve(key.kind)
        .map_or_else(|_| key.example.to_owned(), |value| value.to_string())
}

/// Checks an annotated configuration, in which every key stands commented out with its default (`#key = value`,
/// no space after the `#`; prose has one): every key that `backends` and the plain sections declare is there once,
/// with its default (or example), and with what holds when it is not set named in the prose right above it.
///
/// Answers with one sentence for each thing that is wrong.
pub fn check_annotated(text: &str, backends: &[BackendKeys]) -> Vec<String> {
    let mut wrong = Vec::new();
    let bare: String = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => rest,
            _ => line,
        })
        .fold(String::new(), |all, line| all + line + "\n");
    let raw = match RawConfig::parse(Path::new("annotated"), bare, &[]) {
        Ok(raw) => raw,
        Err(error) => return vec![crate::error::Error::from(error).to_string()],
    };
    let mut declared = vec![(PROVIDER.name.to_owned(), PROVIDER)];
    for backend in backends {
        let section = backend.section.name();
        declared.extend(
            [BACKEND].iter().chain(backend.keys).map(|key| (format!("{section}.{}", key.name), *key)),
        );
    }
    for (section, keys) in PLAIN {
        declared.extend(keys.iter().map(|key| (format!("{section}.{}", key.name), *key)));
    }
    for (dotted, key) in &declared {
        let Some(entry) = raw.entries.iter().find(|entry| entry.dotted() == *dotted) else {
            wrong.push(format!("`{dotted}` is missing"));
            continue;
        };
        // `backend` is right with any backend's name.
        let expected = RawValue::from(key.example).resolve(key.kind);
        if key.name != BACKEND.name && key.name != PROVIDER.name && entry.value.resolve(key.kind) != expected
        {
            wrong.push(format!("`{dotted}` must be shown as {}", literal(key)));
        }
        if let KeyDefault::Unset { meaning } = key.default
            && !prose_above(text, key.name).iter().any(|prose| prose.contains(meaning))
        {
            wrong.push(format!(
                "the lines above `{dotted}` must say what holds when it is not set: {meaning}"
            ));
        }
    }
    for entry in &raw.entries {
        if declared.iter().all(|(dotted, _)| *dotted != entry.dotted()) {
            wrong.push(format!("`{}` is not declared", entry.dotted()));
        }
    }
    wrong
}

/// The comment right above each line that sets (or, commented out, would set) `key`, as one line of text.
fn prose_above(text: &str, key: &str) -> Vec<String> {
    let lines: Vec<_> = text.lines().collect();
    let sets = |line: &str| {
        let line = line.strip_prefix('#').unwrap_or(line);
        line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    lines
        .iter()
        .enumerate()
        .filter(|(_, line)| sets(line))
        .map(|(at, _)| {
            let above = lines[..at].iter().rev().take_while(|line| line.starts_with("# "));
            let mut prose: Vec<_> = above.map(|line| line.trim_start_matches("# ")).collect();
            prose.reverse();
            prose.join(" ")
        })
        .collect()
}
