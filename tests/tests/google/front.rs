//! What stands before a service at Google, as its documentation has it: calls get in by ID tokens.

use std::sync::{Arc, Mutex};

use rustwren_testkit::standins::{Front, Request, Tokens, Verdict};

/// Google's front end before a service: it lets in who has a token, and does to those calls what `judge` says.
pub(crate) fn front(
    service: &str,
    tokens: &Arc<Tokens>,
    judge: impl Fn(&Request) -> Verdict + Send + Sync + 'static,
) -> (Front, Arc<Mutex<Vec<usize>>>) {
    let (tokens, seen) = (Arc::clone(tokens), Arc::new(Mutex::new(Vec::new())));
    let used = Arc::clone(&seen);
    let front = Front::before(service, move |request| {
        let audience = format!("http://{}", request.header("host").unwrap_or_default());
        match tokens.of(request, &audience) {
            Some(number) => {
                used.lock().unwrap().push(number);
                judge(request)
            }
            None => page(401, "Unauthorized"),
        }
    });
    (front, seen)
}

/// What Google's front ends say of their own: pages of HTML.
pub(crate) fn page(status: u16, title: &str) -> Verdict {
    Verdict::Answer {
        status,
        headers: vec![("content-type", "text/html; charset=UTF-8".to_owned())],
        body: format!("<html><head><title>{status} {title}</title></head></html>"),
    }
}
