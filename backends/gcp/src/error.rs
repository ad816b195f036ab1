//! The one place where answers of Google Cloud become errors: what they mean for the caller, and the mend.
