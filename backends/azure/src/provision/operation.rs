//! Changes, and the operations that go on at Azure after a call for one has been answered.

use std::time::Duration;

use azure_core::http::Method;
use rustwren_core::provision::course::{Patience, Pauses};
use serde_json::Value;

use super::arm::{Answer, Arm, Request};
use super::refusal::Refusal;

/// How long one is waited for.
const LONGEST: Duration = Duration::from_mins(20);

/// Where the end of an operation is to be seen, by the three ways that Resource Manager has.
enum Sign {
    /// In the state of the operation itself.
    Operation(String),
    /// In that an address answers with something else than 202.
    Location(String),
    /// In the state of the thing that is being made.
    Thing,
}

/// Makes a call, and waits until what it begins is over. `passes` says what passes by itself, besides what Azure says
/// of it. The operation goes on by itself where that is given up: the next run finds what it has made.
pub(super) async fn change(
    arm: &Arm,
    request: &Request<'_>,
    patience: Patience<'_>,
    passes: impl Fn(&Refusal) -> Option<&'static str>,
) -> Result<Value, Refusal> {
    let answer = patience.until_done(passes, || arm.call(request)).await?;
    let Some(sign) = sign(request, &answer) else { return Ok(answer.body) };
    let attempt = &request.attempt;
    let asking = format!("{attempt}: asking how far it is");
    let thing = Request::get(request.api, request.path.clone(), asking.clone());
    let mut least = answer.retry_after;
    let mut pauses = Pauses::of(LONGEST);
    loop {
        let Some(pause) = pauses.next_after(least) else {
            let message = format!("it was not over after {LONGEST:?}");
            return Err(Refusal::ours(attempt, &message).going_on());
        };
        patience.wait("Azure is at it", pause).await;
        let look = || async {
            match &sign {
                Sign::Operation(url) | Sign::Location(url) => arm.follow_own(url, &asking).await,
                Sign::Thing => arm.call(&thing).await,
            }
        };
        let answer = match patience.until_done(|_| None, look).await {
            Ok(answer) => answer,
            // What is removed is no longer there to be asked.
            Err(refusal) if request.method == Method::Delete && refusal.status == Some(404) => {
                return Ok(Value::Null);
            }
            Err(refusal) => return Err(refusal),
        };
        least = answer.retry_after;
        let state = match &sign {
            Sign::Operation(_) => answer.body["status"].as_str(),
            Sign::Location(_) if answer.status == 202 => continue,
            Sign::Location(_) => return Ok(answer.body),
            Sign::Thing => state_of(&answer.body),
        };
        match state {
            None | Some("Succeeded") => return Ok(answer.body),
            Some(state @ ("Failed" | "Canceled")) => {
                return Err(Refusal::of_operation(attempt, state, &answer.body["error"]));
            }
            Some(_) => {}
        }
    }
}

fn state_of(thing: &Value) -> Option<&str> {
    thing["properties"]["provisioningState"].as_str()
}

fn sign(request: &Request<'_>, answer: &Answer) -> Option<Sign> {
    if let Some(url) = &answer.operation {
        return Some(Sign::Operation(url.clone()));
    }
    if let Some(url) = answer.location.as_ref().filter(|_| answer.status == 202) {
        return Some(Sign::Location(url.clone()));
    }
    let unfinished = state_of(&answer.body).is_some_and(|state| state != "Succeeded");
    (request.method == Method::Put && unfinished).then_some(Sign::Thing)
}
