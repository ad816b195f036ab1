//! What a queue's own errors mean, and how each is mended.

use rustwren_core::error::BackendError;

use crate::error::Failure;

/// The message is no longer this receiver's.
pub(super) fn is_lost(failure: &Failure) -> bool {
    matches!(failure.code(), "MessageNotFound" | "PopReceiptMismatch")
}

/// The error for the caller: `verb` is what was done with the queue.
pub(super) fn error(failure: Failure, queue: &str, verb: &str) -> BackendError {
    let class = failure.class();
    let hint = match failure.code() {
        "QueueNotFound" => Some("the queue does not exist: make it (`az storage queue create`)".to_owned()),
        "AuthorizationPermissionMismatch" => Some(
            "give whoever logs in the role `Storage Queue Data Contributor`, or a shared access signature the \
             permissions r, a, u and p"
                .to_owned(),
        ),
        _ => failure.hint(),
    };
    failure.into_error_as(class, hint, &format!("{verb} queue {queue}"))
}
