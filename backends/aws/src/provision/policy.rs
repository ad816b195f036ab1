//! Who may do what: the documents that IAM is given, and those that a person gives to people.
//!
//! The worker's policy is all that a task could ever use, should the configuration pass it the worker's credentials:
//! the objects under one prefix of one bucket, and the lines of one log group. It may not make the log group: what
//! runs a moment longer than its function would bring back what `teardown` has just removed.

use serde_json::{Value, json};

use super::arn::Account;

/// The version of the language that policies are written in.
const VERSION: &str = "2012-10-17";

/// What policies speak about. Each thing may be missing: storage or workers may be somewhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The account.
    pub account: Account,
    /// The region of the function.
    pub region: String,
    /// What is used of a bucket.
    pub objects: Option<Objects>,
    /// The name of the function.
    pub function: Option<String>,
    /// The worker's role, where setup makes it.
    pub role: Option<String>,
}

/// The objects that are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objects {
    /// The name of their bucket.
    pub bucket: String,
    /// Their keys begin with it: empty, or with a `/` at its end. No wildcards.
    pub prefix: String,
}

/// The log group of a function, as Lambda names it.
pub fn log_group(function: &str) -> String {
    format!("/aws/lambda/{function}")
}

/// Who may take on the worker's role.
pub fn trust() -> Value {
    document(&[json!({
        "Effect": "Allow",
        "Principal": { "Service": "lambda.amazonaws.com" },
        "Action": "sts:AssumeRole",
    })])
}

/// What the worker may do. `nested` says that tasks are given its credentials, and so may start jobs: then it may run
/// further workers.
pub fn worker(scope: &Scope, nested: bool) -> Value {
    let mut statements = use_of_objects(scope);
    if let Some(function) = &scope.function {
        let group = scope.account.log_group(&scope.region, &log_group(function));
        let actions = ["logs:CreateLogStream", "logs:PutLogEvents"];
        statements.push(allow("Logs", &actions, &[format!("{group}:*")]));
        if nested {
            let function = scope.account.function(&scope.region, function);
            statements.push(allow("Workers", &["lambda:InvokeFunction"], &[function]));
        }
    }
    document(&statements)
}

/// What whoever runs jobs, looks at them or reads their logs may do.
pub fn runner(scope: &Scope) -> Value {
    let mut statements = use_of_objects(scope);
    if let Some(function) = &scope.function {
        let actions = ["lambda:GetFunction", "lambda:InvokeFunction"];
        statements.push(allow("Workers", &actions, &[scope.account.function(&scope.region, function)]));
        let group = scope.account.log_group(&scope.region, &log_group(function));
        statements.push(allow("Logs", &["logs:FilterLogEvents"], &[format!("{group}:*")]));
    }
    document(&statements)
}

/// What whoever sets up and tears down may do. Running jobs comes on top, and setup ends with a small one.
pub fn deployer(scope: &Scope) -> Value {
    let mut statements = Vec::new();
    if let Some(Objects { bucket, .. }) = &scope.objects {
        let bucket = scope.account.bucket(bucket);
        statements.push(allow("Bucket", BUCKET, std::slice::from_ref(&bucket)));
        statements.push(allow("Emptying", EMPTYING, &[format!("{bucket}/*")]));
    }
    if let Some(role) = &scope.role {
        let role = scope.account.role(role);
        statements.push(allow("Role", ROLE, std::slice::from_ref(&role)));
        let mut pass = allow("PassRole", &["iam:PassRole"], &[role]);
        pass["Condition"] = json!({ "StringEquals": { "iam:PassedToService": "lambda.amazonaws.com" } });
        statements.push(pass);
    }
    if let Some(function) = &scope.function {
        statements.push(allow("Function", FUNCTION, &[scope.account.function(&scope.region, function)]));
        let group = scope.account.log_group(&scope.region, &log_group(function));
        statements.push(allow("LogGroup", LOG_GROUP, &[group.clone(), format!("{group}:*")]));
        // It answers for groups by the beginning of their names, so it cannot be held to one.
        let any = scope.account.log_group(&scope.region, "*");
        statements.push(allow("LogGroups", &["logs:DescribeLogGroups"], &[any]));
    }
    document(&statements)
}

