//! What is known of a panic in a task.

use std::any::Any;
use std::cell::RefCell;

use crate::failure::{FailureKind, TaskFailure};

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Notes where each panic happens, before it is printed as ever.
pub(super) fn install_hook() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let location = info.location().map(ToString::to_string);
        LAST.with(|last| {
            // A panic while this one is being noted finds it borrowed; the first is the one that counts.
            if let Ok(mut last) = last.try_borrow_mut() {
                *last = location;
            }
        });
        print(info);
    }));
}

/// Makes a failure of what `catch_unwind` caught on this thread.
pub(super) fn failure(payload: Box<dyn Any + Send>) -> TaskFailure {
    let message = if let Some(text) = payload.downcast_ref::<&'static str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        // The value is of a type of the user's, whose `Drop` might panic again.
        std::mem::forget(payload);
        "a value that is not a string".to_owned()
    };
    let location = LAST.with(|last| last.try_borrow_mut().ok().and_then(|mut last| last.take()));
    TaskFailure {
        location,
        ..TaskFailure::new(FailureKind::Panic, message)
    }
}
