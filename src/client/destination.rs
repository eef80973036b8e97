//! The server that a command speaks to: where it is, and whom to believe that it is there. Knows no
//! messages.

use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::endpoint::Endpoint;
use super::plain;
use super::transport::Transport;
use crate::trust;

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

/// What is spoken to whom the CAs in a file vouch for, or those of the system.
fn trust(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let mut config = match ca_file {
        Some(file) => {
            let pem = fs::read(file)
                .map_err(|error| format!("cannot read {}: {}", file.display(), plain(&error)))?;
            trust::in_pem(&pem).map_err(|error| format!("{}: {error}", file.display()))?
        }
        None => trust::in_system("--ca-file")?,
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