/// What setup and teardown do to the bucket.
const BUCKET: &[&str] = &[
    "s3:CreateBucket",
    "s3:DeleteBucket",
    "s3:GetBucketPublicAccessBlock",
    "s3:GetBucketTagging",
    "s3:GetEncryptionConfiguration",
    "s3:GetLifecycleConfiguration",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "s3:ListBucketVersions",
    "s3:PutBucketPublicAccessBlock",
    "s3:PutBucketTagging",
    "s3:PutEncryptionConfiguration",
    "s3:PutLifecycleConfiguration",
    // Part of making a bucket that is marked from its first moment.
    "s3:TagResource",
];

/// What teardown does to what is in the bucket.
const EMPTYING: &[&str] = &["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:DeleteObjectVersion"];

/// What setup and teardown do to the role.
const ROLE: &[&str] = &[
    "iam:CreateRole",
    "iam:DeleteRole",
    "iam:DeleteRolePolicy",
    "iam:DetachRolePolicy",
    "iam:GetRole",
    "iam:GetRolePolicy",
    "iam:ListAttachedRolePolicies",
    "iam:ListRolePolicies",
    "iam:PutRolePolicy",
    "iam:TagRole",
    "iam:UpdateAssumeRolePolicy",
];

/// What setup and teardown do to the function.
const FUNCTION: &[&str] = &[
    "lambda:CreateFunction",
    "lambda:DeleteFunction",
    "lambda:DeleteFunctionConcurrency",
    "lambda:GetFunction",
    "lambda:GetFunctionEventInvokeConfig",
    "lambda:PutFunctionConcurrency",
    "lambda:PutFunctionEventInvokeConfig",
    "lambda:TagResource",
    "lambda:UpdateFunctionCode",
    "lambda:UpdateFunctionConfiguration",
];

/// What setup and teardown do to the log group.
const LOG_GROUP: &[&str] = &[
    "logs:CreateLogGroup",
    "logs:DeleteLogGroup",
    "logs:ListTagsForResource",
    "logs:PutRetentionPolicy",
    "logs:TagResource",
];

/// What reading and writing through `Storage` takes.
fn use_of_objects(scope: &Scope) -> Vec<Value> {
    let Some(Objects { bucket, prefix }) = &scope.objects else {
        return Vec::new();
    };
    let bucket = scope.account.bucket(bucket);
    let actions = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"];
    let objects = allow("Objects", &actions, &[format!("{bucket}/{prefix}*")]);
    // Without it, S3 says of an object that is missing that access is denied.
    let mut list = allow("List", &["s3:ListBucket"], &[bucket]);
    if !prefix.is_empty() {
        list["Condition"] = json!({ "StringLike": { "s3:prefix": format!("{prefix}*") } });
    }
    vec![objects, list]
}

