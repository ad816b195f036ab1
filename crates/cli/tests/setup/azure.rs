//! The whole of `rustwren setup` on Azure: the zip that it publishes is what runs, under a host of functions, and what it
//! ends with is an answer of that. Azure Resource Manager and the host are ours
//! (`crates/testkit/src/standins/azure_control.rs`, `functions_host.rs`); the blobs are Azurite's.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, OnceLock, mpsc};

use rustwren_testkit::standins::azure_control::AzureControl;
use rustwren_testkit::standins::functions_host::{Console, FunctionApp, FunctionsHost, Queues};
use rustwren_testkit::standins::{Azurite, Front, Verdict};

use crate::text;

const APP: &str = "ada-wren";

/// The configuration of an app behind this address.
fn write_config(home: &Path, azure: &AzureControl, url: &str, storage: &str, queues: &str) {
    let config = format!(
        "provider = 'azure'\n[storage]\naccount = '{}'\n{storage}\n[compute]\napp = '{APP}'\nurl = '{url}'\n\
         key_file = 'function-key'\nsubscription = '{}'\nregion = 'eastus'\nmanagement = '{management}'\n\
         log_endpoint = '{management}'\n{queues}\n",
        Azurite::ACCOUNT,
        AzureControl::SUBSCRIPTION,
        management = azure.endpoint(),
    );
    fs::write(home.join("rustwren.toml"), config).unwrap();
}

/// The command, as whoever has an identity and the account's key.
fn rustwren(home: &Path, azure: &AzureControl, args: &[&str]) -> Output {
    rustwren_with(home, azure, args, &[])
}

fn rustwren_with(home: &Path, azure: &AzureControl, args: &[&str], further: &[(&str, &str)]) -> Output {
    let identity = azure.identity_endpoint();
    let variables = [
        ("IDENTITY_ENDPOINT", identity.as_str()),
        ("IDENTITY_HEADER", "hunter2-header"),
        ("AZURE_STORAGE_KEY", Azurite::KEY),
    ];
    let output = crate::rustwren(home, args, &[&variables, further].concat());
    let said = [&output.stdout, &output.stderr].map(|bytes| text(bytes));
    assert!(
        said.iter().all(|said| !said.contains("hunter2") && !said.contains(Azurite::KEY)),
        "a secret is shown"
    );
    output
}

#[test]
fn a_setup_ends_with_an_answer_of_what_it_has_published() {
    let (azurite, azure) = (Azurite::start(), Arc::new(AzureControl::start()));
    let folder = tempfile::tempdir().unwrap();
    // Function processes, which are other users, pass through.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let running: Arc<OnceLock<FunctionsHost>> = Arc::default();
    // The app's address: the host is started when it is first called, with what is published and set by then.
    let queues = Queues { endpoint: azurite.queue_endpoint(), sas: azurite.sas("2125-01-01T00:00:00Z") };
    let (heard, printed) = mpsc::channel();
    let front = {
        let (running, azure, folder) = (Arc::clone(&running), Arc::clone(&azure), folder.path().to_owned());
        Front::before("127.0.0.1:1", move |_| {
            let host = running.get_or_init(|| {
                let mut app = FunctionApp::of_package(&azure.published().unwrap(), &folder, Some(&queues));
                app.key = AzureControl::FUNCTION_KEY.to_owned();
                app.settings = azure.settings(APP).into_iter().collect();
                let cache = folder.join("cache").to_str().unwrap().to_owned();
                // What a worker has from its identity, which is Azure's alone.
                let own = [
                    ("RUSTWREN__STORAGE__LOGIN", "auto"),
                    ("AZURE_STORAGE_KEY", Azurite::KEY),
                    ("RUSTWREN_CACHE_DIR", &cache),
                ];
                let (azure, heard) = (Arc::clone(&azure), heard.clone());
                app.console = Some(Console::new(move |instance, line| {
                    #[expect(clippy::disallowed_methods, reason = "lines are read by the clock on the wall")]
                    let now = std::time::SystemTime::now();
                    azure.trace(APP, now, &format!("instance-{instance}"), line);
                    heard.send(line.to_owned()).unwrap_or_default();
                }));
                app.settings.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
                FunctionsHost::start(app)
            });
            Verdict::PassTo(host.url().trim_start_matches("http://").to_owned())
        })
    };
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    // Resource Manager's containers are none of Azurite's: this one is there.
    let storage =
        format!("container = '{}'\nendpoint = '{}'", azurite.new_container(), azurite.blob_endpoint());
    let queues = format!("endpoint = '{}'", azurite.queue_endpoint());
    write_config(home, &azure, &front.endpoint(), &storage, &queues);

    // The runtime that lies beside the command.
    let done = rustwren(home, &azure, &["setup", "--yes"]);
    crate::assert_exit(&done, 0);
    let said = text(&done.stderr);
    assert!(said.contains("14 to create") && said.contains("a closure went the whole way"), "{said}");
    let seen = running.get().unwrap().seen();
    assert_eq!((seen.invocations, seen.denied), (1, 0), "{said}");
    assert!(azure.malformed().is_empty(), "{:?}", azure.malformed());

    let again = rustwren(home, &azure, &["setup"]);
    crate::assert_exit(&again, 0);
    let said = text(&again.stderr);
    assert!(said.contains("no change: 14 as they should be"), "{said}");

    let doctor = rustwren(home, &azure, &["doctor"]);
    crate::assert_exit(&doctor, 0);
    let legs = text(&doctor.stdout);
    for leg in [
        "credentials",
        "account",
        "container",
        "queue",
        "app",
        "runtime",
        "logs",
        "connect",
        "storage",
        "worker",
        "round trip",
    ] {
        assert!(legs.contains(&format!("ok     {leg} ")), "{leg}: {legs}");
    }

    // The same by the function that messages come to.
    let by_queue = rustwren_with(home, &azure, &["doctor"], &[("RUSTWREN__COMPUTE__TRIGGER", "queue")]);
    crate::assert_exit(&by_queue, 0);
    assert!(text(&by_queue.stdout).contains("ok     round trip "), "{}", text(&by_queue.stdout));
    assert!(running.get().unwrap().seen().messages > 0);

    // The host has passed on what the runtime prints; Application Insights has it as soon as it was read here.
    while !printed.recv().unwrap().contains("listening on") {}
    read_logs(home, &azure);

    let removal = rustwren(home, &azure, &["teardown", "--yes"]);
    crate::assert_exit(&removal, 0);
    assert!(text(&removal.stderr).contains("nothing is left"), "{}", text(&removal.stderr));
    assert!(azure.things().is_empty(), "{:?}", azure.things());
    assert!(!home.join("function-key").exists());
}

