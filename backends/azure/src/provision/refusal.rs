//! What Azure refuses, in its words, and the mend.

use std::time::Duration;

use rustwren_core::error::{Error, ErrorKind};
use rustwren_core::provision::course::{Moment, Refused};
use serde_json::Value;

use crate::client::LOG_IN;

/// More of what is no error of Resource Manager's is not shown.
const LONGEST_MESSAGE: usize = 300;
/// What passes by itself within minutes.
const BUSY: &[&str] = &[
    "AnotherOperationInProgress",
    "ContainerBeingDeleted",
    "OperationInProgress",
    "QueueBeingDeleted",
    "ResourceGroupBeingDeleted",
    "RetryableError",
    "StorageAccountOperationInProgress",
];

/// A call that was not carried out, or did not come to its end.
#[derive(Debug)]
pub(super) struct Refusal {
    kind: ErrorKind,
    attempt: String,
    /// HTTP status of the answer, if there was one.
    pub(super) status: Option<u16>,
    /// Azure's name for it; may be empty.
    pub(super) code: String,
    pub(super) message: String,
    retry_after: Option<Duration>,
    hint: Option<String>,
}

impl Refusal {
    /// What an answer says.
    pub(super) fn of(attempt: &str, status: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let said = serde_json::from_slice::<Value>(body).ok();
        let (code, message) = said.as_ref().map(words).unwrap_or_default();
        let message = if message.is_empty() {
            String::from_utf8_lossy(body).chars().take(LONGEST_MESSAGE).collect()
        } else {
            message
        };
        Self { status: Some(status), retry_after, ..Self::said(attempt, Some(status), code, message) }
    }

    /// What an operation that was begun has come to, by its `error`.
    pub(super) fn of_operation(attempt: &str, state: &str, error: &Value) -> Self {
        let (code, message) = words(error);
        let message = if message.is_empty() { format!("it ended as {state}") } else { message };
        Self::said(attempt, None, code, message)
    }

    fn said(attempt: &str, status: Option<u16>, code: String, message: String) -> Self {
        let kind = match (status, code.as_str()) {
            (_, "AuthorizationFailed" | "LinkedAuthorizationFailed") | (Some(401 | 403), _) => {
                ErrorKind::Denied
            }
            (Some(408 | 429 | 500..), _) => ErrorKind::Unavailable,
            (Some(409), _) if is_busy(&code, &message) => ErrorKind::Unavailable,
            _ => ErrorKind::Config,
        };
        let hint = hint(&code, &message).or_else(|| (status == Some(401)).then(|| LOG_IN.to_owned()));
        Self { kind, attempt: attempt.to_owned(), status: None, code, message, retry_after: None, hint }
    }

    /// What this side has to say.
    pub(super) fn ours(attempt: &str, message: &str) -> Self {
        Self {
            kind: ErrorKind::Unavailable,
            attempt: attempt.to_owned(),
            status: None,
            code: String::new(),
            message: message.to_owned(),
            retry_after: None,
            hint: None,
        }
    }

    /// Nobody is logged in.
    pub(super) fn denied(attempt: &str, message: &str) -> Self {
        let hint = Some(LOG_IN.to_owned());
        Self { kind: ErrorKind::Denied, hint, ..Self::ours(attempt, message) }
    }

    /// With a mend that goes before Azure's.
    pub(super) fn mended_by(self, hint: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Config, hint: Some(hint.into()), ..self }
    }

    /// Of an operation that is not waited for any longer.
    pub(super) fn going_on(self) -> Self {
        let hint = "it goes on by itself: run `rustwren setup` again later, which finds what it has made";
        Self { hint: Some(hint.to_owned()), ..self }
    }

    /// Whether it has one of these names.
    pub(super) fn is(&self, codes: &[&str]) -> bool {
        codes.contains(&self.code.as_str())
    }
}

impl Refused for Refusal {
    fn moment(&self) -> Option<Moment> {
        let why = match self.status {
            Some(408 | 429 | 502 | 503 | 504) => "Azure asks for a moment",
            Some(409) if is_busy(&self.code, &self.message) => "Azure is still busy with it",
            _ => return None,
        };
        Some(Moment { why, after: self.retry_after })
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let Refusal { kind, attempt, status, code, message, hint, .. } = refusal;
        let told: Vec<String> = [status.map(|status| format!("HTTP {status}")), Some(code)]
            .into_iter()
            .flatten()
            .filter(|text| !text.is_empty())
            .collect();
        let told = if told.is_empty() { String::new() } else { format!(" ({})", told.join(", ")) };
        Self::new(kind, format!("{attempt}: {}{told}", message.trim_end())).with_optional_hint(hint)
    }
}

/// Code and message, of Resource Manager or of App Service, which writes them in its own way.
fn words(said: &Value) -> (String, String) {
    let error = if said["error"].is_object() { &said["error"] } else { said };
    let text = |names: [&str; 2]| {
        names.iter().find_map(|name| error[name].as_str()).unwrap_or_default().trim().to_owned()
    };
    (text(["code", "Code"]), text(["message", "Message"]))
}

