//! Which account at which address, and as whom: from the settings, the environment and connection strings.

use rustwren_core::env::{self, EnvVar, Environment};
use rustwren_core::error::{Error, ErrorKind, Result};

use super::{Access, Credentials, Login};

/// The services of a storage account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Blob,
    Queue,
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::Blob => "blob",
            Self::Queue => "queue",
        }
    }
}

/// Who calls, where that is known without asking Entra.
pub(super) enum Who {
    Given(Credentials),
    Entra,
}

/// A service of an account.
pub(super) struct Place {
    pub(super) account: String,
    /// Without a slash at its end.
    pub(super) endpoint: String,
    pub(super) who: Who,
}

/// Azurite's account, as its documentation has it: a convention, and no secret.
const DEVELOPMENT: (&str, &str) = (
    "devstoreaccount1",
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
);

/// What a connection string says.
#[derive(Default, PartialEq, Eq)]
struct Connection {
    account: Option<String>,
    key: Option<String>,
    sas: Option<String>,
    blob: Option<String>,
    queue: Option<String>,
    scheme: Option<String>,
    suffix: Option<String>,
}

impl Connection {
    /// Reads `Name=value` pairs with semicolons between. None where it is no connection string of a storage account.
    fn parse(text: &str) -> Option<Self> {
        let mut connection = Self::default();
        for pair in text.split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=')?;
            let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
            match name.trim().to_ascii_lowercase().as_str() {
                "accountname" => connection.account = value,
                "accountkey" => connection.key = value,
                "sharedaccesssignature" => connection.sas = value,
                "blobendpoint" => connection.blob = value,
                "queueendpoint" => connection.queue = value,
                "defaultendpointsprotocol" => connection.scheme = value,
                "endpointsuffix" => connection.suffix = value,
                "usedevelopmentstorage" if value.as_deref() == Some("true") => {
                    let (account, key) = DEVELOPMENT;
                    connection.account = Some(account.to_owned());
                    connection.key = Some(key.to_owned());
                    connection.blob = Some(format!("http://127.0.0.1:10000/{account}"));
                    connection.queue = Some(format!("http://127.0.0.1:10001/{account}"));
                }
                // Those of tables and files, and what is yet to come.
                _ => {}
            }
        }
        let has_place =
            connection.account.is_some() || connection.blob.is_some() || connection.queue.is_some();
        has_place.then_some(connection)
    }

    fn endpoint(&self, service: Service) -> Option<&str> {
        match service {
            Service::Blob => self.blob.as_deref(),
            Service::Queue => self.queue.as_deref(),
        }
    }
}

/// The place of a service, and who calls there.
pub(super) fn find(access: &Access, service: Service, environment: &Environment) -> Result<Place> {
    let variable = |variable: &EnvVar| variable.get_str_in(environment);
    let reads_secrets = access.login == Login::Auto && access.credentials.is_none();
    let connection = match variable(&env::AZURE_STORAGE_CONNECTION_STRING)?.filter(|_| reads_secrets) {
        Some(text) => Connection::parse(&text).ok_or_else(|| {
            config("AZURE_STORAGE_CONNECTION_STRING is no connection string of a storage account".to_owned())
                .with_hint("copy it anew: `az storage account show-connection-string --name ACCOUNT`")
        })?,
        None => Connection::default(),
    };
    if let (Some(wanted), Some(named)) = (&access.account, &connection.account)
        && wanted != named
    {
        let message = format!("`account` is {wanted}, and AZURE_STORAGE_CONNECTION_STRING is of {named}");
        return Err(config(message).with_hint("unset one of them"));
    }
    let account = match access.account.clone().or_else(|| connection.account.clone()) {
        Some(account) => Some(account),
        None => variable(&env::AZURE_STORAGE_ACCOUNT)?,
    };
    let endpoint = access.endpoint.as_deref().or_else(|| connection.endpoint(service));
    let (account, endpoint) = match (account, endpoint) {
        (Some(account), Some(endpoint)) => (account, endpoint.to_owned()),
        (None, Some(endpoint)) => (account_of(endpoint), endpoint.to_owned()),
        (Some(account), None) => {
            let scheme = connection.scheme.as_deref().unwrap_or("https");
            let suffix = connection.suffix.as_deref().unwrap_or("core.windows.net");
            let endpoint = format!("{scheme}://{account}.{}.{suffix}", service.name());
            (account, endpoint)
        }
        (None, None) => {
            return Err(config("no storage account is named".to_owned()).with_hint(
                "set `account`, AZURE_STORAGE_ACCOUNT, AZURE_STORAGE_CONNECTION_STRING, or `endpoint`",
            ));
        }
    };
    let who = match &access.credentials {
        Some(given) => Who::Given(given.clone()),
        None if reads_secrets => {
            let key = match connection.key.clone() {
                None if connection.sas.is_none() => variable(&env::AZURE_STORAGE_KEY)?,
                key => key,
            };
            let sas = match connection.sas.clone() {
                None => variable(&env::AZURE_STORAGE_SAS_TOKEN)?,
                sas => sas,
            };
            match (key, sas) {
                (Some(key), _) => Who::Given(Credentials::Key(key)),
                (None, Some(sas)) => Who::Given(Credentials::Sas(sas)),
                (None, None) => Who::Entra,
            }
        }
        None => Who::Entra,
    };
    let needs_tls = matches!(who, Who::Entra | Who::Given(Credentials::Token(_)));
    if needs_tls && !endpoint.starts_with("https://") {
        return Err(config(format!("logging in at {endpoint} by Entra needs https")).with_hint(
            "use the account's key (AZURE_STORAGE_KEY) or a shared access signature (AZURE_STORAGE_SAS_TOKEN), or https",
        ));
    }
    Ok(Place { account, endpoint: endpoint.trim_end_matches('/').to_owned(), who })
}

