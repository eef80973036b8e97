//! The bytes of the connection whose turn it is: read into one shared room, or collected by their
//! connection where a frame takes many reads. Knows no frames.

use std::io::{self, Read, Write};

use super::stream::{Received, Stream};

/// Most bytes asked for in one read(2).
const READ_BYTES_MAX: usize = 16 * 1024;

/// What is read and not consumed, of one connection at a time.
///
/// However much a connection has collected, a turn takes it and gives it back as it is, and what
/// arrives is appended: no event costs more for what came before it.
#[derive(Debug)]
pub(super) struct Intake {
    room: Box<[u8]>,
    /// How much of the room is in use; nothing while anything is collected.
    room_end: usize,
    /// What its connection has collected.
    collected: Vec<u8>,
    /// How much is consumed, of the one or the other.
    at: usize,
    /// How much the last read brought.
    fresh: usize,
}

impl Default for Intake {
    fn default() -> Intake {
        Intake {
            room: vec![0; READ_BYTES_MAX].into_boxed_slice(),
            room_end: 0,
            collected: Vec::new(),
            at: 0,
            fresh: 0,
        }
    }
}

impl Intake {
    /// Begins with what a connection has collected.
    pub(super) fn begin(&mut self, collected: Vec<u8>) {
        self.collected = collected;
        self.room_end = 0;
        self.at = 0;
        self.fresh = 0;
    }

    /// What is not consumed, to be collected by its connection; nothing takes no memory.
    pub(super) fn end(&mut self) -> Vec<u8> {
        let rest = match self.at {
            0 if !self.collected.is_empty() => std::mem::take(&mut self.collected),
            // At most what the last reads brought behind the end of a frame.
            _ => self.rest().to_vec(),
        };
        self.begin(Vec::new());
        rest
    }

    /// What is read and not consumed.
    pub(super) fn rest(&self) -> &[u8] {
        match self.collected.is_empty() {
            true => &self.room[self.at..self.room_end],
            false => &self.collected[self.at..],
        }
    }

    /// How much of it, at its end, came with the last read of this turn.
    pub(super) fn fresh(&self) -> usize {
        self.fresh.min(self.rest().len())
    }

    /// Consumes bytes of [`Intake::rest`].
    pub(super) fn consume(&mut self, bytes: usize) {
        self.at += bytes;
        if self.rest().is_empty() {
            self.begin(Vec::new());
        }
    }

    /// read(2), behind what there is.
    pub(super) fn read(
        &mut self,
        stream: &mut Stream<impl Read + Write>,
        hung_up: bool,
    ) -> io::Result<Received> {
        if self.room_end > 0 || self.at > 0 {
            let rest = self.end();
            self.begin(rest);
        }
        let received = stream.read(&mut self.room, hung_up)?;
        if let Received::Bytes { count, .. } = received {
            self.fresh = count;
            match self.collected.is_empty() {
                true => self.room_end = count,
                false => self.collected.extend_from_slice(&self.room[..count]),
            }
        }
        Ok(received)
    }
}
