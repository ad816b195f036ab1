//! TLS by rustls with ring, as all clients of ours speak it.

use std::error::Error as StdError;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustwren_core::error::{Error, ErrorKind, Result};

/// The configuration of a client that trusts these certificates (a file in PEM form) instead of the machine's. Where TLS
/// is not `needed`, none are read.
pub fn config(ca: Option<&Path>, needed: bool) -> Result<ClientConfig> {
    let failed = |what: String| Error::new(ErrorKind::Config, what);
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca.filter(|_| needed) {
        let named = || failed(format!("the certificates in {}", path.display()));
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| named().with_source(error))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| named().with_source(error))?;
            roots.add(certificate).map_err(|error| named().with_source(error))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed("TLS".to_owned()).with_source(error))?;
    if needed && ca.is_none() {
        use hyper_rustls::ConfigBuilderExt as _;
        let builder = builder.with_native_roots().map_err(|error| {
            failed("the certificates that this machine trusts".to_owned())
                .with_source(error)
                .with_hint("install the package `ca-certificates`, or set `tls_ca`")
        })?;
        return Ok(builder.with_no_client_auth());
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Whether the other side's certificate is the trouble.
pub fn is_of_certificates(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        // An I/O error passes over the error in it when it is asked for its source.
        let inner = error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
        let tls = inner.map_or_else(|| error.downcast_ref(), |inner| inner.downcast_ref());
        if let Some(rustls::Error::InvalidCertificate(_)) = tls {
            return true;
        }
        next = inner.map_or_else(|| error.source(), |inner| Some(inner as &(dyn StdError + 'static)));
    }
    false
}
