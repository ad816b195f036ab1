//! The dependency arrows of `docs/architecture.md`, held against `cargo metadata`.

#![expect(clippy::expect_used, reason = "a test says what went wrong by failing")]

use std::collections::BTreeMap;
use std::path::Path;

use cargo_metadata::{Dependency, DependencyKind, Metadata, MetadataCommand, Package};

/// What each of our crates may depend on among our crates. What is not listed here is a finding: a layer keeps its
/// promise by what it cannot reach.
const ARROWS: &[(&str, &[&str])] = &[
    ("rustwren-macros", &[]),
    ("rustwren-core", &[]),
    ("rustwren-testkit", &["rustwren-core", "rustwren-chaos"]),
    ("rustwren-aws", &["rustwren-core", "rustwren-http"]),
    ("rustwren-azure", &["rustwren-core", "rustwren-http"]),
    ("rustwren-chaos", &["rustwren-core"]),
    ("rustwren-runtime", &["rustwren-core"]),
    ("rustwren-directory", &["rustwren-core"]),
    ("rustwren-gcp", &["rustwren-core", "rustwren-http"]),
    ("rustwren-http", &["rustwren-core"]),
    ("rustwren-local", &["rustwren-core", "rustwren-directory", "rustwren-runtime"]),
    (
        "rustwren-worker",
        &[
            "rustwren-core",
            "rustwren-aws",
            "rustwren-azure",
            "rustwren-directory",
            "rustwren-gcp",
            "rustwren-http",
            "rustwren-runtime",
        ],
    ),
    (
        "rustwren",
        &[
            "rustwren-core",
            "rustwren-macros",
            "rustwren-aws",
            "rustwren-azure",
            "rustwren-chaos",
            "rustwren-gcp",
            "rustwren-http",
            "rustwren-local",
        ],
    ),
    ("rustwren-cli", &["rustwren"]),
    ("rustwren-examples", &["rustwren"]),
    (
        "rustwren-tests",
        &["rustwren", "rustwren-core", "rustwren-directory", "rustwren-runtime", "rustwren-worker"],
    ),
];

/// What tests of a crate may depend on besides: what its invoker talks to, for instance.
const FOR_TESTS: &[(&str, &[&str])] = &[
    ("rustwren-http", &["rustwren-directory", "rustwren-worker"]),
    ("rustwren-macros", &["rustwren"]),
    ("rustwren-tests", &["rustwren-worker"]),
];

/// For tests only: every crate may have it as a dev-dependency, none but `TESTS` as anything else.
const TESTKIT: &str = "rustwren-testkit";

/// The one crate that is all tests.
const TESTS: &str = "rustwren-tests";

