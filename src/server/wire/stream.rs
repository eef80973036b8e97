//! The byte stream under a connection, plain or by TLS, and what is true of it alone: when a socket
//! is known to be empty, that one which takes nothing now has not failed, and that bytes may be owed
//! which nobody has given it. Works on any reader and writer.

use std::io::{self, ErrorKind, IoSlice, Read, Write};

use super::tls::{Fault, Session};

/// Most ciphertext asked for in one read(2).
const CIPHERTEXT_BYTES_MAX: usize = 8 * 1024;

/// What one read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// So many bytes; with `is_all`, an event will tell when there are more.
    Bytes {
        /// How many. Of TLS, what is inside: there may be none.
        count: usize,
        /// How many were taken from the socket.
        taken: usize,
        /// Whether the socket is known to be empty now.
        is_all: bool,
    },
    /// Nothing now; an event will tell when there is more.
    Nothing,
    /// The peer's end of the stream.
    End,
    /// A request without TLS where TLS is spoken. It can be answered in plain, and not be read.
    NoTls,
}

/// A stream.
#[derive(Debug)]
pub struct Stream<S> {
    socket: S,
    /// `None` if it is plain.
    tls: Option<Box<Session>>,
    /// What the socket took since that was last asked for.
    sent: usize,
}

impl<S> Stream<S> {
    /// A plain stream over a socket that does not block.
    pub fn plain(socket: S) -> Stream<S> {
        Stream {
            socket,
            tls: None,
            sent: 0,
        }
    }

    /// A stream inside a session over such a socket.
    pub fn secure(socket: S, session: Session) -> Stream<S> {
        Stream {
            tls: Some(Box::new(session)),
            ..Stream::plain(socket)
        }
    }

    /// The socket, for what is no reading and no writing.
    pub fn socket_mut(&mut self) -> &mut S {
        &mut self.socket
    }

    /// Whether it is by TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether a TLS handshake goes on.
    pub(in crate::server) fn is_shaking_hands(&self) -> bool {
        (self.tls.as_deref()).is_some_and(|tls| !tls.is_deaf() && tls.is_shaking_hands())
    }

    /// What ended its session, if that was a fault.
    pub(in crate::server) fn fault(&self) -> Option<&Fault> {
        self.tls.as_deref().and_then(Session::fault)
    }

    /// Bytes that it owes the socket: a handshake's, or what was written and is encrypted.
    pub(in crate::server) fn owed(&self) -> usize {
        self.tls.as_deref().map_or(0, |tls| tls.unsent.len())
    }

    /// How much its buffers take on the heap, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        self.tls.as_deref().map_or(0, Session::heap_bytes)
    }

    /// Whether it owes some that the socket may take.
    pub(super) fn wants_write(&self) -> bool {
        (self.tls.as_deref()).is_some_and(|tls| !tls.unsent.is_empty() && !tls.is_stuck)
    }

    /// How much the socket took since this was last asked.
    pub(super) fn take_sent(&mut self) -> usize {
        std::mem::take(&mut self.sent)
    }

    /// Says whether a flush left something, which is how a slow peer shows.
    pub(super) fn note(&mut self, is_blocked: bool) {
        if let Some(tls) = &mut self.tls {
            tls.note(is_blocked);
        }
    }
}

