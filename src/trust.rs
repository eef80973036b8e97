//! Whom a client by TLS believes: the CAs of a file, or those that the system trusts. Knows no socket,
//! and nothing of what is spoken inside.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// What a client speaks that believes the CAs in the bytes of a PEM file.
///
/// # Errors
/// Half a line, behind the file's name, if there are none in it.
pub(crate) fn in_pem(pem: &[u8]) -> Result<ClientConfig, String> {
    let certificates: Vec<CertificateDer> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("this is no PEM: {error}"))?;
    believe(certificates)?.ok_or_else(|| "there is no certificate of a CA in it".to_owned())
}

/// What a client speaks that believes whom the system trusts.
///
/// # Errors
/// A line that says what to do, if that is nobody: the flag names a file with a CA.
pub(crate) fn in_system(flag: &str) -> Result<ClientConfig, String> {
    believe(rustls_native_certs::load_native_certs().certs)?.ok_or_else(|| {
        format!("this system trusts no CA: install ca-certificates, or try {flag} FILE")
    })
}

/// Nothing, if none of these is a CA.
fn believe(certificates: Vec<CertificateDer<'static>>) -> Result<Option<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    let (count, _) = roots.add_parsable_certificates(certificates);
    if count == 0 {
        return Ok(None);
    }
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map(|builder| Some(builder.with_root_certificates(roots).with_no_client_auth()))
        .map_err(|error| error.to_string())
}
