//! What one connection waits for: a few bits in its entry.

/// What a connection may wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// A turn of reads.
    Turn = 1,
    /// Its outbox to be flushed, at the end of this tick.
    Flush = 2,
    /// The same at the end of the flush interval.
    Release = 4,
    /// Its end.
    End = 8,
    /// Its costly input to be carried out.
    Work = 16,
}

/// What one connection waits for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Waits(u8);

impl Waits {
    /// Whether it waits for this.
    pub(super) fn has(self, wait: Wait) -> bool {
        self.0 & wait as u8 != 0
    }

    /// Says that it waits for this, and whether that is new.
    pub(super) fn add(&mut self, wait: Wait) -> bool {
        let is_new = !self.has(wait);
        self.0 |= wait as u8;
        is_new
    }

    /// Says that it waits for this no longer, and whether it did.
    pub(super) fn remove(&mut self, wait: Wait) -> bool {
        let did = self.has(wait);
        self.0 &= !(wait as u8);
        did
    }
}
