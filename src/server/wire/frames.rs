//! Positions as WebSocket frames, encoded once for all who will get them. Knows no connection.

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};

/// Room that is kept between ticks, in bytes.
const SPARE_BYTES_MAX: usize = 256 * 1024;

/// Positions encoded as WebSocket frames, once each, for all who will get them.
#[derive(Debug)]
pub struct Frames {
    bytes: Vec<u8>,
    /// Where each frame begins; behind the last frame, where it ends.
    starts: Vec<usize>,
}

impl Default for Frames {
    fn default() -> Frames {
        Frames {
            bytes: Vec::new(),
            starts: vec![0],
        }
    }
}

impl Frames {
    /// Adds a text frame and says its number.
    pub fn push(&mut self, message: &[u8]) -> u32 {
        append_text_frame(message, &mut self.bytes);
        self.starts.push(self.bytes.len());
        self.starts.len() as u32 - 2
    }

    /// Their size together.
    pub fn bytes_len(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets all of them, once no outbox owes one any more.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(SPARE_BYTES_MAX);
        self.starts.truncate(1);
        self.starts.shrink_to(SPARE_BYTES_MAX / 64);
    }

    /// One frame's bytes.
    pub fn frame(&self, number: u32) -> &[u8] {
        self.range(number, number)
    }

    /// The bytes of the frames from one to another, both included.
    pub fn range(&self, first: u32, last: u32) -> &[u8] {
        &self.bytes[self.starts[first as usize]..self.starts[last as usize + 1]]
    }
}

/// Appends an unmasked text frame (RFC 6455, 5.2).
pub fn append_text_frame(message: &[u8], out: &mut Vec<u8>) {
    let header = FrameHeader {
        opcode: OpCode::Data(Data::Text),
        ..FrameHeader::default()
    };
    // A write into a Vec cannot fail.
    let _ = header.format(message.len() as u64, out);
    out.extend_from_slice(message);
}
