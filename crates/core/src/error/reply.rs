//! What came back from a service, in one line.

use std::fmt;

/// What came of a request, as messages of errors have it: `NoSuchKey (404): there is no such key [request 17]`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reply<'a> {
    /// What is wrong, where the service has said nothing about it: it was not asked, or did not answer.
    pub problem: Option<&'a str>,
    /// The service's own name for the error.
    pub code: Option<&'a str>,
    /// HTTP status of the answer.
    pub status: Option<u16>,
    /// What the service, or this side, says about it; may be empty.
    pub message: &'a str,
    /// By which the service finds the request in its logs.
    pub request_id: Option<&'a str>,
}

impl fmt::Display for Reply<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.problem, self.code, self.status) {
            (Some(problem), ..) => f.write_str(problem)?,
            (None, Some(code), Some(status)) => write!(f, "{code} ({status})")?,
            (None, None, Some(status)) => write!(f, "HTTP status {status}")?,
            (None, _, None) => f.write_str("the connection failed")?,
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message.trim())?;
        }
        if let Some(id) = self.request_id {
            write!(f, " [request {id}]")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line() {
        let reply =
            Reply { code: Some("NoSuchKey"), status: Some(404), message: "gone\n", ..Reply::default() };
        assert_eq!(reply.to_string(), "NoSuchKey (404): gone");
        let reply = Reply { status: Some(502), request_id: Some("17"), ..Reply::default() };
        assert_eq!(reply.to_string(), "HTTP status 502 [request 17]");
        assert_eq!(Reply::default().to_string(), "the connection failed");
        let reply = Reply { problem: Some("no answer in time"), status: Some(200), ..Reply::default() };
        assert_eq!(reply.to_string(), "no answer in time");
    }
}
