//! Addresses of services, as settings give them.

use super::Settings;
use crate::error::Result;

impl Settings {
    /// The address of a service, `http(s)://host..`; one that is no address or has credentials in it is refused.
    pub fn get_endpoint(&self, key: &str) -> Result<Option<String>> {
        let endpoint = self.get_str(key)?;
        match endpoint.map(check) {
            Some(Err(must)) => Err(self.error(key, must)),
            _ => Ok(endpoint.map(str::to_owned)),
        }
    }
}

/// Checks that it is `http(s)://host..` without credentials; the error says what it must be.
fn check(endpoint: &str) -> std::result::Result<(), &'static str> {
    let rest = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
    let Some(rest) = rest else { return Err("must begin with https:// or http://") };
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.is_empty() || rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("must name a host");
    }
    if authority.contains('@') {
        return Err(
            "must have no credentials in it: they come from the environment, or from files of their own",
        );
    }
    if rest.contains(['?', '#']) {
        return Err("must have no query");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        for good in
            ["http://127.0.0.1:9000", "https://minio.example.com/", "https://h/path", "http://[::1]:80"]
        {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "h:9000",
            "ftp://h",
            "https://",
            "https:///x",
            "http://u:p@h",
            "http://a b",
            "https://h/?x=1",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
