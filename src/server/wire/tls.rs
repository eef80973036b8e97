//! TLS between the bytes of a socket and those of a connection, by rustls, which is handed the room
//! that it works in: at rest a session holds its keys and no buffer. Knows no socket and no HTTP.

use std::fmt;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::{ClientConfig, Error, ServerConfig};

use super::records::{Buffers, Outcome, encode, encrypt};

/// A record of TLS 1.2, with its header and the most that encryption adds (RFC 5246, 6.2.3).
pub const RECORD_BYTES_MAX: usize = 5 + (1 << 14) + 2048;

/// Most plaintext in a record (RFC 8446, 5.1).
const PIECE_BYTES_MAX: usize = 1 << 14;

/// The same for a peer that did not take all the last time: what is encrypted is no longer replaced
/// by newer positions.
const SLOW_PIECE_BYTES_MAX: usize = 4 * 1024;

/// The first byte of whoever speaks TLS: a record with a handshake message (RFC 8446, 5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// Most of what is told of a fault: some name all that might have come instead.
const FAULT_BYTES_MAX: usize = 120;

/// The end of a session by a fault: of the peer's, most often.
#[derive(Debug)]
pub struct Fault(Error);

impl Fault {
    /// What it was, exactly.
    pub(in crate::server) fn error(&self) -> &Error {
        &self.0
    }
}

impl fmt::Display for Fault {
    /// As rustls puts it; nothing in it is the peer's own text.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(&text[..text.floor_char_boundary(FAULT_BYTES_MAX)])
    }
}

/// Longest message of a handshake that is taken, with its records: one, as clients send. The
/// certificates of a server may take several.
const CLIENT_MESSAGE_BYTES_MAX: usize = RECORD_BYTES_MAX;
const SERVER_MESSAGE_BYTES_MAX: usize = 4 * RECORD_BYTES_MAX;

/// Most that a client's side holds: its keys, that message and what was read behind it, and a record
/// on its way in each direction.
pub(in crate::server) const SESSION_BYTES_MAX: usize =
    4 * 1024 + SERVER_MESSAGE_BYTES_MAX + 3 * RECORD_BYTES_MAX;

/// One side of a TLS session.
pub struct Session {
    rustls: Side,
    /// The beginning of a record, or of a message of a handshake.
    incoming: Vec<u8>,
    /// What was decrypted and found no room.
    plaintext: Vec<u8>,
    /// Ciphertext that the socket has not taken.
    pub(super) unsent: Vec<u8>,
    /// Whether the socket took no more of it, until an event tells that there is room again.
    pub(super) is_stuck: bool,
    /// Whether something was left of the last flush.
    is_slow: bool,
    has_begun: bool,
    has_ended: bool,
    is_shut: bool,
    fault: Option<Fault>,
}

enum Side {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

impl fmt::Debug for Session {
    /// Without its keys and what it was told.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Session {
    /// The server's side of a session of which nothing was said yet.
    ///
    /// # Errors
    /// When there is nothing to make random numbers from.
    pub fn server(config: Arc<ServerConfig>) -> Result<Session, Error> {
        let rustls = UnbufferedServerConnection::new(config)?;
        Ok(Session::new(Side::Server(rustls)))
    }

    /// The side of a client of the server with this name, which is the first to speak.
    ///
    /// # Errors
    /// When there is nothing to make random numbers from.
    pub fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Session, Error> {
        let rustls = UnbufferedClientConnection::new(config, name)?;
        let mut session = Session::new(Side::Client(rustls));
        session.advance(&mut []).map_err(|Fault(error)| error)?;
        Ok(session)
    }

    fn new(rustls: Side) -> Session {
        Session {
            rustls,
            incoming: Vec::new(),
            plaintext: Vec::new(),
            unsent: Vec::new(),
            is_stuck: false,
            is_slow: false,
            has_begun: false,
            has_ended: false,
            is_shut: false,
            fault: None,
        }
    }

    /// How much its buffers take on the heap, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        self.incoming.capacity() + self.plaintext.capacity() + self.unsent.capacity()
    }

    /// Whether nothing of the connection's own can be said yet.
    pub(super) fn is_shaking_hands(&self) -> bool {
        match &self.rustls {
            Side::Server(rustls) => rustls.is_handshaking(),
            Side::Client(rustls) => rustls.is_handshaking(),
        }
    }

    /// Whether what a peer begins with is no TLS, but a request.
    pub(super) fn is_plain_request(&self, ciphertext: &[u8]) -> bool {
        let is_letter = ciphertext.first().is_some_and(u8::is_ascii_uppercase);
        const { assert!(!HANDSHAKE_RECORD.is_ascii_uppercase()) };
        is_letter && !self.has_begun
    }

