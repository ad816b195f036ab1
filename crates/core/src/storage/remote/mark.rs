//! How a writer knows its own write again.

/// A mark that no other write has. A writer leaves it beside the object, so that it knows its own write when the answer
/// to it was lost. Contents do not tell: two writers may well write the same.
pub fn new_mark() -> String {
    format!("{:032x}", fastrand::u128(..))
}
