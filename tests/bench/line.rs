//! The byte stream under a connection of the load, plain or by TLS. It knows no WebSockets.

use std::io::{ErrorKind, Read, Write};

use mio::net::TcpStream;

use crate::secure::{Secrecy, Session};

/// Most ciphertext asked for in one read(2).
const CIPHERTEXT_BYTES_MAX: usize = 16 * 1024;

/// What one read brought.
pub(crate) enum Came {
    /// So many bytes; with `is_all` the socket is empty now.
    Bytes {
        count: usize,
        is_all: bool,
    },
    Nothing,
    End,
}

pub(crate) struct Line {
    pub(crate) socket: TcpStream,
    session: Option<Box<Session>>,
    /// What the kernel has not taken.
    output: Vec<u8>,
    /// How often it took something.
    pub(crate) writes: u64,
}

impl Line {
    pub(crate) fn new(socket: TcpStream, secrecy: Option<&Secrecy>) -> Result<Line, String> {
        let session = secrecy.map(Session::new).transpose()?;
        Ok(Line {
            socket,
            session: session.map(Box::new),
            output: Vec::new(),
            writes: 0,
        })
    }

    /// Begins the handshake of TLS, if that is spoken. To be called when the socket is connected.
    pub(crate) fn begin(&mut self) {
        if let Some(session) = &mut self.session {
            // Nothing came that could be wrong.
            let _ = session.receive(&mut [], &mut [], &mut self.output);
        }
    }

    /// Whether messages may be sent.
    pub(crate) fn is_ready(&self) -> bool {
        (self.session.as_ref()).is_none_or(|session| !session.is_shaking_hands())
    }

    /// Whether a ticket took the place of the server's signature.
    pub(crate) fn is_resumed(&self) -> bool {
        (self.session.as_ref()).is_some_and(|session| session.is_resumed())
    }

    /// Owes the kernel a message.
    pub(crate) fn put(&mut self, message: &[u8]) {
        match &mut self.session {
            None => self.output.extend_from_slice(message),
            Some(session) => session.seal(message, &mut self.output),
        }
    }

    /// Whether the kernel has taken all.
    pub(crate) fn is_written(&self) -> bool {
        self.output.is_empty()
    }

    /// Writes what the kernel takes.
    pub(crate) fn write(&mut self) {
        if self.output.is_empty() {
            return;
        }
        // A connection that is gone shows at a read; a full one comes back as an event.
        if let Ok(taken) = self.socket.write(&self.output) {
            self.output.drain(..taken);
            self.writes += 1;
        }
    }

    /// read(2).
    pub(crate) fn read(&mut self, room: &mut [u8]) -> Result<Came, String> {
        let Some(session) = &mut self.session else {
            return read(&mut self.socket, room);
        };
        let mut ciphertext = [0; CIPHERTEXT_BYTES_MAX];
        match read(&mut self.socket, &mut ciphertext)? {
            Came::Bytes { count, is_all } => {
                let ciphertext = &mut ciphertext[..count];
                let count = session.receive(ciphertext, room, &mut self.output)?;
                Ok(Came::Bytes { count, is_all })
            }
            other => Ok(other),
        }
    }
}

fn read(socket: &mut TcpStream, room: &mut [u8]) -> Result<Came, String> {
    match socket.read(room) {
        Ok(0) => Ok(Came::End),
        Ok(count) => Ok(Came::Bytes {
            count,
            // A short read has emptied the socket.
            is_all: count < room.len(),
        }),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Came::Nothing),
        Err(error) => Err(error.to_string()),
    }
}
