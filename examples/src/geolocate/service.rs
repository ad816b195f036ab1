//! A service that knows zip codes: slow as one across a network is, ignorant of some of them, and failing now and
//! then. It is a made-up service over real data.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// See `examples/data/README.md` for source and licence.
const DATA: &str = include_str!("../../data/zipcodes.csv");

/// Of each so many zip codes, the service knows nothing of one,
const UNKNOWN: u64 = 40;
/// fails for another every other time, so that each run meets the same failures,
const SHAKY: u64 = 30;
/// and fails for a third whenever it is asked.
const BROKEN: u64 = 1500;

/// The zip codes of the data set, 3 000 of them.
pub fn zip_codes() -> impl Iterator<Item = &'static str> {
    DATA.lines().skip(1).filter_map(|line| line.split(',').next())
}

/// The service, on a thread of its own. It ends with the program.
#[derive(Debug)]
pub struct Service {
    address: SocketAddr,
}

#[derive(Debug)]
struct Known {
    /// What the service answers, and the place of the zip code in the data set.
    answers: HashMap<&'static str, (String, u64)>,
    /// Shaky ones that are answered the next time.
    failed: Mutex<HashSet<&'static str>>,
}

impl Service {
    /// Starts it on a free port of this machine.
    pub fn start() -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("service".to_owned()).spawn(move || {
            if let Err(error) = runtime.block_on(serve(listener)) {
                eprintln!("the zip code service has ended: {error}");
            }
        })?;
        Ok(Self { address })
    }

    /// Where it listens: `http://127.0.0.1:4000`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn serve(listener: std::net::TcpListener) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let known = Arc::new(Known::new());
    loop {
        let (stream, _) = listener.accept().await?;
        let known = Arc::clone(&known);
        tokio::spawn(async move {
            let answer = |request: Request<Incoming>| {
                let known = Arc::clone(&known);
                async move { Ok::<_, Infallible>(known.answer(&request).await) }
            };
            // A client that goes away in the middle is its own affair.
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await);
        });
    }
}

impl Known {
    fn new() -> Self {
        let row = |(place, line): (usize, &'static str)| {
            let (zip, rest) = line.split_once(',')?;
            Some((zip, (rest.to_uppercase(), place as u64)))
        };
        let answers = DATA.lines().skip(1).enumerate().filter_map(row).collect();
        Self { answers, failed: Mutex::default() }
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let query = request.uri().query().unwrap_or_default();
        let delay = query.strip_prefix("delay_ms=").and_then(|number| number.parse().ok()).unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(delay)).await;
        let (status, text) = self.look_up(request.uri().path().strip_prefix("/zip/").unwrap_or_default());
        let mut response = Response::new(Full::from(text));
        *response.status_mut() = status;
        response
    }

    fn look_up(&self, zip: &str) -> (StatusCode, String) {
        let Some((&zip, (answer, place))) = self.answers.get_key_value(zip) else {
            return (StatusCode::NOT_FOUND, "unknown\n".to_owned());
        };
        let is_one_of = |many: u64, which: u64| place % many == which;
        if is_one_of(UNKNOWN, 7) {
            return (StatusCode::NOT_FOUND, "unknown\n".to_owned());
        }
        let broken = is_one_of(BROKEN, 1000);
        let shaky = || {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            is_one_of(SHAKY, 11) && !failed.remove(zip) && failed.insert(zip)
        };
        if broken || shaky() {
            return (StatusCode::SERVICE_UNAVAILABLE, "try again later\n".to_owned());
        }
        (StatusCode::OK, answer.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_three_thousand_different_zip_codes() {
        let zips: HashSet<&str> = zip_codes().collect();
        assert_eq!(zips.len(), 3000);
        assert!(zips.iter().all(|zip| zip.len() == 5 && zip.bytes().all(|byte| byte.is_ascii_digit())));
    }

    #[test]
    fn some_are_unknown_some_fail_once_and_some_always() {
        let known = Known::new();
        let statuses = |known: &Known| {
            let mut count: HashMap<u16, usize> = HashMap::new();
            zip_codes().for_each(|zip| *count.entry(known.look_up(zip).0.as_u16()).or_default() += 1);
            count
        };
        let [first, second, third] = [(); 3].map(|()| statuses(&known));
        assert_eq!((first[&404], second[&404]), (75, 75));
        assert_eq!((first[&503], second[&503]), (102, 2));
        assert_eq!(third, first);
    }
}
