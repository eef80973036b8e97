//! The socket of an engine, from the look-up of its host to a stream, plain or by TLS. Must never know
//! what is said over it.

use std::io;
use std::mem;
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::access::Access;
use super::address::EngineAddress;
use super::lookup::Lookup;
use crate::server::wire::stream::Stream;

/// How far a connection is.
#[derive(Debug)]
pub(super) enum Socket {
    None,
    /// Its host's address is being looked up.
    LookingUp(Lookup),
    Connecting(TcpStream),
    /// A handshake of TLS may go on in it.
    Open(Stream<TcpStream>),
}

impl Socket {
    /// Begins to connect, or to look up where to.
    ///
    /// # Errors
    /// A line that says why it cannot.
    pub(super) fn begin(
        address: &EngineAddress,
        registry: &Registry,
        token: Token,
    ) -> Result<Socket, String> {
        match address.literal() {
            Some(address) => connect(address, registry, token).map_err(|error| error.to_string()),
            None => Lookup::begin(address.host(), registry, token).map(Socket::LookingUp),
        }
    }

    /// Goes on with that, or with what an open one owes.
    ///
    /// # Errors
    /// A line that says why there is no connection.
    pub(super) fn go_on(
        &mut self,
        address: &EngineAddress,
        access: &mut Access,
        registry: &Registry,
        token: Token,
    ) -> Result<(), String> {
        if let Socket::LookingUp(lookup) = self
            && let Some(found) = lookup.answer()
        {
            let place = address.at(found?);
            *self = connect(place, registry, token).map_err(|error| error.to_string())?;
        }
        if let Socket::Open(stream) = self {
            // Of a failure the reading tells.
            let _ = stream.resume();
        }
        let Socket::Connecting(stream) = self else {
            return Ok(());
        };
        if let Ok(Some(error)) | Err(error) = stream.take_error() {
            return Err(error.to_string());
        }
        if stream.peer_addr().is_err() {
            return Ok(());
        }
        if let Socket::Connecting(stream) = mem::replace(self, Socket::None) {
            *self = Socket::Open(open(stream, address, access)?);
        }
        Ok(())
    }
}

/// A connection that is being made.
fn connect(address: SocketAddr, registry: &Registry, token: Token) -> io::Result<Socket> {
    let mut stream = TcpStream::connect(address)?;
    registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
    // Each write is a whole turn's.
    stream.set_nodelay(true)?;
    Ok(Socket::Connecting(stream))
}

/// A stream over one that is made. By TLS it is for us to begin.
fn open(
    stream: TcpStream,
    address: &EngineAddress,
    access: &mut Access,
) -> Result<Stream<TcpStream>, String> {
    let Some(certified) = address.certified() else {
        return Ok(Stream::plain(stream));
    };
    let mut stream = Stream::secure(stream, access.session(certified)?);
    stream.drain().map_err(|error| error.to_string())?;
    Ok(stream)
}
