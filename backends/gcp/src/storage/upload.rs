//! Writing what is large: an upload that goes on after a failure with what has not arrived yet, visible as one object when
//! the last byte is there, and not at all otherwise.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use reqwest::{Method, Url};
use rustwren_core::storage::PutOutcome;
use rustwren_core::storage::remote::{Service as _, new_mark};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::GcsStorage;
use super::errors::{is_no_upload, is_unmet};
use super::json::{Answer, Json};
use super::write::{self, MARK};
use crate::error::{Cause, Failure};

/// How often an upload is begun anew because the service no longer knows it.
const UPLOADS: usize = 3;

/// How long cancelling an upload may take.
const CANCEL: Duration = Duration::from_secs(10);

/// The status of an upload that has not arrived in full.
const INCOMPLETE: u16 = 308;

/// An upload that the service keeps until it is complete or cancelled. Dropped before that, it is cancelled in the
/// background; what even that leaves, the service forgets after a week.
struct Session<'a> {
    json: &'a Json,
    /// As good as a token, and never shown.
    address: Url,
    is_open: bool,
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if self.is_open
            && let Ok(runtime) = Handle::try_current()
        {
            let request = self.json.request(Method::DELETE, self.address.clone()).header(CONTENT_LENGTH, 0);
            runtime.spawn(async move {
                if timeout(CANCEL, request.send()).await.is_err() {
                    tracing::debug!(
                        "an upload that failed could not be cancelled, and is forgotten in a week"
                    );
                }
            });
        }
    }
}

/// What sending came to.
enum Sent {
    Done,
    /// So many bytes have arrived.
    Until(u64),
}

/// How an upload ended.
enum Ended {
    Done(PutOutcome),
    /// The service no longer knows it: all of it has to be sent again.
    Lost(Failure),
}

impl GcsStorage {
    /// Writes a large object.
    pub(super) async fn write_large(
        &self,
        object: &str,
        data: &Bytes,
        if_absent: bool,
    ) -> Result<PutOutcome, Failure> {
        // The condition holds or not when all was sent, too; what is there already need not be sent.
        if if_absent && self.written_by(object).await?.is_some() {
            return Ok(PutOutcome::Exists);
        }
        let (mark, checksum) = (new_mark(), crc32c::crc32c(data));
        let mut left = UPLOADS;
        loop {
            let mut session = match self.begin(object, checksum, &mark, if_absent).await {
                Ok(session) => session,
                Err(failure) if if_absent && is_unmet(&failure) => {
                    return self.outcome_of_existing(object, &mark, left < UPLOADS).await;
                }
                Err(failure) => return Err(failure),
            };
            left -= 1;
            match self.send_all(&mut session, object, data, &mark).await? {
                Ended::Done(outcome) => return Ok(outcome),
                // Whether it said 404 or 410: 404 is for buckets elsewhere.
                Ended::Lost(failure) if left == 0 => return Err(Failure { status: Some(410), ..failure }),
                Ended::Lost(_) => {}
            }
        }
    }

