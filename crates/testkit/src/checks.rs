//! What the conformance suites have in common: checks by name, and how they are run.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

/// A check that what is tested is known to fail: a stand-in (an emulator, say), or something that breaks a promise
/// on purpose.
#[derive(Debug, Clone, Copy)]
pub struct Gap {
    /// The name of the check: that of its function.
    pub check: &'static str,
    /// Why it cannot pass here, and why that is no fault of the code under test.
    pub reason: &'static str,
}

/// Panics when what it is given breaks the promise that it is about.
pub(crate) type Check<S> = for<'a> fn(&'a S) -> LocalBoxFuture<'a, ()>;

/// A list of checks, by name, from async functions of a reference.
macro_rules! checks {
    ($($name:ident),* $(,)?) => {
        &[$((stringify!($name), |subject| futures_util::FutureExt::boxed_local($name(subject)))),*]
    };
}
pub(crate) use checks;

/// Runs every check but those declared as gaps, and says which failed.
///
/// # Panics
///
/// When a gap names no check.
pub(crate) async fn failing<S: ?Sized>(
    subject: &S,
    checks: &[(&'static str, Check<S>)],
    gaps: &[Gap],
) -> Vec<&'static str> {
    for gap in gaps {
        assert!(checks.iter().any(|(name, _)| *name == gap.check), "there is no check {:?}", gap.check);
    }
    let mut failed = Vec::new();
    for (name, check) in checks {
        if let Some(gap) = gaps.iter().find(|gap| gap.check == *name) {
            eprintln!("{name}: not run: {}", gap.reason);
            continue;
        }
        eprintln!("{name}");
        // The panic's message has been printed by then.
        if AssertUnwindSafe(check(subject)).catch_unwind().await.is_err() {
            failed.push(*name);
        }
    }
    failed
}
