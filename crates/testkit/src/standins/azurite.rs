//! Azurite, Microsoft's own stand-in for Blob storage and storage queues.
//!
//! It checks signatures and tokens. What it gets wrong: it lets nobody wait (no 503), and serves some hundreds of requests
//! per second, so that it is no measure of speed.

#![expect(clippy::expect_used, reason = "a test whose server cannot be had fails")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;

/// An Azurite of one test's own, empty at first. It ends when this is dropped, and when this process dies.
#[derive(Debug)]
pub struct Azurite {
    child: Child,
    /// Closed, it ends the server.
    stdin: Option<ChildStdin>,
    blob: String,
    queue: String,
}

impl Azurite {
    /// The one account that there is.
    pub const ACCOUNT: &str = "devstoreaccount1";
    /// Its key, as Azurite's documentation has it: no secret.
    pub const KEY: &str =
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

    /// Starts one and waits until it listens: some three seconds.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with these further arguments.
    ///
    /// # Panics
    ///
    /// When it is not installed or does not start.
    pub fn start_with(arguments: &[&str]) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache/azurite");
        assert!(
            folder.join("node_modules/azurite").exists(),
            "Azurite is not installed: run scripts/test once (with any arguments), which puts it into .cache/azurite"
        );
        let mut child = Command::new("node")
            .args(["-e", include_str!("azurite/azurite.js"), "--"])
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("Azurite says where it listens");
        let (blob, queue) = line.trim().split_once(' ').expect("Azurite starts; see its stderr above");
        Self { child, stdin, blob: blob.to_owned(), queue: queue.to_owned() }
    }

    /// `http://127.0.0.1:port/account`, of Blob storage.
    pub fn blob_endpoint(&self) -> String {
        Self::endpoint_of(&self.blob)
    }

    /// `http://127.0.0.1:port/account`, of queues.
    pub fn queue_endpoint(&self) -> String {
        Self::endpoint_of(&self.queue)
    }

    /// The account at another address than Azurite's own: a front's.
    pub fn endpoint_of(address: &str) -> String {
        format!("{address}/{}", Self::ACCOUNT)
    }

    /// `127.0.0.1:port`, of Blob storage.
    pub fn blob_address(&self) -> &str {
        address(&self.blob)
    }

    /// `127.0.0.1:port`, of queues.
    pub fn queue_address(&self) -> &str {
        address(&self.queue)
    }

    /// Creates a container with a name of its own. Azurite must not have been started with a certificate.
    ///
    /// # Panics
    ///
    /// When Azurite does not.
    pub fn new_container(&self) -> String {
        let container = format!("test-{:016x}", fastrand::u64(..));
        let path =
            format!("/{}/{container}?restype=container&{}", Self::ACCOUNT, sas("2125-01-01T00:00:00Z"));
        let mut stream = TcpStream::connect(self.blob_address()).expect("Azurite listens");
        let head = format!(
            "PUT {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            self.blob_address()
        );
        stream.write_all(head.as_bytes()).expect("Azurite takes a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("Azurite answers");
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        container
    }

    /// A signature that allows everything until then, as the query of a URL.
    pub fn sas(&self, until: &str) -> String {
        sas(until)
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        drop(self.stdin.take());
        self.child.wait().expect("Azurite ends when its standard input does");
    }
}

fn address(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, address)| address)
}

/// A shared access signature of the account, as described at
/// <https://learn.microsoft.com/rest/api/storageservices/create-account-sas>.
fn sas(until: &str) -> String {
    let (permissions, services, types, version) = ("rwdlacup", "bq", "sco", "2021-06-08");
    let text =
        format!("{}\n{permissions}\n{services}\n{types}\n\n{until}\n\n\n{version}\n\n", Azurite::ACCOUNT);
    let key = BASE64_STANDARD.decode(Azurite::KEY).expect("the key is base64");
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), text.as_bytes());
    let signature: String = BASE64_STANDARD
        .encode(signature)
        .replace('%', "%25")
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    format!("sv={version}&ss={services}&srt={types}&sp={permissions}&se={until}&sig={signature}")
}
