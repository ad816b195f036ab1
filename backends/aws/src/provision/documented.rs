//! `docs/aws.md` shows the policies as they are in the code. `BLESS=1 cargo test -p rustwren-aws --lib` writes them anew.

use rustwren_core::env::Environment;
use serde_json::Value;

use super::arn::Account;
use super::policy::{Objects, Scope, deployer, runner, trust, worker};

fn scope() -> Scope {
    Scope {
        account: Account { id: "123456789012".to_owned(), partition: "aws".to_owned() },
        region: "eu-central-1".to_owned(),
        objects: Some(Objects { bucket: "my-rustwren".to_owned(), prefix: "rustwren/".to_owned() }),
        function: Some("rustwren".to_owned()),
        role: Some("rustwren-eu-central-1".to_owned()),
    }
}

/// The page with this policy in the block behind its mark.
fn with(page: &str, name: &str, policy: &Value) -> String {
    let mark = format!("<!-- policy: {name} -->\n```json\n");
    let start = page.find(&mark).unwrap_or_else(|| panic!("docs/aws.md has no `{mark}`")) + mark.len();
    let len = page[start..].find("```").expect("the block ends");
    let policy = serde_json::to_string_pretty(policy).unwrap();
    [&page[..start], &policy, "\n", &page[start + len..]].concat()
}

#[test]
fn the_documented_policies_are_those_of_the_code() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/aws.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let scope = scope();
    let policies = [
        ("runner", runner(&scope)),
        ("worker", worker(&scope, false)),
        ("trust", trust()),
        ("deployer", deployer(&scope)),
    ];
    let expected = policies.iter().fold(page.clone(), |page, (name, policy)| with(&page, name, policy));
    // By name and not from the registry: it is a variable of this test, none that RustWren reads.
    if Environment::of_process().get("BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, &expected).unwrap();
        return;
    }
    assert!(page == expected, "docs/aws.md is out of date: `BLESS=1 cargo test -p rustwren-aws --lib` writes it anew");
}
