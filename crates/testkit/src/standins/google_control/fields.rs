//! The fields of requests, as the published API definitions have them. One that is not here is refused.

use serde_json::Value;

use super::refusal;

/// A message: its fields, each with the message that its value is, if it is one. `*` stands for any value, `{}` for a map
/// of any names.
type Fields = &'static [(&'static str, &'static str)];

const MESSAGES: &[(&str, Fields)] = &[
    ("CreateServiceAccountRequest", &[("accountId", "*"), ("serviceAccount", "ServiceAccount")]),
    (
        "ServiceAccount",
        &[("displayName", "*"), ("description", "*"), ("name", "*"), ("email", "*"), ("etag", "*")],
    ),
    (
        "Bucket",
        &[
            ("name", "*"),
            ("location", "*"),
            ("labels", "{}"),
            ("iamConfiguration", "IamConfiguration"),
            ("lifecycle", "*"),
            ("storageClass", "*"),
            ("versioning", "*"),
            ("softDeletePolicy", "*"),
        ],
    ),
    (
        "IamConfiguration",
        &[("uniformBucketLevelAccess", "UniformBucketLevelAccess"), ("publicAccessPrevention", "*")],
    ),
    ("UniformBucketLevelAccess", &[("enabled", "*")]),
    (
        "Policy",
        &[("bindings", "[]Binding"), ("version", "*"), ("etag", "*"), ("kind", "*"), ("resourceId", "*")],
    ),
    ("Binding", &[("role", "*"), ("members", "*"), ("condition", "Expr")]),
    ("Expr", &[("title", "*"), ("expression", "*"), ("description", "*"), ("location", "*")]),
    ("SetIamPolicyRequest", &[("policy", "Policy"), ("updateMask", "*")]),
    (
        "Service",
        &[
            ("name", "*"),
            ("description", "*"),
            ("labels", "{}"),
            ("annotations", "{}"),
            ("client", "*"),
            ("ingress", "*"),
            ("launchStage", "*"),
            ("template", "RevisionTemplate"),
            ("traffic", "*"),
            ("scaling", "*"),
            ("invokerIamDisabled", "*"),
            ("defaultUriDisabled", "*"),
            ("customAudiences", "*"),
            ("etag", "*"),
        ],
    ),
    (
        "RevisionTemplate",
        &[
            ("revision", "*"),
            ("labels", "{}"),
            ("annotations", "{}"),
            ("scaling", "RevisionScaling"),
            ("vpcAccess", "*"),
            ("timeout", "*"),
            ("serviceAccount", "*"),
            ("containers", "[]Container"),
            ("volumes", "*"),
            ("executionEnvironment", "*"),
            ("encryptionKey", "*"),
            ("maxInstanceRequestConcurrency", "*"),
            ("sessionAffinity", "*"),
            ("healthCheckDisabled", "*"),
        ],
    ),
    ("RevisionScaling", &[("minInstanceCount", "*"), ("maxInstanceCount", "*")]),
    (
        "Container",
        &[
            ("name", "*"),
            ("image", "*"),
            ("sourceCode", "SourceCode"),
            ("command", "*"),
            ("args", "*"),
            ("env", "[]EnvVar"),
            ("resources", "ResourceRequirements"),
            ("ports", "*"),
            ("volumeMounts", "*"),
            ("workingDir", "*"),
            ("livenessProbe", "*"),
            ("startupProbe", "*"),
            ("dependsOn", "*"),
            ("baseImageUri", "*"),
        ],
    ),
    ("SourceCode", &[("cloudStorageSource", "CloudStorageSource")]),
    ("CloudStorageSource", &[("bucket", "*"), ("object", "*"), ("generation", "*")]),
    ("EnvVar", &[("name", "*"), ("value", "*"), ("valueSource", "*")]),
    ("ResourceRequirements", &[("limits", "{}"), ("cpuIdle", "*"), ("startupCpuBoost", "*")]),
    (
        "Function",
        &[
            ("name", "*"),
            ("description", "*"),
            ("buildConfig", "BuildConfig"),
            ("serviceConfig", "ServiceConfig"),
            ("eventTrigger", "*"),
            ("labels", "{}"),
            ("kmsKeyName", "*"),
            ("environment", "*"),
        ],
    ),
    (
        "BuildConfig",
        &[
            ("runtime", "*"),
            ("entryPoint", "*"),
            ("source", "Source"),
            ("workerPool", "*"),
            ("environmentVariables", "{}"),
            ("dockerRepository", "*"),
            ("serviceAccount", "*"),
        ],
    ),
    ("Source", &[("storageSource", "StorageSource"), ("repoSource", "*"), ("gitUri", "*")]),
    ("StorageSource", &[("bucket", "*"), ("object", "*"), ("generation", "*"), ("sourceUploadUrl", "*")]),
    (
        "ServiceConfig",
        &[
            ("timeoutSeconds", "*"),
            ("availableMemory", "*"),
            ("availableCpu", "*"),
            ("environmentVariables", "{}"),
            ("maxInstanceCount", "*"),
            ("minInstanceCount", "*"),
            ("vpcConnector", "*"),
            ("ingressSettings", "*"),
            ("serviceAccountEmail", "*"),
            ("allTrafficOnLatestRevision", "*"),
            ("secretEnvironmentVariables", "*"),
            ("maxInstanceRequestConcurrency", "*"),
            ("securityLevel", "*"),
        ],
    ),
    ("GenerateUploadUrlRequest", &[("kmsKeyName", "*"), ("environment", "*")]),
];

/// Refuses what a message does not have.
pub(super) fn check(message: &str, value: &Value) -> Result<(), (u16, Value)> {
    let wrong = |what: String| refusal(400, "INVALID_ARGUMENT", &what, &Value::Array(Vec::new()));
    match (message.strip_prefix("[]"), message) {
        (_, "*") => Ok(()),
        (_, "{}") => match value {
            Value::Object(map) if map.values().all(Value::is_string) => Ok(()),
            _ => Err(wrong("Invalid value: a map of strings was expected.".to_owned())),
        },
        (Some(each), _) => match value {
            Value::Array(all) => all.iter().try_for_each(|value| check(each, value)),
            _ => Err(wrong(format!("Invalid value: a list of {each} was expected."))),
        },
        (None, _) => {
            let Some((_, fields)) = MESSAGES.iter().find(|(name, _)| *name == message) else {
                return Err(wrong(format!("there is no message {message}")));
            };
            let Value::Object(map) = value else {
                return Err(wrong(format!("Invalid value: {message} was expected.")));
            };
            map.iter().try_for_each(|(name, value)| {
                let field = fields.iter().find(|(field, _)| field == name);
                let (_, inner) = field.ok_or_else(|| {
                    wrong(format!("Invalid JSON payload received. Unknown name \"{name}\" at '{message}': Cannot find field."))
                })?;
                check(inner, value)
            })
        }
    }
}
