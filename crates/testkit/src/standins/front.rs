//! A front before an HTTP server: it hands requests on, and does to some of them what a test says.
//!
//! What it answers of its own is the test's reading of the service's documentation. It knows as much of HTTP/1.1 as the
//! clients of clouds use: bodies with a length, one request per connection.

#![expect(clippy::expect_used, reason = "a test whose server cannot be had fails")]

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`
    pub method: String,
    /// With its query, encoded as it came.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// As it came, chunk signatures and all.
    pub body: Vec<u8>,
    /// How many came before it.
    pub number: usize,
}

impl Request {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// It is handed on, and so is the answer.
    Pass,
    /// It is answered here, and not handed on.
    Answer {
        /// The status.
        status: u16,
        /// Further headers.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: String,
    },
    /// The connection ends before it is handed on.
    Drop,
    /// It is handed on, and the connection ends before the answer.
    LoseAnswer,
    /// It is handed on, and the connection ends after so many bytes of the answer's body.
    CutAnswer(usize),
    /// The connection ends after so many bytes of its body. Servers of ours keep what theirs would; from a front nothing
    /// is handed on.
    CutRequest(usize),
}

impl Verdict {
    /// An error as Azure's storage accounts have it, with these further headers.
    pub fn azure_error(status: u16, code: &str, headers: &[(&'static str, &str)]) -> Self {
        let mut all: Vec<_> = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        all.push(("x-ms-error-code", code.to_owned()));
        Self::Answer {
            status,
            headers: all,
            body: format!(
                "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>as the test says\n\
                 RequestId:R1</Message></Error>"
            ),
        }
    }

    /// An error as S3 has it, with these further headers.
    pub fn s3_error(status: u16, code: &str, headers: &[(&'static str, &str)]) -> Self {
        Self::Answer {
            status,
            headers: headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            body: format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>as the test \
                 says</Message><RequestId>R1</RequestId></Error>"
            ),
        }
    }
}

impl Verdict {
    /// An error as Cloud Storage's JSON API has it, with these further headers.
    pub fn gcs_error(status: u16, reason: &str, message: &str, headers: &[(&'static str, &str)]) -> Self {
        Self::Answer {
            status,
            headers: headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            body: super::gcs::error(status, reason, message).to_string(),
        }
    }
}

type Judge = dyn Fn(&Request) -> Verdict + Send + Sync;

/// A front on a free port, until it is dropped.
pub struct Front {
    address: SocketAddr,
    served: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Front {
    /// A front before the server at `behind`, `127.0.0.1:port`.
    ///
    /// # Panics
    ///
    /// When no port can be listened on.
    pub fn before(behind: &str, judge: impl Fn(&Request) -> Verdict + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (served, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (judge, behind): (Arc<Judge>, Arc<str>) = (Arc::new(judge), behind.into());
        let accepting = {
            let (served, ended) = (Arc::clone(&served), Arc::clone(&ended));
            thread::spawn(move || {
                for stream in listener.incoming() {
                    if ended.load(Ordering::SeqCst) {
                        return;
                    }
                    let Ok(stream) = stream else { continue };
                    let (judge, behind, served) =
                        (Arc::clone(&judge), Arc::clone(&behind), Arc::clone(&served));
                    thread::spawn(move || {
                        if let Err(error) = serve(&stream, &behind, &*judge, &served) {
                            // The client may have given up.
                            eprintln!("front: {error}");
                        }
                    });
                }
            })
        };
        Self { address, served, ended, accepting: Some(accepting) }
    }

    /// `http://127.0.0.1:port`
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests until now.
    pub fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts; where this fails, it has ended.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front")
            .field("address", &self.address)
            .field("served", &self.served)
            .finish_non_exhaustive()
    }
}

fn serve(mut stream: &TcpStream, behind: &str, judge: &Judge, served: &AtomicUsize) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (first, headers) = head(&mut reader)?;
    if first.is_empty() {
        return Ok(());
    }
    let mut words = first.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let path = words.next().unwrap_or_default().to_owned();
    let find = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    if find("expect").is_some() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let len = find("content-length").and_then(|len| len.parse().ok()).unwrap_or(0);
    let mut body = vec![0; len];
    reader.read_exact(&mut body)?;
    let number = served.fetch_add(1, Ordering::SeqCst);
    let request = Request { method, path, headers, body, number };
    let cut = match judge(&request) {
        Verdict::Drop | Verdict::CutRequest(_) => return Ok(()),
        Verdict::Answer { status, headers, body } => {
            let mut answer = format!("HTTP/1.1 {status} Said\r\nconnection: close\r\n");
            for (name, value) in headers {
                answer.extend([name, ": ", &value, "\r\n"]);
            }
            let is_head = request.method == "HEAD";
            let len = body.len().to_string();
            answer.extend(["content-length: ", &len, "\r\n\r\n", if is_head { "" } else { &body }]);
            return stream.write_all(answer.as_bytes());
        }
        Verdict::Pass => None,
        Verdict::LoseAnswer => Some(None),
        Verdict::CutAnswer(at) => Some(Some(at)),
    };
    let answer = hand_on(&request, behind)?;
    match cut {
        None => stream.write_all(&answer),
        Some(None) => Ok(()),
        Some(Some(at)) => {
            let body =
                answer.windows(4).position(|end| end == b"\r\n\r\n").map_or(answer.len(), |end| end + 4);
            stream.write_all(&answer[..answer.len().min(body + at)])
        }
    }
}

/// The first line, and the headers, names in lower case.
fn head(reader: &mut impl BufRead) -> io::Result<(String, Vec<(String, String)>)> {
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).map(|_| line.trim_end().to_owned())
    };
    let first = line()?;
    let mut headers = Vec::new();
    loop {
        let header = line()?;
        let Some((name, value)) = header.split_once(':') else { return Ok((first, headers)) };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn hand_on(request: &Request, behind: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(behind)?;
    let mut head = format!("{} {} HTTP/1.1\r\nconnection: close\r\n", request.method, request.path);
    for (name, value) in &request.headers {
        if !["connection", "expect"].contains(&name.as_str()) {
            head.extend([name, ": ", value, "\r\n"]);
        }
    }
    head += "\r\n";
    stream.write_all(head.as_bytes())?;
    stream.write_all(&request.body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}
