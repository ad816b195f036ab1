//! What a pipeline takes of the program's own memory.

use crate::harness::{Place, assert_exit, stdout};

/// The client may hold some inputs and some results of each of three jobs, see `docs/architecture.md`, and its program.
const MOST_KIB: u64 = 320 << 10;

#[test]
fn a_million_items_pass_in_bounded_memory() {
    let output = Place::new().command(env!("CARGO_BIN_EXE_pipes"), &["million"]).output().unwrap();
    assert_exit(&output, 0);
    let text = stdout(&output);
    let kib = text.strip_prefix("666666 items, ").and_then(|rest| rest.strip_suffix(" kB\n"));
    let kib: u64 = kib.unwrap_or_else(|| panic!("{text}")).parse().unwrap();
    assert!(kib < MOST_KIB, "a gigabyte went through {kib} KiB");
}