type Arrows = BTreeMap<&'static str, &'static [&'static str]>;

fn metadata() -> Metadata {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    MetadataCommand::new()
        .manifest_path(manifest)
        .no_deps()
        .exec()
        .expect("cargo metadata reads our own workspace")
}

fn may_for_tests(name: &str, dependency: &Dependency) -> bool {
    let for_tests = FOR_TESTS.iter().filter(|(of, _)| *of == name).flat_map(|(_, names)| *names);
    dependency.kind == DependencyKind::Development && for_tests.into_iter().any(|to| *to == dependency.name)
}

/// The findings for one crate: each says where, what and how to mend it.
fn findings(package: &Package, members: &[&str], arrows: &Arrows) -> Vec<String> {
    let name = package.name.as_str();
    let manifest = &package.manifest_path;
    let Some(allowed) = arrows.get(name) else {
        return vec![format!(
            "{manifest}: the crate {name} has no arrows: add a row to ARROWS in tests/tests/arrows.rs and to the \
             code map in docs/architecture.md"
        )];
    };
    let mut out = Vec::new();
    for dependency in package.dependencies.iter().filter(|d| members.contains(&d.name.as_str())) {
        let to = dependency.name.as_str();
        if to == TESTKIT {
            if dependency.kind != DependencyKind::Development && name != TESTS {
                out.push(format!("{manifest}: {TESTKIT} is for tests only: move it to [dev-dependencies]"));
            }
        } else if !allowed.contains(&to) && !may_for_tests(name, dependency) {
            let allowed = if allowed.is_empty() { "none of ours".to_owned() } else { allowed.join(", ") };
            out.push(format!(
                "{manifest}: {name} must not depend on {to} (allowed: {allowed}): move the code to where both can \
                 reach it, or put a trait in rustwren-core between them"
            ));
        }
    }
    out
}

#[test]
fn dependencies_follow_the_arrows() {
    let metadata = metadata();
    let packages = metadata.workspace_packages();
    let members: Vec<&str> = packages.iter().map(|p| p.name.as_str()).collect();
    let arrows: Arrows = ARROWS.iter().copied().collect();

    let mut found: Vec<String> = packages.iter().flat_map(|p| findings(p, &members, &arrows)).collect();
    for name in arrows.keys().filter(|name| !members.contains(name)) {
        found.push(format!(
            "tests/tests/arrows.rs: no crate is called {name} any more: remove its row from ARROWS"
        ));
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// What only setup needs at Google is not built where jobs are run.
const FOR_SETUP: &[&str] = &["functions", "iam", "logging", "lro", "run"];

#[test]
fn clients_of_control_planes_are_for_setup_alone() {
    let metadata = metadata();
    let packages = metadata.workspace_packages();
    let of = |name: &str| packages.iter().find(|package| package.name.as_str() == name).unwrap();
    let is_for_setup = |name: &str| {
        let rest = name.strip_prefix("google-cloud-");
        rest.is_some_and(|rest| FOR_SETUP.iter().any(|subject| rest.split('-').next() == Some(*subject)))
    };

    let gcp = of("rustwren-gcp");
    let clients: Vec<&Dependency> = gcp.dependencies.iter().filter(|it| is_for_setup(&it.name)).collect();
    assert!(clients.len() >= FOR_SETUP.len(), "{clients:?}");
    for client in clients {
        assert!(client.optional, "{} is for the feature `provision`", client.name);
        let feature = format!("dep:{}", client.name);
        let by: Vec<&str> =
            gcp.features.iter().filter(|(_, all)| all.contains(&feature)).map(|(name, _)| &**name).collect();
        assert_eq!(by, ["provision"], "what builds {}", client.name);
    }
    for (name, setup) in [("rustwren-worker", None), ("rustwren", Some("gcp-setup"))] {
        let package = of(name);
        for dependency in package.dependencies.iter().filter(|it| it.name == "rustwren-gcp") {
            assert!(!dependency.uses_default_features && dependency.features.is_empty(), "{name}");
        }
        let provision = "rustwren-gcp/provision".to_owned();
        let by = package.features.iter().filter(|(_, all)| all.contains(&provision)).map(|(name, _)| &**name);
        assert_eq!(
            by.collect::<Vec<_>>(),
            setup.into_iter().collect::<Vec<_>>(),
            "what builds them in {name}"
        );
    }
    let others = packages.iter().filter(|package| package.name.as_str() != "rustwren-gcp");
    let found = others.flat_map(|package| &package.dependencies).find(|it| is_for_setup(&it.name));
    assert!(found.is_none(), "{found:?}");
}

/// The check itself finds what it is there to find.
#[test]
fn wrong_arrows_are_found() {
    let metadata = metadata();
    let packages = metadata.workspace_packages();
    let members: Vec<&str> = packages.iter().map(|p| p.name.as_str()).collect();
    let local = packages.iter().find(|p| p.name.as_str() == "rustwren-local").unwrap();

    let strict: Arrows = [("rustwren-local", &["rustwren-core", "rustwren-directory"][..])].into();
    let found = findings(local, &members, &strict);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("rustwren-local must not depend on rustwren-runtime"), "{found:?}");

    let found = findings(local, &members, &Arrows::new());
    assert!(found[0].contains("has no arrows"), "{found:?}");
}
