//! Certificates for servers under test, made anew for each.

#![expect(clippy::expect_used, reason = "a test whose server cannot be had fails")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// A certificate for 127.0.0.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificates {
    /// Who has signed it.
    pub ca: PathBuf,
    /// The certificate.
    pub leaf: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Certificates {
    /// Makes one in a folder.
    ///
    /// # Panics
    ///
    /// When moto, whose libraries do it, is not installed.
    pub fn new_in(folder: &Path) -> Self {
        let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache/moto/bin/python");
        assert!(
            python.exists(),
            "moto is not installed: run scripts/test once (with any arguments), which puts it into .cache/moto"
        );
        let mut command = Command::new(python);
        let made = command.args(["-c", include_str!("certificates.py")]).arg(folder).status();
        assert!(made.expect("python of the virtual environment starts").success());
        let [ca, leaf, key] = ["ca.pem", "leaf.pem", "key.pem"].map(|name| folder.join(name));
        Self { ca, leaf, key }
    }
}
