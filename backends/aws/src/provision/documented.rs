//! The policies allow what the code does, and `docs/aws.md` shows them: `BLESS=1 cargo test -p rustwren-aws --lib` writes
//! them there anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

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
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/aws.md");
    let page = fs::read_to_string(&path).unwrap();
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
        fs::write(&path, &expected).unwrap();
        return;
    }
    assert!(
        page == expected,
        "docs/aws.md is out of date: `BLESS=1 cargo test -p rustwren-aws --lib` writes it anew"
    );
}

/// The actions that the calls in these sources name.
fn actions_in(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            actions_in(&path, found);
            continue;
        }
        // These name actions without calling for them.
        if path.ends_with("policy.rs") || path.ends_with("documented.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for literal in text.split('"').skip(1).step_by(2) {
            let Some((service, action)) = literal.split_once(':') else { continue };
            let is_action = action.starts_with(|c: char| c.is_ascii_uppercase())
                && action.chars().all(|c| c.is_ascii_alphanumeric());
            if ["iam", "lambda", "logs", "s3", "sts"].contains(&service) && is_action {
                found.insert(literal.to_owned());
            }
        }
    }
}

/// The actions that a policy allows.
fn actions_of(policy: &Value) -> Vec<String> {
    let statements = policy["Statement"].as_array().unwrap();
    let actions = statements.iter().flat_map(|statement| statement["Action"].as_array().unwrap());
    actions.map(|action| action.as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_called_is_allowed_and_nothing_is_allowed_that_is_not_called() {
    let mut called = BTreeSet::new();
    actions_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/provision"), &mut called);
    assert!(called.len() > 30, "{called:?}");
    // Everybody may ask who they are.
    assert!(called.remove("sts:GetCallerIdentity"));
    // Parts of other calls: tags of what is made, the function's role, objects without versions.
    called.extend(["s3:TagResource", "iam:PassRole", "s3:DeleteObject"].map(str::to_owned));
    let scope = scope();
    // Of the one who sets up, and of `doctor` and `logs`; what jobs do is no part of this.
    let jobs = ["lambda:InvokeFunction", "s3:GetObject", "s3:PutObject"];
    let allowed = [actions_of(&deployer(&scope)), actions_of(&runner(&scope))].concat();
    let allowed: BTreeSet<String> =
        allowed.into_iter().filter(|action| !jobs.contains(&action.as_str())).collect();
    assert_eq!(allowed, called);
}
