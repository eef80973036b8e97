//! The server that a command speaks to: where it is, and whom to believe that it is there. Knows no
//! messages.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::endpoint::Endpoint;
use super::transport::Transport;

/// The flags that name a server.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct ServerFlags {
    /// Where the server is: ws:// or wss://, or the https:// of its map
    #[arg(long, value_name = "URL", default_value = super::URL_DEFAULT)]
    pub(crate) url: Endpoint,

    /// PEM file with the CA that a wss:// server's certificate is by [default: those that the system trusts]
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
}

/// A server, by the flags that name it.
#[derive(Debug)]
pub(crate) struct Destination {
    endpoint: Endpoint,
    /// Whom to believe, where TLS is spoken.
    trust: Option<Arc<ClientConfig>>,
}

impl Destination {
    /// Reads whom to believe, if that is needed.
    ///
    /// # Errors
    /// A line, if there is nobody.
    pub(crate) fn new(url: &Endpoint, ca_file: Option<&Path>) -> Result<Destination, String> {
        let trust = match url.is_secure() {
            true => Some(trust(ca_file)?),
            false => None,
        };
        Ok(Destination {
            endpoint: url.clone(),
            trust,
        })
    }

    /// Where it is.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The addresses that it has now, in the resolver's order; never none.
    ///
    /// # Errors
    /// A line that names the host, when the resolver knows no address of it.
    pub(crate) fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        self.endpoint.addresses()
    }

    /// What is spoken over a stream to it.
    ///
    /// # Errors
    /// When TLS cannot be spoken to such a host.
    pub(crate) fn transport(&self, stream: TcpStream) -> io::Result<Transport> {
        let Some(trust) = &self.trust else {
            return Ok(Transport::Plain(stream));
        };
        let name = ServerName::try_from(self.endpoint.host().to_owned());
        let session = name
            .map_err(|error| error.to_string())
            .and_then(|name| {
                let session = ClientConnection::new(Arc::clone(trust), name);
                session.map_err(|error| error.to_string())
            })
            .map_err(io::Error::other)?;
        Ok(Transport::secure(stream, session))
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.endpoint.fmt(f)
    }
}

/// The CAs in a file, or those of the system.
fn trust(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let certificates = match ca_file {
        Some(file) => CertificateDer::pem_file_iter(file)
            .and_then(Iterator::collect)
            .map_err(|error| format!("cannot read {}: {error}", file.display()))?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    let mut roots = RootCertStore::empty();
    let (count, _) = roots.add_parsable_certificates(certificates);
    if count == 0 {
        return Err(match ca_file {
            Some(file) => format!("{}: there is no certificate of a CA in it", file.display()),
            None => "this system trusts no CA: install ca-certificates, or try --ca-file FILE"
                .to_owned(),
        });
    }
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map(|builder| {
            let mut config = builder.with_root_certificates(roots).with_no_client_auth();
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            Arc::new(config)
        })
        .map_err(|error| error.to_string())
}
