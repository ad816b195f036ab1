//! What does not compile, and what users read then. The programs are compiled to the end: that a closure captures nothing
//! is known only once its type is, after type checking.
//!
//! They are compiled against the library as it was built for the tests. Another build of it with all that it needs, as
//! `trybuild` makes one, took longer than any other test. What is kept of a message is what it says and where in the
//! program it points; places in the library's own source are left out.
//!
//! `BLESS=1 cargo test -p rustwren-macros --test ui` writes the messages anew.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test does stands outside of it, where clippy looks"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

use serde_json::Value;

/// Where this test lies among what was built for it.
fn deps() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_owned()
}

/// Builds of a library that are there, the newest first.
fn builds(name: &str) -> Vec<PathBuf> {
    let prefix = format!("lib{name}-");
    let files = std::fs::read_dir(deps()).unwrap().map(|entry| entry.unwrap());
    let mut found: Vec<(SystemTime, PathBuf)> = files
        .filter(|file| {
            let path = file.path();
            let is_library = path.extension().is_some_and(|extension| extension == "rlib");
            is_library && file.file_name().to_string_lossy().starts_with(&prefix)
        })
        .map(|file| (file.metadata().unwrap().modified().unwrap(), file.path()))
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, path)| path).collect()
}

/// The libraries that the programs use.
struct Libraries {
    rustwren: PathBuf,
    serde: PathBuf,
}

impl Libraries {
    /// The newest ones that a program which is right compiles with. Builds with other features may lie beside them.
    fn find() -> Self {
        let mut last = None;
        for rustwren in builds("rustwren") {
            for serde in builds("serde") {
                let libraries = Self { rustwren: rustwren.clone(), serde };
                let output = libraries.compile(Path::new("tests/ui/pass.rs"));
                if output.status.success() {
                    return libraries;
                }
                last = Some(output);
            }
        }
        let messages = last.map(|output| messages(&output)).unwrap_or_default();
        panic!("tests/ui/pass.rs does not compile: {messages}");
    }

    fn compile(&self, program: &Path) -> Output {
        let out = tempfile::tempdir().unwrap();
        let mut command = Command::new("rustc");
        command
            .args(["--edition=2024", "--error-format=json", "--emit=obj", "-Cdebuginfo=0", "--out-dir"])
            .arg(out.path())
            .arg(format!("-Ldependency={}", deps().display()));
        for (name, path) in [("rustwren", &self.rustwren), ("serde", &self.serde)] {
            command.arg(format!("--extern={name}={}", path.display()));
        }
        command.arg(program).output().unwrap()
    }
}

/// What the compiler says, without what is about the library's own source.
fn messages(output: &Output) -> String {
    let said = std::str::from_utf8(&output.stderr).unwrap();
    let all = said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{said}")));
    let mut text = String::new();
    for message in all.filter(|message: &Value| !message["spans"].as_array().unwrap().is_empty()) {
        describe(&mut text, &message, "");
        for child in message["children"].as_array().unwrap() {
            describe(&mut text, child, "  ");
        }
        text.push('\n');
    }
    text
}

fn describe(text: &mut String, message: &Value, indent: &str) {
    let spans = message["spans"].as_array().unwrap();
    let mut places = spans.iter().filter(|span| in_program(span)).peekable();
    let is_elsewhere = places.peek().is_none() && !spans.is_empty();
    let (level, said) = (message["level"].as_str().unwrap(), message["message"].as_str().unwrap());
    // Which other types there are depends on what was built beside the library.
    if !indent.is_empty() && (is_elsewhere || said.starts_with("the following other types implement")) {
        return;
    }
    let code = message["code"]["code"].as_str().map(|code| format!("[{code}]")).unwrap_or_default();
    writeln!(text, "{indent}{level}{code}: {said}").unwrap();
    for span in places {
        let [line, column] = ["line_start", "column_start"].map(|key| span[key].as_u64().unwrap());
        let label = span["label"].as_str().unwrap_or("here");
        writeln!(text, "{indent}  {line}:{column}: {label}").unwrap();
    }
}

fn in_program(span: &Value) -> bool {
    span["file_name"].as_str().unwrap().starts_with("tests/ui/")
}

#[test]
fn programs_that_are_wrong_are_told_what_is() {
    let libraries = Libraries::find();
    #[expect(clippy::disallowed_methods, reason = "whoever runs the test asks for new messages")]
    let bless = std::env::var_os("BLESS").is_some();
    let files = std::fs::read_dir("tests/ui").unwrap().map(|entry| entry.unwrap().path());
    let mut programs: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect();
    programs.retain(|path| !path.ends_with("pass.rs"));
    programs.sort();
    assert!(programs.len() >= 7, "{programs:?}");
    let mut wrong = String::new();
    for program in programs {
        let output = libraries.compile(&program);
        assert!(!output.status.success(), "{} compiles", program.display());
        let (messages, file) = (messages(&output), program.with_extension("stderr"));
        if bless {
            std::fs::write(&file, &messages).unwrap();
        }
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        if messages != expected {
            writeln!(wrong, "--- {} is\n{expected}--- and would be\n{messages}", file.display()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
