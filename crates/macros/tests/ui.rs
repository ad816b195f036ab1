//! What does not compile, and what users read then. The programs are built in full: that a closure captures nothing
//! is known only once its type is, after type checking.
//!
//! They are here, and not beside the library, since what is built for them has the features of the package that they
//! are in: with those of the library they would build the clouds' SDKs once more.
//!
//! `TRYBUILD=overwrite cargo test -p rustwren-macros --test ui` writes the messages anew.

#[test]
fn messages() {
    let tests = trybuild::TestCases::new();
    // A case that passes makes trybuild build, not only check.
    tests.pass("tests/ui/pass.rs");
    tests.compile_fail("tests/ui/fail_*.rs");
}
