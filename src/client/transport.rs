//! The bytes between a client and a server: over TCP as they are, or by TLS. Must never know what
//! they mean.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::TcpStream;
use rustls::ClientConnection;

/// A stream that does not block.
#[derive(Debug)]
pub(crate) enum Transport {
    /// As they are.
    Plain(TcpStream),
    /// By TLS.
    Secure(Box<Secure>),
}

/// TLS over a stream.
#[derive(Debug)]
pub(crate) struct Secure {
    socket: TcpStream,
    session: ClientConnection,
}

impl Transport {
    /// A session of which nothing was said yet.
    pub(crate) fn secure(socket: TcpStream, session: ClientConnection) -> Transport {
        Transport::Secure(Box::new(Secure { socket, session }))
    }

    /// The socket.
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Transport::Plain(socket) => socket,
            Transport::Secure(secure) => &secure.socket,
        }
    }
}

impl Secure {
    /// Writes what is encrypted, as far as the socket takes it.
    fn push(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.socket)?;
        }
        Ok(())
    }

    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        // What the socket had no room for: of its failure the reading below tells.
        let _ = self.push();
        loop {
            match self.session.reader().read(room) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // The end without a word, which WebSocket has a word of its own for.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                result => return result,
            }
            self.session.read_tls(&mut self.socket)?;
            let processed = self.session.process_new_packets();
            // The handshake goes on, or an alert goes out.
            let _ = self.push();
            processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push()?;
        match self.session.writer().write(bytes)? {
            // It holds all that it may.
            0 if !bytes.is_empty() => Err(ErrorKind::WouldBlock.into()),
            count => match self.push() {
                Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
                _ => Ok(count),
            },
        }
    }
}

impl Read for Transport {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => socket.read(room),
            Transport::Secure(secure) => secure.read(room),
        }
    }
}

impl Write for Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => socket.write(bytes),
            Transport::Secure(secure) => secure.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Transport::Plain(socket) => socket.flush(),
            Transport::Secure(secure) => secure.push(),
        }
    }
}