    /// Whether the peer said that it sends no more (RFC 8446, 6.1).
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended && self.plaintext.is_empty()
    }

    /// Whether nothing is read any more: a fault has ended it, or the last word was said. What rustls
    /// would answer then, nobody is to hear.
    pub(super) fn is_deaf(&self) -> bool {
        self.fault.is_some() || self.is_shut
    }

    /// What ended it, if that was a fault.
    pub(super) fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// Whether something was decrypted that found no room.
    pub(super) fn has_plaintext(&self) -> bool {
        !self.plaintext.is_empty()
    }

    /// Takes what had found no room, as far as this goes.
    pub(super) fn take_plaintext(&mut self, room: &mut [u8]) -> usize {
        let count = self.plaintext.len().min(room.len());
        room[..count].copy_from_slice(&self.plaintext[..count]);
        self.plaintext.drain(..count);
        if self.plaintext.is_empty() {
            self.plaintext = Vec::new();
        }
        count
    }

    /// Takes in so many bytes that came into the room, and decrypts into it all that is whole; says how
    /// much that is, or nothing after a fault: then [`Session::unsent`] holds the alert that tells the
    /// peer.
    pub(super) fn receive(&mut self, room: &mut [u8], taken: usize) -> Option<usize> {
        self.has_begun = true;
        self.incoming.reserve_exact(taken);
        self.incoming.extend_from_slice(&room[..taken]);
        match self.advance(room) {
            Ok(count) => Some(count),
            Err(fault) => {
                self.encode_alert();
                self.fault = Some(fault);
                self.incoming = Vec::new();
                self.plaintext = Vec::new();
                None
            }
        }
    }

    /// Has rustls do all that it can with what is here.
    fn advance(&mut self, room: &mut [u8]) -> Result<usize, Fault> {
        let (mut consumed, mut count) = (0, 0);
        let outcome = loop {
            let mut buffers = Buffers {
                room: &mut room[count..],
                plaintext: &mut self.plaintext,
                unsent: &mut self.unsent,
            };
            let rest = &mut self.incoming[consumed..];
            let step = match &mut self.rustls {
                Side::Server(rustls) => buffers.step(rustls.process_tls_records(rest)),
                Side::Client(rustls) => buffers.step(rustls.process_tls_records(rest)),
            };
            consumed += step.consumed;
            match step.outcome {
                Ok(Outcome::Decrypted(more)) => count += more,
                Ok(Outcome::Said) => {}
                Ok(Outcome::PeerClosed) => self.has_ended = true,
                Ok(Outcome::Waits) => break Ok(count),
                Err(error) => break Err(Fault(error)),
            }
        };
        self.incoming.drain(..consumed);
        if consumed > 0 {
            self.incoming.shrink_to_fit();
        }
        let message_bytes_max = match self.rustls {
            Side::Server(_) => CLIENT_MESSAGE_BYTES_MAX,
            Side::Client(_) => SERVER_MESSAGE_BYTES_MAX,
        };
        if self.incoming.len() > message_bytes_max {
            return Err(Fault(Error::General("a message is too long".to_owned())));
        }
        outcome
    }

    /// After a fault: what rustls says to that. Asked for more it would look for records, and panic
    /// where what came is gone, for it holds places in the beginning of a message.
    fn encode_alert(&mut self) {
        let (incoming, unsent) = (&mut self.incoming, &mut self.unsent);
        match &mut self.rustls {
            Side::Server(rustls) => {
                while rustls.wants_write() && encode(rustls.process_tls_records(incoming), unsent) {
                }
            }
            Side::Client(rustls) => {
                while rustls.wants_write() && encode(rustls.process_tls_records(incoming), unsent) {
                }
            }
        }
    }

    /// How much may be encrypted before the socket has taken it.
    pub(super) fn piece_bytes_max(&self) -> usize {
        match self.is_slow {
            true => SLOW_PIECE_BYTES_MAX,
            false => PIECE_BYTES_MAX,
        }
    }

    /// Says whether a flush left something.
    pub(super) fn note(&mut self, is_blocked: bool) {
        self.is_slow = is_blocked;
    }

    /// Encrypts a piece behind what is unsent; `false` if that cannot be done yet, or no longer.
    pub(super) fn seal(&mut self, piece: &[u8]) -> bool {
        self.encrypt(Some(piece))
    }

    /// Says that nothing else will be sent, once.
    pub(super) fn seal_end(&mut self) {
        if !self.is_shut {
            self.is_shut = self.encrypt(None);
        }
    }

    /// Encrypts a piece, or the word that there are no more.
    fn encrypt(&mut self, piece: Option<&[u8]>) -> bool {
        if self.fault.is_some() || self.is_shut {
            return false;
        }
        // Nothing is decrypted here: all that was whole was decrypted when it came.
        let incoming = &mut self.incoming;
        match &mut self.rustls {
            Side::Server(rustls) => encrypt(
                rustls.process_tls_records(incoming),
                piece,
                &mut self.unsent,
            ),
            Side::Client(rustls) => encrypt(
                rustls.process_tls_records(incoming),
                piece,
                &mut self.unsent,
            ),
        }
    }
}
