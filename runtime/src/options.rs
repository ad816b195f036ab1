//! How a pool runs its processes.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use rustwren_core::image::ImageId;

/// What is started as the function process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// The running program itself, even if its file has been replaced since it was started.
    ThisProgram,
    /// The executable at this path.
    Path(PathBuf),
}

/// Which of the environment's variables function processes do not get to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentPolicy {
    /// Names of variables that are taken out; `*` stands for any characters. Case matters.
    pub remove: Vec<String>,
    /// Names of variables that stay although `remove` names them.
    pub keep: Vec<String>,
}

impl Default for EnvironmentPolicy {
    /// Takes out the credentials of the cloud providers, everything that calls itself a secret, and what
    /// RustWren tells its own processes.
    fn default() -> Self {
        let names = [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_SECURITY_TOKEN",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN*",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "AZURE_CLIENT_SECRET",
            "AZURE_CLIENT_CERTIFICATE_*",
            "AZURE_STORAGE_KEY",
            "AZURE_STORAGE_CONNECTION_STRING",
            "AZURE_STORAGE_SAS_TOKEN",
            "AzureWebJobsStorage",
            "IDENTITY_HEADER",
            "*_SECRET*",
            "*_TOKEN",
            "*_PASSWORD",
            "RUSTWREN_*KEY*",
            "RUSTWREN_WORKER_*",
        ];
        Self {
            remove: names.map(str::to_owned).to_vec(),
            keep: Vec::new(),
        }
    }
}

impl EnvironmentPolicy {
    /// Whether a variable is taken out.
    pub fn removes(&self, name: &OsStr) -> bool {
        let name = name.as_encoded_bytes();
        let any = |patterns: &[String]| patterns.iter().any(|p| matches(p.as_bytes(), name));
        any(&self.remove) && !any(&self.keep)
    }
}

/// Whether a name is of a pattern in which `*` stands for any bytes.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    // The last `*` may take in one byte more whenever what follows it does not fit.
    let (mut p, mut n) = (0, 0);
    let mut retry = None;
    while n < name.len() {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            retry = Some((p, n));
        } else if pattern.get(p) == Some(&name[n]) {
            p += 1;
            n += 1;
        } else if let Some((after, from)) = retry {
            retry = Some((after, from + 1));
            (p, n) = (after, from + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

/// How a pool runs its processes.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// What to start.
    pub program: Program,
    /// The image that the program is.
    pub image: ImageId,
    /// How many processes at most; at least 1.
    pub workers: usize,
    /// Bytes of memory one process may take for data.
    pub memory_limit: Option<u64>,
    /// Bytes of stack of threads that run tasks.
    pub stack_size: u64,
    /// How long a process may take until it has reached `rustwren::init()`.
    pub start_timeout: Duration,
    /// Which variables processes do not get to see.
    pub environment: EnvironmentPolicy,
    /// Variables that are set for processes, after the others were taken out.
    pub set: Vec<(OsString, OsString)>,
    /// How many function processes this program is nested in; 0 for a client.
    pub depth: u32,
}

impl PoolOptions {
    /// This program, with one process per core of the machine.
    pub fn new(image: ImageId) -> Self {
        Self {
            program: Program::ThisProgram,
            image,
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            memory_limit: None,
            stack_size: 8 << 20,
            start_timeout: Duration::from_secs(30),
            environment: EnvironmentPolicy::default(),
            set: Vec::new(),
            depth: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name, expected) in [
            ("HOME", "HOME", true),
            ("HOME", "HOMES", false),
            ("*_SECRET*", "MY_SECRET_KEY", true),
            ("*_SECRET*", "SECRETS", false),
            ("*_TOKEN", "A_TOKEN_B_TOKEN", true),
            ("*_TOKEN", "A_TOKENS", false),
            ("a*b*c", "axxbyybzc", true),
            ("*", "", true),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), name.as_bytes()),
                expected,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn secrets_are_removed_unless_kept() {
        let mut policy = EnvironmentPolicy::default();
        for name in [
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "DB_SECRET",
            "RUSTWREN_HTTP_KEY",
        ] {
            assert!(policy.removes(OsStr::new(name)), "{name}");
        }
        for name in ["PATH", "AWS_REGION", "RUSTWREN_CONFIG", "RUST_LOG"] {
            assert!(!policy.removes(OsStr::new(name)), "{name}");
        }
        policy.keep.push("DB_*".to_owned());
        assert!(!policy.removes(OsStr::new("DB_SECRET")));
    }
}
