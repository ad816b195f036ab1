//! The `rustwren` command.
fn main() {}