fn allow(sid: &str, actions: &[&str], resources: &[String]) -> Value {
    json!({ "Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources })
}

fn document(statements: &[Value]) -> Value {
    json!({ "Version": VERSION, "Statement": statements })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        Scope {
            account: Account { id: "123456789012".to_owned(), partition: "aws".to_owned() },
            region: "eu-west-1".to_owned(),
            objects: Some(Objects { bucket: "ada-jobs".to_owned(), prefix: "wren/".to_owned() }),
            function: Some("rustwren".to_owned()),
            role: Some("rustwren-eu-west-1".to_owned()),
        }
    }

    /// Everything that a policy allows, as pairs of action and resource; it may allow only.
    fn pairs(policy: &Value) -> Vec<(String, String)> {
        let texts = |value: &Value| -> Vec<String> {
            value.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
        };
        let statements = policy["Statement"].as_array().unwrap();
        let mut out = Vec::new();
        for statement in statements {
            assert_eq!(statement["Effect"], "Allow");
            for action in texts(&statement["Action"]) {
                out.extend(
                    texts(&statement["Resource"]).into_iter().map(|resource| (action.clone(), resource)),
                );
            }
        }
        out
    }

    #[test]
    fn the_worker_may_use_its_prefix_and_write_its_log_and_no_more() {
        let policy = worker(&scope(), false);
        let objects = "arn:aws:s3:::ada-jobs/wren/*";
        let logs = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/rustwren:*";
        let expected = [
            ("s3:AbortMultipartUpload", objects),
            ("s3:DeleteObject", objects),
            ("s3:GetObject", objects),
            ("s3:PutObject", objects),
            ("s3:ListBucket", "arn:aws:s3:::ada-jobs"),
            ("logs:CreateLogStream", logs),
            ("logs:PutLogEvents", logs),
        ];
        let expected: Vec<_> = expected.map(|(a, r)| (a.to_owned(), r.to_owned())).into();
        assert_eq!(pairs(&policy), expected);
        let list = &policy["Statement"][1];
        assert_eq!(list["Condition"], json!({ "StringLike": { "s3:prefix": "wren/*" } }));
    }

    #[test]
    fn workers_whose_tasks_have_credentials_may_start_more_of_them() {
        let (alone, nested) = (pairs(&worker(&scope(), false)), pairs(&worker(&scope(), true)));
        let function = "arn:aws:lambda:eu-west-1:123456789012:function:rustwren".to_owned();
        assert_eq!(nested[..alone.len()], alone);
        assert_eq!(nested[alone.len()..], [("lambda:InvokeFunction".to_owned(), function)]);
    }

    #[test]
    fn without_a_prefix_the_bucket_is_the_limit() {
        let mut whole = scope();
        whole.objects = Some(Objects { bucket: "ada-jobs".to_owned(), prefix: String::new() });
        let policy = worker(&whole, false);
        assert_eq!(policy["Statement"][0]["Resource"], json!(["arn:aws:s3:::ada-jobs/*"]));
        assert_eq!(policy["Statement"][1].get("Condition"), None);
    }

    #[test]
    fn no_policy_has_a_wildcard_where_a_name_will_do() {
        let scope = scope();
        for policy in [worker(&scope, true), runner(&scope), deployer(&scope)] {
            for (action, resource) in pairs(&policy) {
                assert!(!action.contains('*'), "{action}");
                let named = ["ada-jobs", "rustwren"].iter().any(|name| resource.contains(name));
                assert!(named || action == "logs:DescribeLogGroups", "{action} on {resource}");
            }
        }
    }

    #[test]
    fn the_role_is_passed_to_lambda_alone() {
        let policy = deployer(&scope());
        let pass = policy["Statement"].as_array().unwrap().iter().find(|s| s["Sid"] == "PassRole").unwrap();
        assert_eq!(pass["Condition"]["StringEquals"]["iam:PassedToService"], "lambda.amazonaws.com");
        assert_eq!(pass["Resource"], json!(["arn:aws:iam::123456789012:role/rustwren-eu-west-1"]));
    }

    #[test]
    fn what_is_not_set_up_is_not_named() {
        let mut storage = scope();
        (storage.function, storage.role) = (None, None);
        let text =
            [worker(&storage, true), runner(&storage), deployer(&storage)].map(|p| p.to_string()).concat();
        assert!(!text.contains("lambda") && !text.contains("logs") && !text.contains("iam"), "{text}");
        let mut workers = scope();
        workers.objects = None;
        let text =
            [worker(&workers, true), runner(&workers), deployer(&workers)].map(|p| p.to_string()).concat();
        assert!(!text.contains("s3"), "{text}");
    }
}
