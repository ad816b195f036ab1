//! What every backend must do.

pub mod budgets;
pub mod deadlines;
pub mod detached;
pub mod failures;
pub mod handles;
pub mod jobs;
pub mod mapping;
pub mod passing;
pub mod pipelines;

/// As much as is wanted, or what is enough where every invocation is a call far away: there `many` would take minutes and
/// show no more.
fn unless_dear(executor: &rustwren::Executor, many: u64, enough: u64) -> u64 {
    if executor.limits().overhead < std::time::Duration::from_millis(10) { many } else { enough }
}

/// All suites.
pub const ALL: &[&[crate::Test]] = &[
    mapping::TESTS,
    handles::TESTS,
    jobs::TESTS,
    failures::TESTS,
    passing::TESTS,
    pipelines::TESTS,
    budgets::TESTS,
];