/// Reads the line that the runtime has printed, as people and scripts do.
fn read_logs(home: &Path, azure: &AzureControl) {
    let logs = rustwren(home, azure, &["logs", "--since", "1h"]);
    crate::assert_exit(&logs, 0);
    let lines = text(&logs.stdout);
    assert!(lines.contains("listening on") && lines.contains("instance-0"), "{lines}");
    let logs = rustwren(home, azure, &["logs", "--since", "1h", "--filter", "listening", "--json"]);
    let lines = text(&logs.stdout);
    assert!(
        lines.lines().all(|line| line.contains("\"source\":\"instance-0\"")) && !lines.is_empty(),
        "{lines}"
    );
    let logs = rustwren(home, azure, &["logs", "--filter", "nobody says this"]);
    crate::assert_exit(&logs, 0);
    assert!(logs.stdout.is_empty() && text(&logs.stderr).contains("has logged nothing"), "{logs:?}");
}

#[test]
fn nothing_is_made_or_removed_unasked() {
    let azure = AzureControl::start();
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    fs::write(home.join("runtime"), rustwren_testkit::setup::small_program(1)).unwrap();
    write_config(home, &azure, "https://ada-wren.azurewebsites.net", "container = 'jobs'", "");
    let planned = rustwren(home, &azure, &["setup", "--runtime", "runtime", "--dry-run"]);
    crate::assert_exit(&planned, 0);
    let shown = text(&planned.stdout);
    assert!(shown.contains("14 to create") && shown.contains("Flex Consumption"), "{shown}");
    let unasked = rustwren(home, &azure, &["setup", "--runtime", "runtime"]);
    assert!(!unasked.status.success() && text(&unasked.stderr).contains("--yes"), "{unasked:?}");
    assert!(azure.things().is_empty(), "{:?}", azure.things());
    let logs = rustwren(home, &azure, &["logs"]);
    assert!(
        !logs.status.success() && text(&logs.stderr).contains("no log workspace ada-wren-logs"),
        "{logs:?}"
    );
    let removal = rustwren(home, &azure, &["teardown", "--yes"]);
    crate::assert_exit(&removal, 0);
    assert!(text(&removal.stderr).contains("there is nothing to remove"), "{}", text(&removal.stderr));
}

#[test]
fn signatures_are_in_no_log_of_the_command() {
    let azurite = Azurite::start();
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let config = format!(
        "[storage]\nbackend = 'azure'\ncontainer = '{}'\nendpoint = '{}'\n[compute]\nbackend = 'local'\n",
        azurite.new_container(),
        azurite.blob_endpoint(),
    );
    fs::write(home.join("rustwren.toml"), config).unwrap();
    let sas = azurite.sas("2125-01-01T00:00:00Z");
    let variables = [("AZURE_STORAGE_SAS_TOKEN", sas.as_str()), ("RUSTWREN_LOG", "trace")];
    let doctor = crate::rustwren(home, &["doctor"], &variables);
    crate::assert_exit(&doctor, 0);
    let signature = sas.split_once("sig=").unwrap().1.split('&').next().unwrap();
    let (said, shown) = (text(&doctor.stderr), text(&doctor.stdout));
    assert!(said.contains("sig=REDACTED"), "URLs are logged at this level: {said}");
    assert!(!said.contains(signature) && !shown.contains(signature), "a signature is shown");
}