fn is_busy(code: &str, message: &str) -> bool {
    BUSY.contains(&code) || (code == "Conflict" && message.contains("in progress"))
}

/// The text between two others.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(after)?.0)
}

/// The mend, as far as the code tells.
fn hint(code: &str, message: &str) -> Option<String> {
    Some(match code {
        "MissingSubscriptionRegistration" => {
            let namespace = between(message, "namespace '", "'").unwrap_or("Microsoft.Web");
            format!(
                "the subscription has not used this service before: `az provider register --namespace {namespace} --wait`"
            )
        }
        "AuthorizationFailed" | "LinkedAuthorizationFailed" => {
            let action = between(message, "perform action '", "'").unwrap_or("what it did");
            let role = if action.starts_with("Microsoft.Authorization/") {
                "Role Based Access Control Administrator"
            } else {
                "Contributor"
            };
            let scope = between(message, "over scope '", "'").unwrap_or("SCOPE");
            format!(
                "whoever sets up needs {action} (docs/azure.md has the roles): `az role assignment create --assignee WHO \
                 --role \"{role}\" --scope {scope}`"
            )
        }
        "SubscriptionNotFound" | "InvalidSubscriptionId" => {
            "`az account list` shows the subscriptions there are: set one as `subscription` in [compute]".to_owned()
        }
        "InvalidAuthenticationTokenTenant" => {
            "the subscription belongs to another tenant: `az login --tenant TENANT`".to_owned()
        }
        "StorageAccountAlreadyTaken" | "StorageAccountInAnotherResourceGroup" => {
            "names of storage accounts are unique among all users of Azure: set another `account` in [storage], or where it is \
             your own, `resource_group` in [compute] to its group"
                .to_owned()
        }
        "LocationNotAvailableForResourceType" | "LocationNotAvailableForResourceGroup" | "InvalidResourceLocation" => {
            "`az functionapp list-flexconsumption-locations` shows the regions there are: set one as `region` in [compute]"
                .to_owned()
        }
        "RequestDisallowedByPolicy" => "a policy of your organisation forbids it: ask whoever keeps the subscription".to_owned(),
        "SubscriptionIsOverQuotaForSku" | "QuotaExceeded" => {
            "the subscription's quota is used up: ask for more in the portal, or set another `region` in [compute]".to_owned()
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, body: &str) -> (ErrorKind, String) {
        let error = Error::from(Refusal::of("making x", status, None, body.as_bytes()));
        (error.kind(), format!("{error} | {}", error.hint().unwrap_or_default()))
    }

    #[test]
    fn what_azure_says_is_read_whoever_of_it_says_it() {
        let (kind, text) = told(400, r#"{"error":{"code":"BadName","message":"The name is bad."}}"#);
        assert_eq!(
            (kind, text.as_str()),
            (ErrorKind::Config, "making x: The name is bad. (HTTP 400, BadName) | ")
        );
        let (_, text) = told(404, r#"{"Code":"NotFound","Message":"Site x not found."}"#);
        assert!(text.contains("Site x not found. (HTTP 404, NotFound)"), "{text}");
        let (kind, text) = told(502, "<html>Bad Gateway</html>");
        assert!(kind == ErrorKind::Unavailable && text.contains("<html>Bad Gateway</html>"), "{text}");
    }

    #[test]
    fn what_is_missing_is_named_with_the_command_that_mends_it() {
        let body = r#"{"error":{"code":"MissingSubscriptionRegistration","message":"The subscription is not registered to use namespace 'Microsoft.Storage'. See https://aka.ms/rps-not-found."}}"#;
        let (kind, text) = told(409, body);
        assert!(
            kind == ErrorKind::Config && text.contains("az provider register --namespace Microsoft.Storage"),
            "{text}"
        );
        let body = r#"{"error":{"code":"AuthorizationFailed","message":"The client 'ada' with object id '1' does not have authorization to perform action 'Microsoft.Authorization/roleAssignments/write' over scope '/subscriptions/s/x' or the scope is invalid."}}"#;
        let (kind, text) = told(403, body);
        assert!(
            kind == ErrorKind::Denied && text.contains("--role \"Role Based Access Control Administrator\""),
            "{text}"
        );
        assert!(text.contains("--scope /subscriptions/s/x"), "{text}");
    }

    #[test]
    fn what_passes_is_told_from_what_stays() {
        let moment = |status, body: &str| {
            Refusal::of("x", status, Some(Duration::from_secs(7)), body.as_bytes()).moment()
        };
        let error =
            |code: &str, message: &str| format!(r#"{{"error":{{"code":"{code}","message":"{message}"}}}}"#);
        assert_eq!(moment(429, "").and_then(|moment| moment.after), Some(Duration::from_secs(7)));
        assert!(moment(409, &error("Conflict", "Another operation is in progress.")).is_some());
        assert!(moment(409, &error("ContainerBeingDeleted", "")).is_some());
        assert!(moment(409, &error("Conflict", "Website with given name x already exists.")).is_none());
        assert!(moment(409, &error("StorageAccountAlreadyTaken", "")).is_none());
        assert!(moment(403, "").is_none());
    }
}
