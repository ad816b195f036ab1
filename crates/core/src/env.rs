//! Every environment variable that RustWren reads, in one place.
//!
//! Other modules read variables only through this registry, so that the documentation (`docs/config.md`, made
//! from [`ALL`]) is complete. A variable that is set but empty counts as not set.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;

use crate::error::{Error, ErrorKind, Result};

/// Who sets a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// People and scripts.
    User,
    /// RustWren itself, for the function processes that it starts. Not to be set by hand.
    Internal,
    /// A convention of the system that RustWren follows.
    System,
}

/// An environment variable that RustWren reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EnvVar {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// What holds when it is not set, as a phrase.
    pub default: &'static str,
    /// Who sets it.
    pub audience: Audience,
    /// Whether its value must never be shown.
    pub secret: bool,
}

macro_rules! variables {
    (@secret) => { false };
    (@secret secret) => { true };
    ($($ident:ident = $name:literal, $audience:ident $($secret:ident)?, default $default:literal, $doc:literal;)*) => {
        $(
            #[doc = $doc]
            pub const $ident: EnvVar = EnvVar {
                name: $name,
                doc: $doc,
                default: $default,
                audience: Audience::$audience,
                secret: variables!(@secret $($secret)?),
            };
        )*

        /// Every variable, in the order in which documentation shows them. [`OVERRIDE_PREFIX`] comes on top.
        pub const ALL: &[EnvVar] = &[$($ident),*];
    };
}

variables! {
    CONFIG = "RUSTWREN_CONFIG", User, default "search for `rustwren.toml`",
        "Path of the configuration file. It must exist. An explicit path (`--config`, or in the program) goes before it.";
    CACHE_DIR = "RUSTWREN_CACHE_DIR", User, default "`rustwren` in the user's cache folder",
        "Folder for packed images and, by default, the storage of the local backend.";
    PROGRESS = "RUSTWREN_PROGRESS", User, default "`client.progress`",
        "Shorthand for `RUSTWREN__CLIENT__PROGRESS`, which goes before it: when to show a progress bar (`auto`, `always`, `never`).";
    LOG = "RUSTWREN_LOG", User, default "`warn`",
        "What the `rustwren` command logs to stderr: a level (`error`, `warn`, `info`, `debug`, `trace`) or `target=level` pairs with commas between. Goes before `-v`.";
    HTTP_SECRET = "RUSTWREN_HTTP_SECRET", User secret, default "`secret` or `secret_file` of the `http` backend",
        "The secret that calls to HTTP workers are signed with, on both sides. The configuration's `secret` and `secret_file` go before it.";
    AZURE_FUNCTION_KEY = "RUSTWREN_AZURE_FUNCTION_KEY", User secret, default "`key_file` of the `azure` backend",
        "The key that calls of a function app carry. The configuration's `key_file` goes before it.";
    WORKER_IMAGE = "RUSTWREN_WORKER_IMAGE", Internal, default "not a function process",
        "Hash of the image that the function process was started from. Its presence makes a program a function process.";
    WORKER_DEPTH = "RUSTWREN_WORKER_DEPTH", Internal, default "`0`",
        "How many jobs are nested above the function process.";
    WORKER_DIR = "RUSTWREN_WORKER_DIR", Internal, default "the function process works where its supervisor does",
        "Folder of the function process alone, which is emptied after each of its tasks.";
    RERUN = "RUSTWREN_RERUN", Internal, default "the program runs as ever",
        "Path of a file that `rustwren repro` has written. A program that finds it runs the one task in it, in the foreground, and ends.";
    AGENT = "RUSTWREN_AGENT", Internal, default "not an agent",
        "Makes a program an agent, which takes one detached invocation from its stdin and runs it to its end, whatever becomes of the program that started it. The value is the word by which it answers.";
    AWS_LAMBDA_RUNTIME_API = "AWS_LAMBDA_RUNTIME_API", System, default "not on AWS Lambda",
        "Set by AWS Lambda. Its presence makes `rustwren-runtime` a Lambda function.";
    AWS_LAMBDA_FUNCTION_NAME = "AWS_LAMBDA_FUNCTION_NAME", System, default "not on AWS Lambda",
        "Set by AWS Lambda: the function's name.";
    AWS_LAMBDA_FUNCTION_VERSION = "AWS_LAMBDA_FUNCTION_VERSION", System, default "not on AWS Lambda",
        "Set by AWS Lambda: the function's version.";
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", System, default "not on AWS Lambda",
        "Set by AWS Lambda: the worker's memory in MB, which function processes are held to.";
    FUNCTIONS_CUSTOMHANDLER_PORT = "FUNCTIONS_CUSTOMHANDLER_PORT", System, default "not on Azure Functions",
        "Set by the host of Azure Functions: the port that its custom handler is to listen on. Its presence makes `rustwren-runtime` one.";
    AZURE_STORAGE_CONNECTION_STRING = "AZURE_STORAGE_CONNECTION_STRING", System secret, default "`account` and the credentials below",
        "Azure: the connection string of a storage account, with a key or a shared access signature in it.";
    AZURE_STORAGE_ACCOUNT = "AZURE_STORAGE_ACCOUNT", System, default "`account` of the `azure` backend",
        "Azure: the storage account.";
    AZURE_STORAGE_KEY = "AZURE_STORAGE_KEY", System secret, default "a shared access signature, or Entra",
        "Azure: a key of the storage account.";
    AZURE_STORAGE_SAS_TOKEN = "AZURE_STORAGE_SAS_TOKEN", System secret, default "Entra",
        "Azure: a shared access signature for the storage account or the container.";
    AZURE_TENANT_ID = "AZURE_TENANT_ID", System, default "no service principal",
        "Azure: the tenant of the service principal or workload that logs in.";
    AZURE_CLIENT_ID = "AZURE_CLIENT_ID", System, default "no service principal; of a machine, its own identity",
        "Azure: the service principal, workload or user-assigned identity that logs in.";
    AZURE_CLIENT_SECRET = "AZURE_CLIENT_SECRET", System secret, default "another way to log in",
        "Azure: the secret of the service principal.";
    AZURE_FEDERATED_TOKEN_FILE = "AZURE_FEDERATED_TOKEN_FILE", System, default "another way to log in",
        "Azure: a file with the token of the workload, as Kubernetes sets it.";
    IDENTITY_ENDPOINT = "IDENTITY_ENDPOINT", System, default "another way to log in",
        "Set by Azure Functions: where the function's identity is to be had.";
    PORT = "PORT", System, default "only needed where `listen` of a runtime has `$PORT` in it",
        "The port that a platform wants a server to listen on.";
    NO_COLOR = "NO_COLOR", System, default "colour on a terminal",
        "Any value turns colour off.";
    XDG_CONFIG_HOME = "XDG_CONFIG_HOME", System, default "`~/.config`",
        "The user's configuration folder.";
    XDG_CACHE_HOME = "XDG_CACHE_HOME", System, default "`~/.cache`",
        "The user's cache folder.";
    HOME = "HOME", System, default "the home folder of the user database",
        "The user's home folder.";
}

