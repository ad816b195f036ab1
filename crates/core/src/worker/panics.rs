//! What is known of a panic in a task.

use std::any::Any;
use std::cell::{Cell, RefCell};

use crate::failure::{FailureKind, TaskFailure};

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
    /// How long stderr was before the last panic was printed there.
    static STDERR: Cell<Option<u64>> = const { Cell::new(None) };
}

/// How long stderr was before this thread's last panic was printed there: what follows is the standard library's
/// report, which may be a backtrace longer than a tail.
pub(super) fn take_stderr_length() -> Option<u64> {
    STDERR.take()
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
        STDERR.set(rustix::fs::fstat(std::io::stderr()).ok().map(|stat| stat.st_size as u64));
        print(info);
    }));
}

/// Runs code of the user's, with as little of ours around it as can be. The backtrace of a panic ends here: what lies
/// below tells the user nothing. The standard library goes by the name.
#[inline(never)]
pub(super) fn __rust_begin_short_backtrace<T>(code: impl FnOnce() -> T) -> T {
    let value = code();
    // Without something to do afterwards the call would become a jump, which leaves no frame.
    std::hint::black_box(());
    value
}

/// Makes a failure of what `catch_unwind` caught on this thread.
pub(crate) fn failure(payload: Box<dyn Any + Send>) -> TaskFailure {
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
    TaskFailure { location, ..TaskFailure::new(FailureKind::Panic, message) }
}
