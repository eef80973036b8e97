//! What goes out with this tick, encoded once for all who will get it.

use super::wire::frames::Frames;
use super::wire::outbox::Gather;

/// Frames that may pile up before they are flushed, whatever the flush interval.
const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Positions owed that may pile up before they are flushed, over all connections.
const PUSHES_MAX: usize = 256 * 1024;

/// Bytes of trails that are written in one tick, to all connections together: a few milliseconds.
const TRAIL_BYTES_MAX: usize = 512 * 1024;

/// The frames that outboxes owe, and room to write in.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    pub(super) frames: Frames,
    /// How often one of the frames was put into an outbox.
    pub(super) pushes: usize,
    pub(super) gather: Gather,
    /// A message being written.
    pub(super) message: Vec<u8>,
}

impl Outgoing {
    /// Begins a tick.
    pub(super) fn begin(&mut self) {
        self.gather.allow_trails(TRAIL_BYTES_MAX);
    }

    /// Whether so much is owed that it is to be flushed before more is read.
    pub(super) fn is_much(&self) -> bool {
        self.frames.bytes_len() > FRAME_BYTES_MAX || self.pushes > PUSHES_MAX
    }

    /// Forgets all frames, once no outbox owes one any more.
    pub(super) fn clear(&mut self) {
        self.frames.clear();
        self.pushes = 0;
    }
}
