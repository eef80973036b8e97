//! The marks of one outbox: what is owed that says, when it goes, what is true by then. And the
//! bytes that are gathered for one write. Knows no clock and no message.

use crate::queue::SlotQueue;

/// Most bytes gathered for one write(2).
pub(super) const WRITE_BYTES_MAX: usize = 256 * 1024;

/// Most bytes gathered for one write(2) to a socket that is behind: what is handed to the kernel
/// can no longer be replaced by something newer.
const CATCH_UP_BYTES_MAX: usize = 4 * 1024;

/// What is owed that says, when it goes, what is true by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// How many follow the connection's user.
    Audience,
    /// Presence of the user in this slot.
    Presence(u32),
    /// The last known position of the user in this slot, with its age.
    LastKnown(u32),
    /// The newest position of the user in this slot.
    Newest(u32),
}

/// What is owed about one follow: presence goes before the position.
#[derive(Clone, Copy, Debug, Default)]
struct Owed {
    presence: bool,
    position: bool,
    /// Whether the position is owed as a last known one.
    with_age: bool,
}

/// What is owed beyond `wire` as marks, because the socket takes no more or because it falls due
/// as one.
#[derive(Debug, Default)]
pub(super) struct Behind {
    pub(super) audience: bool,
    /// Slots of the follows about which something is owed, in the order in which they fell due.
    marks: SlotQueue,
    /// What that is, by slot.
    owed: Vec<Owed>,
    /// Whether the socket took no more.
    pub(super) blocked: bool,
    /// The answer to the newest ping.
    pub(super) pong: Vec<u8>,
}

/// One write's bytes, gathered from several places; shared by all connections.
#[derive(Debug, Default)]
pub struct Gather {
    pub(super) bytes: Vec<u8>,
    /// What each frame is, and where in `bytes` it ends.
    pub(super) frames: Vec<(Gathered, usize)>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Gathered {
    Pong,
    Mark(Mark),
    /// A position that is no mark.
    Due,
}

impl Gather {
    pub(super) fn start(&mut self, with: &[u8]) {
        self.bytes.clear();
        self.frames.clear();
        self.bytes.extend_from_slice(with);
    }
}

/// What is true now about a mark: appends the frame, or says that there is none any more.
pub trait Newest: FnMut(Mark, &mut Vec<u8>) -> bool {}
impl<F: FnMut(Mark, &mut Vec<u8>) -> bool> Newest for F {}

impl Behind {
    /// Collects what the marks stand for, up to what one write should carry; says whether that is
    /// all.
    pub(super) fn gather(&mut self, gather: &mut Gather, newest: &mut impl Newest) -> bool {
        if !self.pong.is_empty() {
            gather.bytes.extend_from_slice(&self.pong);
            gather.frames.push((Gathered::Pong, gather.bytes.len()));
        }
        if self.audience {
            self.gather_mark(Mark::Audience, gather, newest);
        }
        let bytes_max = if self.blocked {
            CATCH_UP_BYTES_MAX
        } else {
            WRITE_BYTES_MAX
        };
        let mut next = self.marks.first();
        while let Some(slot) = next
            && gather.bytes.len() < bytes_max
        {
            next = self.marks.after(slot);
            let owed = self.owed[slot as usize];
            if owed.presence {
                self.gather_mark(Mark::Presence(slot), gather, newest);
            }
            if owed.with_age {
                self.gather_mark(Mark::LastKnown(slot), gather, newest);
            } else if owed.position {
                self.gather_mark(Mark::Newest(slot), gather, newest);
            }
        }
        next.is_none()
    }

    fn gather_mark(&mut self, mark: Mark, gather: &mut Gather, newest: &mut impl Newest) {
        if newest(mark, &mut gather.bytes) {
            let end = gather.bytes.len();
            gather.frames.push((Gathered::Mark(mark), end));
        } else {
            self.unmark(mark);
        }
    }

    /// What is owed about a follow, about which something is now.
    fn mark(&mut self, slot: u32) -> &mut Owed {
        let index = slot as usize;
        if self.owed.len() <= index {
            self.owed.resize(index + 1, Owed::default());
        }
        self.marks.push(slot);
        &mut self.owed[index]
    }

    pub(super) fn mark_presence(&mut self, slot: u32) {
        self.mark(slot).presence = true;
    }

    /// Owes a last known position; `false` if a position was owed already.
    pub(super) fn mark_last_known(&mut self, slot: u32) -> bool {
        let owed = self.mark(slot);
        owed.with_age = true;
        !std::mem::replace(&mut owed.position, true)
    }

    /// Owes a newest position; `false` if one was owed already.
    pub(super) fn mark_position(&mut self, slot: u32) -> bool {
        !std::mem::replace(&mut self.mark(slot).position, true)
    }

    pub(super) fn unmark(&mut self, mark: Mark) {
        let slot = match mark {
            Mark::Audience => {
                self.audience = false;
                return;
            }
            Mark::Presence(slot) | Mark::LastKnown(slot) | Mark::Newest(slot) => slot,
        };
        let owed = &mut self.owed[slot as usize];
        match mark {
            Mark::Presence(_) => owed.presence = false,
            _ => (owed.position, owed.with_age) = (false, false),
        }
        if !owed.presence && !owed.position {
            self.marks.remove(slot);
        }
    }

    /// Forgets what is owed about a follow that ended; that in slot `renumbered` takes its slot.
    pub(super) fn unfollow(&mut self, slot: u32, renumbered: u32) {
        self.marks.remove(slot);
        self.marks.renumber(renumbered, slot);
        self.take(slot);
        let moved = self.take(renumbered);
        if let Some(owed) = self.owed.get_mut(slot as usize) {
            *owed = moved;
        }
    }

    fn take(&mut self, slot: u32) -> Owed {
        let owed = self.owed.get_mut(slot as usize);
        owed.map(std::mem::take).unwrap_or_default()
    }

    /// Room taken on the heap beyond its own, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        self.marks.heap_bytes() + self.owed.capacity() * size_of::<Owed>() + self.pong.capacity()
    }
}
