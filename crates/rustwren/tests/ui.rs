//! What does not compile, and what users read then. The programs are built in full: that a closure captures nothing
//! is known only once its type is, after type checking.
//!
//! `TRYBUILD=overwrite cargo test -p rustwren --test ui` writes the messages anew.

#[test]
fn messages() {
    let tests = trybuild::TestCases::new();
    // A case that passes makes trybuild build, not only check.
    tests.pass("tests/ui/pass.rs");
    tests.compile_fail("tests/ui/fail_*.rs");
}