/// Any configuration key can be set by a variable of this prefix, with two underscores between section and key:
/// `RUSTWREN__COMPUTE__WORKERS=4` is `workers = 4` in `[compute]`, and `RUSTWREN__PROVIDER=local` is `provider`.
///
/// Two underscores, because one occurs within keys (`start_timeout`): so no name is ambiguous.
pub const OVERRIDE_PREFIX: &str = "RUSTWREN__";

/// Whether this process is a function process, which serves tasks and does not run the user's `main`.
pub fn is_worker() -> bool {
    // As it begins to serve, it takes the variable out of its environment.
    WORKER_IMAGE.get().is_some() || crate::worker::own_image().is_some()
}

/// How many jobs are nested above this process: 0 outside of function processes.
pub fn worker_depth() -> u32 {
    let depth = WORKER_DEPTH.get().and_then(|depth| depth.to_str()?.parse().ok());
    depth.unwrap_or(u32::from(is_worker()))
}

impl EnvVar {
    /// Its value in this process, unless not set or empty.
    #[expect(
        clippy::disallowed_methods,
        reason = "this registry is the one place that reads the environment"
    )]
    pub fn get(&self) -> Option<OsString> {
        std::env::var_os(self.name).filter(|value| !value.is_empty())
    }

    /// Its value in this process as text; an error of kind [`ErrorKind::Config`] where it is not UTF-8.
    pub fn get_str(&self) -> Result<Option<String>> {
        self.get().map(|value| self.text(value)).transpose()
    }

    /// Its value in `environment`, unless not set or empty.
    pub fn get_in<'a>(&self, environment: &'a Environment) -> Option<&'a OsStr> {
        environment.get(self.name)
    }

    /// Its value in `environment` as text; an error of kind [`ErrorKind::Config`] where it is not UTF-8.
    pub fn get_str_in(&self, environment: &Environment) -> Result<Option<String>> {
        self.get_in(environment).map(|value| self.text(value.to_owned())).transpose()
    }

    fn text(&self, value: OsString) -> Result<String> {
        value.into_string().map_err(|_| {
            Error::new(ErrorKind::Config, format!("environment variable {} is not valid UTF-8", self.name))
        })
    }
}

/// Environment variables as they were at one moment, so that a test can bring its own.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
}