    async fn begin(
        &self,
        object: &str,
        checksum: u32,
        mark: &str,
        if_absent: bool,
    ) -> Result<Session<'_>, Failure> {
        let said = serde_json::json!({
            "contentType": write::CONTENT_TYPE,
            // Checked by the service when all is there.
            "crc32c": STANDARD.encode(checksum.to_be_bytes()),
            "metadata": {MARK: mark},
        });
        let said = Bytes::from(said.to_string());
        let mut query = vec![("uploadType", "resumable"), ("name", object)];
        if if_absent {
            query.push(("ifGenerationMatch", "0"));
        }
        let mut tries = self.common.tries();
        loop {
            self.turns.wait(object).await;
            let request = self.json.request(Method::POST, self.json.uploads(&query));
            let request = request.header(CONTENT_TYPE, "application/json; charset=UTF-8").body(said.clone());
            let attempt = async {
                let answer = self.json.send(request).await?;
                if !(200..300).contains(&answer.status) {
                    return Err(answer.failure());
                }
                let location = answer.headers.get(LOCATION).and_then(|location| location.to_str().ok());
                location.and_then(|location| self.json.named(location)).ok_or_else(|| {
                    Failure::ours(Cause::Broken, "the answer does not say where to send the content")
                })
            };
            match tries.run(0, attempt).await {
                Ok(address) => return Ok(Session { json: &self.json, address, is_open: true }),
                Err(failure) => {
                    self.note_refusal(object, &failure);
                    tries.again(failure).await?;
                }
            }
        }
    }

    async fn send_all(
        &self,
        session: &mut Session<'_>,
        object: &str,
        data: &Bytes,
        mark: &str,
    ) -> Result<Ended, Failure> {
        let len = data.len() as u64;
        let mut tries = self.common.tries();
        let (mut from, mut furthest) = (0, 0);
        // Whether it is to be asked how much has arrived, before more is sent.
        let mut is_unknown = false;
        loop {
            let (bytes, attempt) = if is_unknown {
                (0, session.send(Bytes::new(), format!("bytes */{len}")))
            } else {
                // What is in memory: it fits.
                let rest = data.slice(from as usize..);
                (len - from, session.send(rest, format!("bytes {from}-{}/{len}", len - 1)))
            };
            let failure = match tries.run(bytes, attempt).await {
                Ok(Sent::Done) => {
                    session.is_open = false;
                    return Ok(Ended::Done(PutOutcome::Created));
                }
                Ok(Sent::Until(arrived)) if arrived < len && (is_unknown || arrived > from) => {
                    if arrived > furthest {
                        // It goes on: what failed until here was in passing.
                        furthest = arrived;
                        let uncertain = tries.uncertain;
                        tries = self.common.tries();
                        tries.uncertain = uncertain;
                    }
                    (from, is_unknown) = (arrived, false);
                    continue;
                }
                Ok(Sent::Until(arrived)) => Failure::ours(
                    Cause::Broken,
                    format!("{} bytes were sent, and the service has {arrived} of {len}", len - from),
                ),
                Err(failure) => failure,
            };
            if is_unmet(&failure) {
                session.is_open = false;
                let outcome = self.outcome_of_existing(object, mark, tries.uncertain).await?;
                return Ok(Ended::Done(outcome));
            }
            if is_no_upload(&failure) {
                session.is_open = false;
                // An earlier attempt may have completed it, and its answer is lost.
                let is_ours = tries.uncertain && self.written_by(object).await?.as_deref() == Some(mark);
                return Ok(if is_ours { Ended::Done(PutOutcome::Created) } else { Ended::Lost(failure) });
            }
            self.note_refusal(object, &failure);
            tries.again(failure).await?;
            self.turns.wait(object).await;
            is_unknown = true;
        }
    }
}

impl Session<'_> {
    /// Sends what lies in this range of the content, or asks how much of it has arrived.
    fn send(
        &self,
        data: Bytes,
        range: String,
    ) -> impl Future<Output = Result<Sent, Failure>> + Send + use<'_> {
        let request = self.json.request(Method::PUT, self.address.clone());
        let request = request.header(CONTENT_LENGTH, data.len()).header(CONTENT_RANGE, range).body(data);
        async move {
            let answer = self.json.send(request).await?;
            match answer.status {
                200..300 => Ok(Sent::Done),
                INCOMPLETE => Ok(Sent::Until(arrived(&answer)?)),
                _ => Err(answer.failure()),
            }
        }
    }
}

/// `bytes=0-41` are 42 bytes, and nothing is none.
fn arrived(answer: &Answer) -> Result<u64, Failure> {
    let Some(range) = answer.headers.get(RANGE) else { return Ok(0) };
    let last = range.to_str().ok().and_then(|range| range.rsplit_once('-')?.1.parse::<u64>().ok());
    last.map(|last| last + 1).ok_or_else(|| {
        Failure::ours(Cause::Broken, format!("the service says {range:?} of what has arrived"))
    })
}
