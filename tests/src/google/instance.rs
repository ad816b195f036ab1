//! One instance of a service: a container, were it at Google.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Route;
use crate::fleet;
use crate::listening::Listening;

/// What `scripts/test` puts under `.cache`.
const FRAMEWORK: &str =
    "functions-framework/node_modules/@google-cloud/functions-framework/build/src/main.js";
/// The shim as it is deployed, and what its package says.
const SHIM: [&str; 2] = ["index.js", "package.json"];

/// Starts one, with nothing but these variables and what Google sets, and waits until it listens.
pub(super) fn start(route: Route, home: &Path, variables: &[(String, String)]) -> Listening {
    let mut command = match route {
        Route::Run => runtime(),
        Route::Functions => framework(home),
    };
    command
        .env_clear()
        .env("HOME", home)
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("NODE_ENV", "production")
        .env("PORT", "0")
        .envs(variables.iter().map(|(name, value)| (name, value)));
    Listening::start(command, home)
}

/// The runtime alone, which is this program.
fn runtime() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([fleet::SERVE, "--platform-auth", "--listen", "127.0.0.1:$PORT"]);
    command
}

/// Google's framework with the shim, beside which the runtime lies, as in the archive that is deployed.
fn framework(home: &Path) -> Command {
    let framework = fleet::cache().join(FRAMEWORK);
    assert!(framework.is_file(), "there is no functions framework: run scripts/test once, which brings it");
    let source = home.join("source");
    if !source.is_dir() {
        let shim = Path::new(env!("CARGO_MANIFEST_DIR")).join("../backends/gcp/shim");
        fs::create_dir(&source).unwrap();
        for name in SHIM {
            fs::copy(shim.join(name), source.join(name)).unwrap();
        }
        symlink(std::env::current_exe().unwrap(), source.join("rustwren-runtime")).unwrap();
    }
    let mut command = Command::new(node());
    command.arg("--require").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/google/loopback.cjs"));
    command.arg(framework).arg("--target=rustwren").arg("--source").arg(source);
    command
}

fn node() -> PathBuf {
    fleet::tool("node")
}
