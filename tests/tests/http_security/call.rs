//! Calls as anybody could make them: bytes over a socket, and signatures made by hand as `docs/protocol.md` says.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::{digest, hmac};

/// How long an answer may take before a test gives up; no test depends on it.
const PATIENCE: Duration = Duration::from_mins(1);
pub(crate) const INVOKE: &str = "/v1/invoke";

/// What a signature says, each part open to be wrong.
pub(crate) struct Signature<'a> {
    pub(crate) secret: &'a str,
    pub(crate) time: u64,
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) body: &'a [u8],
}

impl<'a> Signature<'a> {
    /// Of an invocation with this body, now.
    pub(crate) fn of(secret: &'a str, body: &'a [u8]) -> Self {
        Self { secret, time: now(), method: "POST", target: INVOKE, body }
    }

    /// The header's value, with a nonce of its own each time.
    pub(crate) fn header(&self) -> String {
        let id = digest::digest(&digest::SHA256, format!("rustwren key id\n{}", self.secret).as_bytes());
        let key = hex(&id.as_ref()[..8]);
        let nonce = format!("{:032x}", fastrand::u128(..));
        let body = hex(digest::digest(&digest::SHA256, self.body).as_ref());
        let Self { method, target, time, .. } = self;
        let signed = format!("rustwren v1\n{method}\n{target}\n{key}\n{time}\n{nonce}\n{body}\n");
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, self.secret.as_bytes()), signed.as_bytes());
        format!("v1 key={key} time={time} nonce={nonce} body={body} mac={}", hex(mac.as_ref()))
    }
}

#[expect(clippy::disallowed_methods, reason = "a date that two machines compare")]
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The lines of the head in lower case, without what differs from second to second.
    pub(crate) head: Vec<String>,
    pub(crate) body: Vec<u8>,
}

/// A connection that waits for its answer as long as a test has patience.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The head of a call, up to where its body begins. `length` is what it says of its body.
pub(crate) fn head(method: &str, target: &str, signature: Option<&str>, length: &str) -> String {
    let signature = signature.map(|value| format!("x-rustwren-signature: {value}\r\n")).unwrap_or_default();
    format!("{method} {target} HTTP/1.1\r\nhost: fleet\r\nconnection: close\r\n{signature}{length}\r\n\r\n")
}

/// Makes a whole call.
pub(crate) fn call(
    address: SocketAddr,
    method: &str,
    target: &str,
    signature: Option<&str>,
    body: &[u8],
) -> Answer {
    let mut stream = connect(address);
    let head = head(method, target, signature, &format!("content-length: {}", body.len()));
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    answer(&mut stream).unwrap()
}

/// Reads an answer up to the end of its connection.
pub(crate) fn answer(stream: &mut TcpStream) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    let ended = stream.read_to_end(&mut bytes);
    // Whoever is refused in the middle of a body hears the answer and then, if it went on, a reset.
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        ended?;
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("no answer in {} bytes", bytes.len()),
        ));
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let mut lines: Vec<String> = head.lines().map(ToOwned::to_owned).collect();
    lines.retain(|line| !line.starts_with("date:"));
    let status = lines[0].split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    Ok(Answer { status, head: lines, body: bytes[end + 4..].to_vec() })
}
