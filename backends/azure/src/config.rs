//! What can be configured of Azure.

use rustwren_core::config::{KeyDoc, Kind};

mod compute;
mod logs;
mod storage;

pub use compute::{Auth, COMPUTE, ComputeConfig, Hidden, Trigger};
pub use logs::LogsConfig;
pub use storage::{STORAGE, StorageConfig};

/// The storage account, in both sections.
pub(crate) const ACCOUNT: KeyDoc = KeyDoc::optional(
    "account",
    Kind::Text,
    "as AZURE_STORAGE_CONNECTION_STRING or AZURE_STORAGE_ACCOUNT says",
    "myrustwren",
    "The storage account. Names are unique among all users of Azure.",
);

/// How to log in, in both sections.
pub(crate) const LOGIN: KeyDoc = KeyDoc::with_default(
    "login",
    Kind::Choice(&["auto", "cli", "entra", "managed"]),
    "auto",
    "Where credentials come from. `auto`: the connection string, key or SAS in the environment, else as `entra`. `entra`: the \
     environment's AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE, the machine's identity where Azure offers one in the \
     environment, else as `cli`. `cli`: `az login` or `azd auth login`. `managed`: the machine's identity.",
);

/// Certificates, in both sections.
pub(crate) const TLS_CA: KeyDoc = KeyDoc::optional(
    "tls_ca",
    Kind::Path,
    "the certificates that this machine trusts",
    "/etc/rustwren/ca.pem",
    "Certificates, in PEM form, one of which must have signed the server's, where `endpoint` begins with `https`.",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotated_file_matches_the_declarations() {
        let text = include_str!("../../../config/azure.toml");
        let wrong = rustwren_core::config::reference::check_annotated(text, &[STORAGE, COMPUTE]);
        assert!(wrong.is_empty(), "config/azure.toml:\n{}", wrong.join("\n"));
    }
}