/// The account whose address this is: the first part of the path, or of the host's name where there is none.
fn account_of(endpoint: &str) -> String {
    let rest = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    match path.split('/').find(|part| !part.is_empty()) {
        Some(part) => part.to_owned(),
        None => host.split(['.', ':']).next().unwrap_or_default().to_owned(),
    }
}

fn config(message: String) -> Error {
    Error::new(ErrorKind::Config, message)
}

/// A signature as the query of a URL, without the `?` that portals put before it.
pub(super) fn sas_query(sas: &str) -> &str {
    sas.trim().trim_start_matches('?')
}

/// An environment for tests: the variables of this process are none of theirs.
#[cfg(test)]
fn environment(pairs: &[(&EnvVar, &str)]) -> Environment {
    pairs.iter().map(|(variable, value)| (variable.name, *value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRING: &EnvVar = &env::AZURE_STORAGE_CONNECTION_STRING;

    /// Account, endpoint and who calls.
    fn found(access: &Access, pairs: &[(&EnvVar, &str)]) -> (String, String, String) {
        let place =
            find(access, Service::Blob, &environment(pairs)).unwrap_or_else(|error| panic!("{error}"));
        let who = match place.who {
            Who::Given(Credentials::Key(key)) => format!("key {key}"),
            Who::Given(Credentials::Sas(sas)) => format!("sas {sas}"),
            Who::Given(Credentials::Token(_)) => "token".to_owned(),
            Who::Entra => "entra".to_owned(),
        };
        (place.account, place.endpoint, who)
    }

    fn refused(access: &Access, pairs: &[(&EnvVar, &str)]) -> Error {
        match find(access, Service::Blob, &environment(pairs)) {
            Err(error) => error,
            Ok(place) => panic!("found {}", place.endpoint),
        }
    }

    fn named(account: &str) -> Access {
        Access { account: Some(account.to_owned()), ..Access::default() }
    }

    #[test]
    fn an_account_is_enough() {
        let azure = "https://one.blob.core.windows.net";
        let expected = |who: &str| ("one".to_owned(), azure.to_owned(), who.to_owned());
        assert_eq!(found(&named("one"), &[]), expected("entra"));
        assert_eq!(found(&Access::default(), &[(&env::AZURE_STORAGE_ACCOUNT, "one")]), expected("entra"));
        let key = (&env::AZURE_STORAGE_KEY, "a2V5");
        let sas = (&env::AZURE_STORAGE_SAS_TOKEN, "?sv=1&sig=x");
        assert_eq!(found(&named("one"), &[key, sas]), expected("key a2V5"));
        assert_eq!(found(&named("one"), &[sas]), expected("sas ?sv=1&sig=x"));
        // Whoever asks for Entra gets no key, whatever the environment has.
        let entra = Access { login: Login::Entra, ..named("one") };
        assert_eq!(found(&entra, &[key, sas]), expected("entra"));
    }

    #[test]
    fn connection_strings() {
        let text = "DefaultEndpointsProtocol=https;AccountName=one;AccountKey=a2V5PT0=;EndpointSuffix=core.chinacloudapi.cn";
        assert_eq!(
            found(&Access::default(), &[(STRING, text)]),
            ("one".into(), "https://one.blob.core.chinacloudapi.cn".into(), "key a2V5PT0=".into())
        );
        let text = "BlobEndpoint=https://two.blob.core.windows.net/;SharedAccessSignature=sv=1&sig=a%3D";
        assert_eq!(
            found(&Access::default(), &[(STRING, text)]),
            ("two".into(), "https://two.blob.core.windows.net".into(), "sas sv=1&sig=a%3D".into())
        );
        let (account, endpoint, who) = found(&Access::default(), &[(STRING, "UseDevelopmentStorage=true")]);
        assert_eq!(
            (account.as_str(), endpoint.as_str()),
            (DEVELOPMENT.0, "http://127.0.0.1:10000/devstoreaccount1")
        );
        assert_eq!(who, format!("key {}", DEVELOPMENT.1));
    }

    #[test]
    fn what_cannot_be_is_refused_without_secrets() {
        for (access, pairs, words) in [
            (Access::default(), vec![], "no storage account is named"),
            (named("one"), vec![(STRING, "hunter2")], "no connection string"),
            (named("one"), vec![(STRING, "AccountKey=hunter2")], "no connection string"),
            (named("one"), vec![(STRING, "AccountName=two;AccountKey=hunter2")], "is of two"),
            (
                Access { endpoint: Some("http://127.0.0.1:1/one".to_owned()), ..Access::default() },
                vec![],
                "needs https",
            ),
        ] {
            let error = refused(&access, &pairs);
            let text = format!("{error} {:?}", error.hint());
            assert!(text.contains(words), "{text}");
            assert!(error.hint().is_some() && !text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn the_account_of_an_address() {
        for (endpoint, account) in [
            ("https://one.blob.core.windows.net", "one"),
            ("http://127.0.0.1:10000/devstoreaccount1", "devstoreaccount1"),
            ("http://azurite:10000", "azurite"),
        ] {
            assert_eq!(account_of(endpoint), account);
        }
        assert_eq!(sas_query(" ?sv=1&sig=x\n"), "sv=1&sig=x");
    }
}
