//! What can be configured of Google Cloud, one file for each section.

pub mod functions;
mod storage;

pub use storage::{STORAGE, StorageConfig};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotated_file_matches_the_declarations() {
        let text = include_str!("../../../config/gcp.toml");
        let wrong = rustwren_core::config::reference::check_annotated(text, &[STORAGE, functions::COMPUTE]);
        assert!(wrong.is_empty(), "config/gcp.toml:\n{}", wrong.join("\n"));
    }
}
