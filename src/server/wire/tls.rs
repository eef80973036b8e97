//! TLS between the bytes of a socket and those of a connection, by rustls, which is handed the room
//! that it works in: at rest a session holds its keys and no buffer. Knows no socket and no HTTP.

use std::fmt;
use std::sync::Arc;

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};
use rustls::{Error, ServerConfig};

/// A record of TLS 1.2, with its header and the most that encryption adds (RFC 5246, 6.2.3).
pub const RECORD_BYTES_MAX: usize = 5 + (1 << 14) + 2048;

/// Most plaintext in a record (RFC 8446, 5.1).
const PIECE_BYTES_MAX: usize = 1 << 14;

/// The same for a peer that did not take all the last time: what is encrypted is no longer replaced
/// by newer positions.
const SLOW_PIECE_BYTES_MAX: usize = 4 * 1024;

/// More than encryption adds to a piece, and a change of keys before it.
const SEAL_BYTES_MAX: usize = 256;

/// The first byte of whoever speaks TLS: a record with a handshake message (RFC 8446, 5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// Most of what is told of a fault: some name all that might have come instead.
const FAULT_BYTES_MAX: usize = 120;

/// The end of a session by a fault: of the peer's, most often.
#[derive(Debug)]
pub struct Fault(Error);

impl fmt::Display for Fault {
    /// As rustls puts it; nothing in it is the peer's own text.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(&text[..text.floor_char_boundary(FAULT_BYTES_MAX)])
    }
}

/// One side of a TLS session: the server's.
pub struct Session {
    rustls: UnbufferedServerConnection,
    /// The beginning of a record.
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

impl fmt::Debug for Session {
    /// Without its keys and what it was told.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Session {
    /// A session of which nothing was said yet.
    ///
    /// # Errors
    /// When there is nothing to make random numbers from.
    pub fn new(config: Arc<ServerConfig>) -> Result<Session, Error> {
        Ok(Session {
            rustls: UnbufferedServerConnection::new(config)?,
            incoming: Vec::new(),
            plaintext: Vec::new(),
            unsent: Vec::new(),
            is_stuck: false,
            is_slow: false,
            has_begun: false,
            has_ended: false,
            is_shut: false,
            fault: None,
        })
    }

    /// How much its buffers take on the heap, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        self.incoming.capacity() + self.plaintext.capacity() + self.unsent.capacity()
    }

    /// Whether nothing of the connection's own can be said yet.
    pub(super) fn is_shaking_hands(&self) -> bool {
        self.rustls.is_handshaking()
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

    /// Takes in what came, and decrypts into the room all that is whole; says how much that is, or
    /// nothing after a fault: then [`Session::unsent`] holds the alert that tells the peer.
    pub(super) fn receive(&mut self, ciphertext: &[u8], room: &mut [u8]) -> Option<usize> {
        self.has_begun = true;
        self.incoming.reserve_exact(ciphertext.len());
        self.incoming.extend_from_slice(ciphertext);
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
            let rest = &mut self.incoming[consumed..];
            let UnbufferedStatus { mut discard, state } = self.rustls.process_tls_records(rest);
            let end = match state {
                Err(error) => Some(Err(Fault(error))),
                Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
                    let record = match traffic.next_record() {
                        None => break None,
                        Some(Err(error)) => break Some(Err(Fault(error))),
                        Some(Ok(record)) => record,
                    };
                    discard += record.discard;
                    let fits = record.payload.len().min(room.len() - count);
                    let (now, later) = record.payload.split_at(fits);
                    room[count..count + fits].copy_from_slice(now);
                    self.plaintext.extend_from_slice(later);
                    count += fits;
                },
                Ok(ConnectionState::EncodeTlsData(data)) => {
                    append(data, &mut self.unsent);
                    None
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    None
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.has_ended = true;
                    None
                }
                Ok(_) => Some(Ok(count)),
            };
            consumed += discard;
            if let Some(outcome) = end {
                break outcome;
            }
        };
        self.incoming.drain(..consumed);
        if consumed > 0 {
            self.incoming.shrink_to_fit();
        }
        if self.incoming.len() > RECORD_BYTES_MAX {
            return Err(Fault(Error::General("a message is too long".to_owned())));
        }
        outcome
    }

    /// After a fault: what rustls says to that. Asked for more it would look for records, and panic
    /// where what came is gone, for it holds places in the beginning of a message.
    fn encode_alert(&mut self) {
        while self.rustls.wants_write()
            && let Ok(ConnectionState::EncodeTlsData(data)) =
                (self.rustls.process_tls_records(&mut self.incoming)).state
        {
            append(data, &mut self.unsent);
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
        self.encode(piece.len() + SEAL_BYTES_MAX, |traffic, room| {
            traffic.encrypt(piece, room)
        })
    }

    /// Says that nothing else will be sent, once.
    pub(super) fn seal_end(&mut self) {
        if !self.is_shut {
            self.is_shut = self.encode(SEAL_BYTES_MAX, |traffic, room| {
                traffic.queue_close_notify(room)
            });
        }
    }

    fn encode(
        &mut self,
        bytes_max: usize,
        encode: impl FnOnce(&mut Writing, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> bool {
        if self.fault.is_some() || self.is_shut {
            return false;
        }
        // Nothing is decrypted here: all that was whole was decrypted when it came.
        let status = self.rustls.process_tls_records(&mut self.incoming);
        let Ok(ConnectionState::WriteTraffic(mut traffic)) = status.state else {
            return false;
        };
        let begin = self.unsent.len();
        self.unsent.resize(begin + bytes_max, 0);
        let encoded = encode(&mut traffic, &mut self.unsent[begin..]);
        self.unsent
            .truncate(begin + *encoded.as_ref().unwrap_or(&0));
        encoded.is_ok()
    }
}

/// Appends what rustls says itself.
fn append(mut data: EncodeTlsData<ServerConnectionData>, to: &mut Vec<u8>) {
    let begin = to.len();
    if let Err(EncodeError::InsufficientSize(size)) = data.encode(&mut []) {
        to.resize(begin + size.required_size, 0);
        // It has said how much it needs.
        let _ = data.encode(&mut to[begin..]);
    }
}

type Writing<'c> = WriteTraffic<'c, ServerConnectionData>;