impl<S: Read + Write> Stream<S> {
    /// read(2). `hung_up` says that the peer's end may already be in the queue, which a short
    /// read does not show.
    pub fn read(&mut self, room: &mut [u8], hung_up: bool) -> io::Result<Received> {
        let Some(tls) = &mut self.tls else {
            return read(&mut self.socket, room, hung_up);
        };
        if tls.has_plaintext() {
            let count = tls.take_plaintext(room);
            return Ok(Received::Bytes {
                count,
                taken: 0,
                is_all: false,
            });
        }
        if tls.has_ended() {
            return Ok(Received::End);
        }
        // The same room takes what is encrypted, and then what was.
        let ciphertext_bytes_max = room.len().min(CIPHERTEXT_BYTES_MAX);
        let received = read(&mut self.socket, &mut room[..ciphertext_bytes_max], hung_up)?;
        let Received::Bytes { taken, is_all, .. } = received else {
            return Ok(received);
        };
        if tls.is_plain_request(&room[..taken]) {
            self.tls = None;
            return Ok(Received::NoTls);
        }
        let count = match tls.is_deaf() {
            // As behind any goodbye.
            true => 0,
            false => (tls.receive(room, taken)).ok_or(ErrorKind::InvalidData)?,
        };
        // A record may hold more than the room, and the end behind it.
        let is_all = is_all && !tls.has_plaintext() && !tls.has_ended();
        Ok(Received::Bytes {
            count,
            taken,
            is_all,
        })
    }
}

/// read(2) into the room.
fn read(socket: &mut impl Read, room: &mut [u8], hung_up: bool) -> io::Result<Received> {
    loop {
        match socket.read(room) {
            Ok(0) => return Ok(Received::End),
            Ok(count) => {
                // A short read has emptied the socket, so the next event is certain
                // (epoll(7), Q9).
                let is_all = count < room.len() && !hung_up;
                return Ok(Received::Bytes {
                    count,
                    taken: count,
                    is_all,
                });
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Ok(Received::Nothing);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl<S: Write> Stream<S> {
    /// write(2), where a socket that takes nothing now takes 0 bytes. By TLS, what is taken may be
    /// owed still; while the socket takes no more of that, nothing else is taken.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &self.tls else {
            let took = taken(|| self.socket.write(bytes))?;
            self.sent += took;
            return Ok(took);
        };
        let piece_bytes_max = tls.piece_bytes_max();
        let mut took = 0;
        for piece in bytes.chunks(piece_bytes_max) {
            let is_sealed =
                (self.tls.as_deref_mut()).is_some_and(|tls| !tls.is_stuck && tls.seal(piece));
            if !is_sealed {
                break;
            }
            took += piece.len();
            self.drain()?;
        }
        Ok(took)
    }

    /// The same with bytes that lie in two places (writev(2)).
    pub(super) fn write_both(&mut self, first: &[u8], second: &[u8]) -> io::Result<usize> {
        let Some(tls) = &self.tls else {
            let both = [IoSlice::new(first), IoSlice::new(second)];
            let took = taken(|| self.socket.write_vectored(&both))?;
            self.sent += took;
            return Ok(took);
        };
        if first.is_empty() {
            return self.write(second);
        }
        let fits = tls.piece_bytes_max().saturating_sub(first.len());
        let (beginning, rest) = second.split_at(fits.min(second.len()));
        let joined = [first, beginning].concat();
        match self.write(&joined)? {
            took if took < joined.len() => Ok(took),
            took => Ok(took + self.write(rest)?),
        }
    }

    /// Begins a flush after an event: what is owed goes first.
    pub(in crate::server) fn resume(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) if tls.is_stuck => {
                tls.is_stuck = false;
                self.drain()
            }
            _ => Ok(()),
        }
    }

    /// write(2) with what is owed, as far as the socket takes it.
    pub(in crate::server) fn drain(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            return Ok(());
        };
        while !tls.unsent.is_empty() && !tls.is_stuck {
            let took = taken(|| self.socket.write(&tls.unsent))?;
            self.sent += took;
            tls.is_stuck = took < tls.unsent.len();
            tls.unsent.drain(..took);
        }
        if tls.unsent.is_empty() {
            tls.unsent = Vec::new();
        }
        Ok(())
    }

    /// Says that nothing else comes, as TLS wants it said before the write side is shut.
    pub(in crate::server) fn finish(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.seal_end();
        }
        self.drain()
    }
}

/// What a write took.
fn taken(mut write: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match write() {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
