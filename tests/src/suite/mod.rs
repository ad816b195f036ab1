//! What every backend must do.

pub mod budgets;
pub mod deadlines;
pub mod failures;
pub mod handles;
pub mod jobs;
pub mod mapping;
pub mod passing;
pub mod pipelines;

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