impl Environment {
    /// Those of this process now.
    #[expect(
        clippy::disallowed_methods,
        reason = "this registry is the one place that reads the environment"
    )]
    pub fn of_process() -> Self {
        std::env::vars_os().collect()
    }

    /// The value of a variable, unless not set or empty.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).filter(|value| !value.is_empty()).map(OsString::as_os_str)
    }

    /// Variables that are set and not empty, by ascending name.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.variables
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }
}

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<T: IntoIterator<Item = (N, V)>>(variables: T) -> Self {
        Self { variables: variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }
}

/// Names only: values may be secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

/// Patterns (`*` stands for any run of characters) of variables that carry credentials. A supervisor removes
/// them from the environment of function processes unless the configuration's `pass_env` lists them.
pub const CREDENTIALS: &[&str] = &[
    "AWS_*",
    "AZURE_*",
    "GOOGLE_*",
    "GCP_*",
    "GCLOUD_*",
    "CLOUDSDK_*",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "MSI_ENDPOINT",
    "MSI_SECRET",
    "*_TOKEN",
    "*_SECRET",
    "*_SECRET_KEY",
    "*_ACCESS_KEY",
    "*_API_KEY",
    "*_PASSWORD",
    "*_CREDENTIALS",
    "*_CONNECTION_STRING",
    "*CONNECTIONSTRING",
    "*_ENCRYPTION_KEY",
    "AzureWebJobs*",
    "WEBSITE_AUTH_*",
];

/// Whether a supervisor keeps this variable from function processes: its name matches [`CREDENTIALS`] and none
/// of the patterns in `pass`.
pub fn is_withheld(name: &OsStr, pass: &[String]) -> bool {
    let name = name.as_encoded_bytes();
    let matches = |pattern: &str| wildcard(pattern.as_bytes(), name);
    CREDENTIALS.iter().any(|pattern| matches(pattern)) && !pass.iter().any(|pattern| matches(pattern))
}

/// Whether `text` matches `pattern`, in which `*` stands for any run of bytes.
fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    // Where to go on when the bytes after the last `*` turn out not to match: one byte further on.
    let mut retry: Option<(usize, usize)> = None;
    let (mut p, mut t) = (0, 0);
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            retry = Some((p + 1, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((after, from)) = retry {
            retry = Some((after, from + 1));
            p = after;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_not_overrides() {
        let names: std::collections::BTreeSet<_> = ALL.iter().map(|variable| variable.name).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(names.iter().all(|name| !name.starts_with(OVERRIDE_PREFIX)));
    }

    #[test]
    fn empty_is_unset() {
        let environment: Environment = [(CONFIG.name, ""), (LOG.name, "debug")].into_iter().collect();
        assert_eq!(CONFIG.get_in(&environment), None);
        assert_eq!(LOG.get_in(&environment), Some(OsStr::new("debug")));
        assert_eq!(environment.iter().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn text_that_is_not_utf8_names_the_variable() {
        use std::os::unix::ffi::OsStrExt as _;
        let environment: Environment =
            [(OsString::from(LOG.name), OsStr::from_bytes(&[0xff]).to_owned())].into_iter().collect();
        let error = LOG.get_str_in(&environment).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("RUSTWREN_LOG"));
    }

    #[test]
    fn debug_shows_no_values() {
        let environment: Environment = [("AWS_SECRET_ACCESS_KEY", "hunter2")].into_iter().collect();
        let text = format!("{environment:?}");
        assert!(text.contains("AWS_SECRET_ACCESS_KEY") && !text.contains("hunter2"));
    }

    #[test]
    fn credentials_are_withheld_unless_listed() {
        let withheld = |name: &str, pass: &[&str]| {
            let pass: Vec<_> = pass.iter().map(|&p| p.to_owned()).collect();
            is_withheld(OsStr::new(name), &pass)
        };
        assert!(withheld("AWS_SECRET_ACCESS_KEY", &[]));
        assert!(withheld("GOOGLE_APPLICATION_CREDENTIALS", &[]));
        assert!(withheld("CARGO_REGISTRY_TOKEN", &[]));
        assert!(!withheld("PATH", &[]));
        assert!(!withheld("RUST_LOG", &[]));
        assert!(!withheld("AWS_REGION", &["AWS_REGION"]));
        assert!(!withheld("AWS_REGION", &["X", "AWS_*"]));
        assert!(withheld("GITHUB_TOKEN", &["AWS_*"]));
        assert!(!withheld("GITHUB_TOKEN", &["*"]));
    }

    #[test]
    fn wildcards() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("*", "", true),
            ("a*", "a", true),
            ("a*b*c", "axxbyybc", true),
            ("a*b*c", "axxbyyb", false),
            ("*_KEY", "A_KEY_KEY", true),
            ("abc", "abcd", false),
            ("abcd", "abc", false),
        ] {
            assert_eq!(wildcard(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }
}
