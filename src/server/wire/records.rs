//! What rustls does with the records of a session, one step at a time: decrypts into the room that it
//! is given, encrypts behind what is unsent. Knows no session and no side of one.

use rustls::Error;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus};

/// More than encryption adds to a piece, and a change of keys before it.
const SEAL_BYTES_MAX: usize = 256;

/// Where a session puts things.
pub(super) struct Buffers<'a> {
    pub(super) room: &'a mut [u8],
    pub(super) plaintext: &'a mut Vec<u8>,
    pub(super) unsent: &'a mut Vec<u8>,
}

/// What rustls did, and with how much of what came.
pub(super) struct Step {
    pub(super) consumed: usize,
    pub(super) outcome: Result<Outcome, Error>,
}

pub(super) enum Outcome {
    /// So many bytes are in the room.
    Decrypted(usize),
    /// Part of a handshake, or an alert.
    Said,
    PeerClosed,
    /// It needs more from the peer, or from us.
    Waits,
}

impl Buffers<'_> {
    /// Does what the state asks for.
    pub(super) fn step<Data>(&mut self, status: UnbufferedStatus<'_, '_, Data>) -> Step {
        let UnbufferedStatus { mut discard, state } = status;
        let outcome = state.and_then(|state| {
            Ok(match state {
                ConnectionState::ReadTraffic(mut traffic) => {
                    let mut count = 0;
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        let fits = record.payload.len().min(self.room.len() - count);
                        let (now, later) = record.payload.split_at(fits);
                        self.room[count..count + fits].copy_from_slice(now);
                        self.plaintext.extend_from_slice(later);
                        count += fits;
                    }
                    Outcome::Decrypted(count)
                }
                ConnectionState::EncodeTlsData(data) => {
                    append(data, self.unsent);
                    Outcome::Said
                }
                ConnectionState::TransmitTlsData(data) => {
                    data.done();
                    Outcome::Said
                }
                ConnectionState::PeerClosed => Outcome::PeerClosed,
                _ => Outcome::Waits,
            })
        });
        Step {
            consumed: discard,
            outcome,
        }
    }
}

/// Appends what rustls says itself, if it has something to say.
pub(super) fn encode<Data>(status: UnbufferedStatus<'_, '_, Data>, to: &mut Vec<u8>) -> bool {
    match status.state {
        Ok(ConnectionState::EncodeTlsData(data)) => {
            append(data, to);
            true
        }
        _ => false,
    }
}

fn append<Data>(mut data: EncodeTlsData<'_, Data>, to: &mut Vec<u8>) {
    let begin = to.len();
    if let Err(EncodeError::InsufficientSize(size)) = data.encode(&mut []) {
        to.resize(begin + size.required_size, 0);
        // It has said how much it needs.
        let _ = data.encode(&mut to[begin..]);
    }
}

/// Encrypts a piece, or the word that there are no more, behind what is unsent; `false` if it is not
/// the time for that.
pub(super) fn encrypt<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    piece: Option<&[u8]>,
    unsent: &mut Vec<u8>,
) -> bool {
    let Ok(ConnectionState::WriteTraffic(mut traffic)) = status.state else {
        return false;
    };
    let begin = unsent.len();
    unsent.resize(begin + piece.map_or(0, <[u8]>::len) + SEAL_BYTES_MAX, 0);
    let room = &mut unsent[begin..];
    let encrypted = match piece {
        Some(piece) => traffic.encrypt(piece, room),
        None => traffic.queue_close_notify(room),
    };
    unsent.truncate(begin + *encrypted.as_ref().unwrap_or(&0));
    encrypted.is_ok()
}
