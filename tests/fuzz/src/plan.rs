//! Arbitrary bytes as a plan of what happens to one connection.

use spectate::server::wire::close::CloseReason;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::OpCode;

use super::script::{MESSAGE_BYTES_MAX, request};

/// Users that the connection may follow.
pub(crate) const SLOTS: usize = 8;

/// Most bytes that a peer sends in one plan.
const STREAM_BYTES_MAX: usize = 512 * 1024;

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    /// The peer's bytes arrive, in one piece.
    Arrive(Vec<u8>),
    /// The peer shuts its side, or resets the connection; nothing arrives after it.
    End,
    Reset,
    /// A turn of reads, of so many messages at most.
    Turn(usize),
    /// From now on the socket takes so many bytes.
    Room(usize),
    /// A flush, which may hold positions back.
    Flush(bool),
    /// A position of the user in this slot, so many bytes longer than need be.
    Position(usize, usize),
    /// The last known position of the user in this slot.
    LastKnown(usize),
    /// Presence of the user in this slot.
    Presence(usize),
    /// The user's position is known no longer.
    Forget(usize),
    /// An error about a message.
    Error(usize),
    /// So many milliseconds pass, and deadlines are looked at.
    Pass(u64),
    Close(CloseReason),
    Leave,
}

/// Reads a plan. All bytes mean something, and a change of one changes little.
pub(crate) fn read(bytes: &[u8]) -> Vec<Operation> {
    let mut tape = Tape(bytes);
    let mut operations = Vec::new();
    let mut stream_bytes = 0;
    let mut has_ended = false;
    // Most plans begin with a handshake: few bytes are one by chance.
    if tape.byte() % 8 != 0 {
        operations.push(Operation::Arrive(request().to_vec()));
        operations.push(Operation::Turn(1));
    }
    while !tape.0.is_empty() {
        let operation = operation(&mut tape);
        match &operation {
            Operation::Arrive(bytes) if has_ended || bytes.is_empty() => continue,
            Operation::Arrive(bytes) if stream_bytes + bytes.len() > STREAM_BYTES_MAX => continue,
            Operation::Arrive(bytes) => stream_bytes += bytes.len(),
            Operation::End | Operation::Reset if has_ended => continue,
            Operation::End | Operation::Reset => has_ended = true,
            _ => {}
        }
        operations.push(operation);
    }
    operations
}

/// The peer's bytes, all together.
pub(crate) fn stream(operations: &[Operation]) -> Vec<u8> {
    let mut stream = Vec::new();
    for operation in operations {
        if let Operation::Arrive(bytes) = operation {
            stream.extend_from_slice(bytes);
        }
    }
    stream
}

fn operation(tape: &mut Tape) -> Operation {
    match tape.byte() % 22 {
        0 | 1 => Operation::Arrive(tape.piece().to_vec()),
        2..=4 => {
            let first = tape.byte();
            Operation::Arrive(frame(first, tape.piece()))
        }
        5 => {
            let first = tape.byte();
            let times = usize::from(tape.byte()) + 1;
            Operation::Arrive(frame(first, tape.piece()).repeat(times))
        }
        6 => {
            let first = tape.byte();
            let length = MESSAGE_BYTES_MAX + 8 - usize::from(tape.byte() % 16);
            let payload = tape.piece().iter().copied().cycle().take(length);
            Operation::Arrive(frame(first, &payload.collect::<Vec<u8>>()))
        }
        7 => cut(tape),
        8 | 9 => Operation::Turn(usize::from(tape.byte() % 64) + 1),
        10 => Operation::Room(match tape.byte() {
            few @ ..192 => usize::from(few),
            many @ ..240 => usize::from(many) * 64,
            _ => usize::MAX,
        }),
        11 => Operation::Flush(tape.byte() % 4 == 3),
        12 | 13 => {
            let slot = usize::from(tape.byte()) % SLOTS;
            Operation::Position(slot, tape.length())
        }
        14 => Operation::LastKnown(usize::from(tape.byte()) % SLOTS),
        15 => Operation::Forget(usize::from(tape.byte()) % SLOTS),
        16 => Operation::Error(usize::from(tape.byte()) * 32),
        17 => Operation::Pass(u64::from(tape.byte()) * 250),
        18 => match tape.byte() % 8 {
            0 => Operation::Leave,
            1 => Operation::Close(CloseReason::Restarting),
            2 => Operation::Close(CloseReason::PeerClosed(None)),
            3 => Operation::Close(CloseReason::BadMessages),
            4 => Operation::Close(CloseReason::SocketError),
            _ => Operation::Leave,
        },
        21 => {
            let first = tape.byte();
            Operation::Arrive(stretched(frame(first, tape.piece())))
        }
        20 => Operation::Presence(usize::from(tape.byte()) % SLOTS),
        _ => match tape.byte() % 8 {
            0 => Operation::End,
            1 => Operation::Reset,
            _ => Operation::Turn(64),
        },
    }
}

/// A frame that is cut in the middle, as its first half: the next piece may be its second.
fn cut(tape: &mut Tape) -> Operation {
    let first = tape.byte();
    let mut bytes = frame(first, tape.piece());
    let at = usize::from(tape.byte()) % bytes.len();
    bytes.truncate(at.max(1));
    Operation::Arrive(bytes)
}

/// A frame as a client sends it, with this first byte.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let header = FrameHeader {
        is_final: first & 0x80 != 0,
        rsv1: first & 0x40 != 0,
        rsv2: first & 0x20 != 0,
        rsv3: first & 0x10 != 0,
        opcode: OpCode::from(first & 0x0f),
        mask: Some(mask),
    };
    let mut bytes = Vec::new();
    header
        .format(payload.len() as u64, &mut bytes)
        .expect("a write into a Vec");
    bytes.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    bytes
}

/// The same frame with its length in 16 bits, which up to 125 are too many.
fn stretched(mut frame: Vec<u8>) -> Vec<u8> {
    let length = frame[1] & 0x7f;
    if length < 126 {
        frame[1] |= 126;
        frame.splice(2..2, [0, length]);
    }
    frame
}

/// Bytes read one after the other; behind the last come zeros.
pub(crate) struct Tape<'a>(pub(crate) &'a [u8]);

impl<'a> Tape<'a> {
    pub(crate) fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            None => 0,
            Some((byte, rest)) => {
                self.0 = rest;
                *byte
            }
        }
    }

    /// As many bytes as the next one says, or as there are.
    fn piece(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.0.len());
        let (piece, rest) = self.0.split_at(length);
        self.0 = rest;
        piece
    }

    /// Mostly short, now and then longer than 16 bits can say.
    fn length(&mut self) -> usize {
        match self.byte() {
            255 => 70_000,
            few @ ..192 => usize::from(few),
            many => usize::from(many - 192) * 256,
        }
    }
}
