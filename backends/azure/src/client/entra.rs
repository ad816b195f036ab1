//! Tokens of Entra, by the official `azure_identity`.

use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use azure_core::http::{ClientOptions, Transport as SdkTransport};
use azure_identity::{
    ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions,
    DeveloperToolsCredential, ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId,
    WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
use rustwren_core::env::{self, Environment};
use rustwren_core::error::{Error, ErrorKind, Result};

use super::Login;
use super::transport::Transport;

/// Where tokens come from.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    Secret { tenant: String, client: String, secret: Hidden },
    Workload,
    Managed { client: Option<String> },
    Developer,
}

/// A secret that is not shown.
#[derive(PartialEq, Eq)]
struct Hidden(String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("..")
    }
}

/// Whoever logs in so.
pub(super) fn credential(login: Login, environment: &Environment) -> Result<Arc<dyn TokenCredential>> {
    let made: azure_core::Result<Arc<dyn TokenCredential>> = match source(login, environment)? {
        Source::Secret { tenant, client, secret } => {
            let options = ClientSecretCredentialOptions { client_options: options(true)? };
            ClientSecretCredential::new(&tenant, client, secret.0.into(), Some(options)).map(|made| made as _)
        }
        Source::Workload => {
            let options = WorkloadIdentityCredentialOptions {
                credential_options: ClientAssertionCredentialOptions { client_options: options(true)? },
                ..WorkloadIdentityCredentialOptions::default()
            };
            WorkloadIdentityCredential::new(Some(options)).map(|made| made as _)
        }
        Source::Managed { client } => {
            let options = ManagedIdentityCredentialOptions {
                user_assigned_id: client.map(UserAssignedId::ClientId),
                client_options: options(false)?,
            };
            ManagedIdentityCredential::new(Some(options)).map(|made| made as _)
        }
        Source::Developer => DeveloperToolsCredential::new(None).map(|made| made as _),
    };
    made.map_err(|error| {
        let message = "there is no way to log in at Entra";
        Error::new(ErrorKind::Config, message).with_source(error).with_hint(super::LOG_IN)
    })
}

/// The SDK's own HTTP client is not compiled in, and would panic where it is missed.
fn options(needs_tls: bool) -> Result<ClientOptions> {
    let transport = Transport::new(None, needs_tls)?;
    Ok(ClientOptions { transport: Some(SdkTransport::new(transport)), ..ClientOptions::default() })
}

fn source(login: Login, environment: &Environment) -> Result<Source> {
    let client = env::AZURE_CLIENT_ID.get_str_in(environment)?;
    match login {
        Login::Cli => return Ok(Source::Developer),
        Login::Managed => return Ok(Source::Managed { client }),
        Login::Auto | Login::Entra => {}
    }
    if let Some(secret) = env::AZURE_CLIENT_SECRET.get_str_in(environment)? {
        let tenant = env::AZURE_TENANT_ID.get_str_in(environment)?;
        let (Some(tenant), Some(client)) = (tenant, client) else {
            let message = "AZURE_CLIENT_SECRET is set, and AZURE_TENANT_ID or AZURE_CLIENT_ID is not";
            return Err(
                Error::new(ErrorKind::Config, message).with_hint("set all three, or unset the secret")
            );
        };
        return Ok(Source::Secret { tenant, client, secret: Hidden(secret) });
    }
    if env::AZURE_FEDERATED_TOKEN_FILE.get_in(environment).is_some() {
        return Ok(Source::Workload);
    }
    if env::IDENTITY_ENDPOINT.get_in(environment).is_some() {
        return Ok(Source::Managed { client });
    }
    Ok(Source::Developer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_who_logs_in() {
        let secret = ("AZURE_CLIENT_SECRET", "hunter2");
        let (tenant, client) = (("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c"));
        let (file, machine) =
            (("AZURE_FEDERATED_TOKEN_FILE", "/f"), ("IDENTITY_ENDPOINT", "http://127.0.0.1:1"));
        let of = |login, pairs: &[(&str, &str)]| source(login, &pairs.iter().copied().collect());
        assert_eq!(
            of(Login::Auto, &[secret, tenant, client, file]).unwrap(),
            Source::Secret { tenant: "t".into(), client: "c".into(), secret: Hidden("hunter2".into()) }
        );
        assert_eq!(of(Login::Entra, &[file, machine]).unwrap(), Source::Workload);
        let managed = |client: Option<&str>| Source::Managed { client: client.map(str::to_owned) };
        assert_eq!(of(Login::Auto, &[machine]).unwrap(), managed(None));
        assert_eq!(of(Login::Managed, &[secret, tenant, client]).unwrap(), managed(Some("c")));
        assert_eq!(of(Login::Cli, &[secret, tenant, client]).unwrap(), Source::Developer);
        assert_eq!(of(Login::Auto, &[tenant, client]).unwrap(), Source::Developer);
        let error = of(Login::Auto, &[secret, client]).unwrap_err().to_string();
        assert!(error.contains("AZURE_TENANT_ID") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn every_way_can_be_made_without_a_request() {
        let secret = [
            ("AZURE_CLIENT_SECRET", "hunter2"),
            ("AZURE_TENANT_ID", "tenant"),
            ("AZURE_CLIENT_ID", "client"),
        ];
        for (login, pairs) in [
            (Login::Auto, &secret[..]),
            (Login::Auto, &[][..]),
            (Login::Managed, &[][..]),
            (Login::Cli, &[][..]),
        ] {
            let made = credential(login, &pairs.iter().copied().collect());
            assert!(made.is_ok(), "{login:?}: {:?}", made.err());
        }
    }
}
