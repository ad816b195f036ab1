//! Answers, and errors in the form that the JSON API has for them.

use std::io;

use bytes::Bytes;
use hyper::{Response, header::CONTENT_TYPE};
use serde_json::{Value, json};

use crate::standins::published::Called;

#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn json(value: &Value) -> Self {
        Self { status: 200, headers: Vec::new(), body: value.to_string().into() }
            .with(CONTENT_TYPE.as_str(), "application/json; charset=UTF-8")
    }

    pub(super) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    pub(super) fn media(status: u16, body: Bytes) -> Self {
        Self { status, headers: Vec::new(), body }
    }

    /// An error as the API has it.
    pub(super) fn error(status: u16, reason: &str, message: &str) -> Self {
        Self { status, ..Self::json(&error(status, reason, message)) }
    }

    /// The same where content was asked for: there the message is all.
    pub(super) fn media_error(status: u16, message: &str) -> Self {
        Self::media(status, message.to_owned().into()).with(CONTENT_TYPE.as_str(), "text/html; charset=UTF-8")
    }

    pub(super) fn no_bucket() -> Self {
        Self::error(404, "notFound", NO_BUCKET)
    }

    pub(super) fn no_object(bucket: &str, object: &str) -> Self {
        Self::error(404, "notFound", &no_object(bucket, object))
    }

    pub(super) fn unmet() -> Self {
        Self::error(412, "conditionNotMet", UNMET)
    }

    /// The part of it that was asked for. Where it is not what the method answers with, this server is wrong, and says so.
    pub(super) fn checked(mut self, called: &Called) -> Self {
        if !(200..300).contains(&self.status) || self.body.is_empty() {
            return self;
        }
        let answer = serde_json::from_slice(&self.body).map_err(|error| error.to_string());
        match answer.and_then(|answer| called.answered(&answer)) {
            Ok(answer) => {
                self.body = answer.to_string().into();
                self
            }
            Err(why) => Self::error(500, "internalError", &why),
        }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn into_response<B>(self, body: impl FnOnce(Bytes) -> B) -> io::Result<Response<B>> {
        let mut response = Response::builder().status(self.status).header("x-guploader-uploadid", "U1");
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        response.body(body(self.body)).map_err(io::Error::other)
    }
}

pub(super) const NO_BUCKET: &str = "The specified bucket does not exist.";
pub(super) const UNMET: &str = "At least one of the pre-conditions you specified did not hold.";

pub(super) fn no_object(bucket: &str, object: &str) -> String {
    format!("No such object: {bucket}/{object}")
}

/// The body of an error.
pub(crate) fn error(status: u16, reason: &str, message: &str) -> Value {
    let first = json!({"message": message, "domain": "global", "reason": reason});
    json!({"error": {"code": status, "message": message, "errors": [first]}})
}
