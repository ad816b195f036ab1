//! Who may call.

use hyper::Request;
use rustwren_core::auth::{BodyCheck, Denied, HEADER, Secrets, Verifier};

/// What calls are let in by.
#[derive(Debug)]
pub(super) enum Gate {
    /// A signature of each.
    Signed(Box<Verifier>),
    /// The platform in front, which lets nobody else through.
    Platform,
}

impl Gate {
    /// Signatures by any of these; without them it is up to the platform.
    pub(super) fn new(secrets: Option<&Secrets>) -> Self {
        secrets.map_or(Self::Platform, |secrets| Self::Signed(Box::new(Verifier::new(secrets.clone()))))
    }

    /// Lets a call in, or not. What is still to be checked of its body is returned.
    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<Option<BodyCheck>, Denied> {
        let Self::Signed(verifier) = self else { return Ok(None) };
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let header = request.headers().get(HEADER).and_then(|value| value.to_str().ok());
        verifier.check(header, request.method().as_str(), target).map(Some)
    }
}
