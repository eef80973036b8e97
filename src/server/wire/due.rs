//! One frame that an outbox owes, in eight bytes. Knows frames and follows by their numbers alone.

use crate::queue::SPARSE_FROM;

/// A frame that is owed, and what it is about: a kind in the top bits and a slot in the others, for
/// there may be many of these.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    pub(super) frame: u32,
    about: u32,
}

const _: () = assert!(size_of::<Due>() == 8);

// Slots are below this, and from this on as many again.
const _: () = assert!(2 * SPARSE_FROM <= 1 << Due::SLOT_BITS);

impl Due {
    const SLOT_BITS: u32 = 29;

    pub(super) fn new(frame: u32, about: About) -> Due {
        let (kind, slot) = match about {
            About::Position(slot) => (0, slot),
            About::LastKnown(slot) => (1, slot),
            About::Unfollowed => (2, 0),
            About::Error => (3, 0),
            About::Pong => (4, 0),
            About::Presence(slot) => (5, slot),
        };
        debug_assert!(slot >> Due::SLOT_BITS == 0, "follows are fewer");
        let about = kind << Due::SLOT_BITS | slot;
        Due { frame, about }
    }

    pub(super) fn about(self) -> About {
        let slot = self.about & ((1 << Due::SLOT_BITS) - 1);
        match self.about >> Due::SLOT_BITS {
            0 => About::Position(slot),
            1 => About::LastKnown(slot),
            2 => About::Unfollowed,
            3 => About::Error,
            4 => About::Pong,
            _ => About::Presence(slot),
        }
    }
}

/// What a frame that is due is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// A position of the user in this slot.
    Position(u32),
    /// The last known position of the user in this slot, with its age.
    LastKnown(u32),
    /// Presence of the user in this slot.
    Presence(u32),
    /// A position of a user who is followed no longer.
    Unfollowed,
    /// An error.
    Error,
    /// The answer to a ping of ours, not of WebSocket's.
    Pong,
}

/// How many of these are positions.
pub(super) fn positions(due: &[Due]) -> usize {
    let is_position = |due: &&Due| {
        matches!(
            due.about(),
            About::Position(_) | About::LastKnown(_) | About::Unfollowed
        )
    };
    due.iter().filter(is_position).count()
}
