//! moto, a server of AWS's APIs by others: S3, IAM, STS, the control plane of Lambda, logs.
//!
//! What it gets wrong: it takes any signature (unless started with `INITIAL_NO_AUTH_ACTION_COUNT`), any checksum and any
//! code package; its own Lambda invocations need docker. It serves some 270 requests per second and is no measure of
//! speed.

#![expect(clippy::expect_used, reason = "a test whose server cannot be had fails")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// A moto server of one test's own, empty at first. It ends when this is dropped, and when this process dies.
#[derive(Debug)]
pub struct Moto {
    child: Child,
    /// Closed, it ends the server.
    stdin: Option<ChildStdin>,
    address: String,
}

impl Moto {
    /// What AWS's SDKs find in the environment of a client. moto takes any; nothing of this machine is read.
    pub const CREDENTIALS: [(&'static str, &'static str); 4] = [
        ("AWS_ACCESS_KEY_ID", "rustwren-test"),
        ("AWS_SECRET_ACCESS_KEY", "rustwren-test"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
    ];

    /// Starts one and waits until it listens: a second or two.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with these environment variables.
    ///
    /// # Panics
    ///
    /// When it is not installed or does not start.
    pub fn start_with(variables: &[(&str, &str)]) -> Self {
        let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache/moto/bin/python");
        assert!(
            python.exists(),
            "moto is not installed: run scripts/test once (with any arguments), which puts it into .cache/moto"
        );
        let mut child = Command::new(python)
            .args(["-c", include_str!("moto.py")])
            .envs(variables.iter().copied())
            // Region and account are the requests' to say.
            .env_remove("AWS_DEFAULT_REGION")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python of the virtual environment starts");
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let mut port = String::new();
        BufReader::new(stdout).read_line(&mut port).expect("moto says its port");
        let port: u16 = port.trim().parse().expect("moto starts and prints its port; see its stderr above");
        Self { child, stdin, address: format!("127.0.0.1:{port}") }
    }

    /// `http://127.0.0.1:port`
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `127.0.0.1:port`
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Creates a bucket with a name of its own, in us-east-1.
    ///
    /// # Panics
    ///
    /// When moto does not.
    pub fn new_bucket(&self) -> String {
        let bucket = format!("test-{:016x}", fastrand::u64(..));
        let answer = self.put(&format!("/{bucket}"));
        assert!(answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.0 200"), "{answer}");
        bucket
    }

    fn put(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("moto listens");
        let head = format!(
            "PUT {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            self.address
        );
        stream.write_all(head.as_bytes()).expect("moto takes a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("moto answers");
        answer
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.stdin.take());
        self.child.wait().expect("moto ends when its standard input does");
    }
}
