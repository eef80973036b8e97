//! The marks of one outbox: what is owed that says, when it goes, what is true by then. And the
//! bytes that are gathered for one write. Knows no clock and no message.

use std::ops::Range;

use crate::queue::{ByNumber, SPARSE_FROM, SlotQueue};

/// Most bytes gathered for one write(2).
pub(super) const WRITE_BYTES_MAX: usize = 256 * 1024;

/// Most bytes gathered for one write(2) to a socket that is behind: what is handed to the kernel
/// can no longer be replaced by something newer.
const CATCH_UP_BYTES_MAX: usize = 4 * 1024;

/// What a short trail counts as, in bytes of a long one: for its last points all are read.
const TRAIL_COST_BYTES_MIN: usize = 512;

/// What is owed that says, when it goes, what is true by then. A slot from `SPARSE_FROM` on is that
/// of a user who is followed because everyone is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// How many follow the connection's user.
    Audience,
    /// Presence of the user in this slot.
    Presence(u32),
    /// The same of the user in this slot if it is one of everyone.
    Introduction(u32),
    /// The trail of the user in this slot, from this time on (milliseconds since 1970).
    Trail(u32, u64),
    /// The same of one of everyone.
    CoveredTrail(u32, u64),
    /// The last known position of the user in this slot, with its age.
    LastKnown(u32),
    /// The same of one of everyone; without the age if nothing was known when everyone was followed.
    Whereabouts(u32),
    /// The newest position of the user in this slot.
    Newest(u32),
}

/// What is owed about one follow: presence goes first, then the trail, then the position.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Owed {
    pub(super) presence: bool,
    pub(super) trail: bool,
    /// Whether that is owed from a time on.
    pub(super) is_trail_recent: bool,
    pub(super) position: bool,
    /// Whether the position is owed as a last known one.
    with_age: bool,
}

/// What is owed beyond `wire` as marks, because the socket takes no more or because it falls due
/// as one.
#[derive(Debug, Default)]
pub(super) struct Behind {
    pub(super) audience: bool,
    /// Slots of the follows about which something is owed, in the order in which they fell due.
    pub(super) marks: SlotQueue,
    /// What that is, by slot.
    owed: Vec<Owed>,
    /// The same of slots from `SPARSE_FROM` on.
    pub(super) sparse: ByNumber<Owed>,
    /// Slots whose presence is owed as an introduction, whoever is there.
    pub(super) introductions: Range<u32>,
    /// Slots whose last known position is owed, as far as there is one.
    pub(super) whereabouts: Range<u32>,
    /// Slots whose trail is owed, as far as there is one: before the last known position of each.
    pub(super) trails: Range<u32>,
    /// Whether these are owed from a time on.
    pub(super) are_trails_recent: bool,
    /// The time from which on trails are owed that are not owed whole: the earliest of those asked for.
    from_ms: Option<u64>,
    /// Whether the socket took no more, or more trails were owed than were allowed.
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
    /// Bytes of trails that may still be gathered for all connections together.
    trail_bytes_left: usize,
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

    /// Lets so many bytes of trails be gathered from now on, and the one that they end in.
    pub fn allow_trails(&mut self, bytes: usize) {
        self.trail_bytes_left = bytes;
    }

    /// Whether another trail may be gathered.
    pub fn allows_trails(&self) -> bool {
        self.trail_bytes_left > 0
    }
}

/// What is true now about a mark: appends the frame, or says that there is none any more.
pub trait Newest: FnMut(Mark, &mut Vec<u8>) -> bool {}
impl<F: FnMut(Mark, &mut Vec<u8>) -> bool> Newest for F {}

impl Behind {
    /// Collects what the marks stand for, up to what one write should carry and as long as trails are
    /// allowed; says whether that is all.
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
        // All presence before the first position.
        if !self.gather_introductions(bytes_max, gather, newest)
            || !self.gather_whereabouts(bytes_max, gather, newest)
        {
            return false;
        }
        let covered = self.covered();
        let mut next = self.marks.first();
        while let Some(slot) = next
            && gather.bytes.len() < bytes_max
        {
            next = self.marks.after(slot);
            let owed = self.owed(slot);
            let is_gathered = !owed.position && self.whereabouts.contains(&slot);
            let tells_trail = owed.trail && (owed.position || !covered.contains(&slot));
            if tells_trail && !gather.allows_trails() {
                return false;
            }
            if owed.presence && !is_gathered {
                self.gather_mark(Mark::Presence(slot), gather, newest);
            }
            if tells_trail {
                let from_ms = self.first_ms(owed.is_trail_recent);
                self.gather_mark(Mark::Trail(slot, from_ms), gather, newest);
            }
            if owed.with_age {
                self.gather_mark(Mark::LastKnown(slot), gather, newest);
            } else if owed.position {
                self.gather_mark(Mark::Newest(slot), gather, newest);
            }
        }
        next.is_none()
    }

    /// The time from which on a trail is owed.
    pub(super) fn first_ms(&self, is_recent: bool) -> u64 {
        self.from_ms.filter(|_| is_recent).unwrap_or_default()
    }

    /// Notes that a trail is owed from this time on; says whether that is a part of it.
    pub(super) fn note_from(&mut self, from_ms: u64) -> bool {
        if from_ms == 0 {
            return false;
        }
        let earliest = self.from_ms.unwrap_or(from_ms);
        self.from_ms = Some(earliest.min(from_ms));
        true
    }

    pub(super) fn gather_mark(
        &mut self,
        mark: Mark,
        gather: &mut Gather,
        newest: &mut impl Newest,
    ) {
        if !gather_if_any(mark, gather, newest) {
            self.unmark(mark);
        }
    }

    /// What is owed about a follow.
    pub(super) fn owed(&self, slot: u32) -> Owed {
        let owed = match slot < SPARSE_FROM {
            true => self.owed.get(slot as usize),
            false => self.sparse.get(&slot),
        };
        owed.copied().unwrap_or_default()
    }

    /// Whether a position is owed as a mark, which says the newest.
    pub(super) fn owes_position(&self, slot: u32) -> bool {
        self.whereabouts.contains(&slot) || self.owed(slot).position
    }

    /// The same of presence.
    pub(super) fn owes_presence(&self, slot: u32) -> bool {
        self.introductions.contains(&slot) || self.owed(slot).presence
    }

    /// The same of a trail.
    pub(super) fn owes_trail(&self, slot: u32) -> bool {
        self.trails.contains(&slot) || self.owed(slot).trail
    }

    /// What is owed about a follow, about which something is now.
    fn mark(&mut self, slot: u32) -> &mut Owed {
        self.marks.push(slot);
        if slot >= SPARSE_FROM {
            return self.sparse.entry(slot).or_default();
        }
        let index = slot as usize;
        if self.owed.len() <= index {
            self.owed.resize(index + 1, Owed::default());
        }
        &mut self.owed[index]
    }

    pub(super) fn mark_presence(&mut self, slot: u32) {
        if !self.introductions.contains(&slot) {
            self.mark(slot).presence = true;
        }
    }

    /// Owes a trail from this time on; one that is owed whole stays so.
    pub(super) fn mark_trail(&mut self, slot: u32, from_ms: u64) {
        let is_recent = self.note_from(from_ms);
        if self.trails.contains(&slot) && (is_recent || !self.are_trails_recent) {
            return;
        }
        let owed = self.mark(slot);
        owed.is_trail_recent = is_recent && (owed.is_trail_recent || !owed.trail);
        owed.trail = true;
    }

    /// Owes a last known position; `false` if a position was owed already.
    pub(super) fn mark_last_known(&mut self, slot: u32) -> bool {
        let owed = self.mark(slot);
        owed.with_age = true;
        !std::mem::replace(&mut owed.position, true)
    }

    /// Owes a newest position; `false` if one was owed already.
    pub(super) fn mark_position(&mut self, slot: u32) -> bool {
        !self.owes_position(slot) && !std::mem::replace(&mut self.mark(slot).position, true)
    }

    /// Takes off a mark whose frame the socket took, or began to take: after all that was gathered
    /// before it.
    pub(super) fn settle(&mut self, mark: Mark) {
        if let Mark::Trail(slot, _) = mark
            && self.trails.contains(&slot)
        {
            // It went in the place of the one of the range, in order or behind all of it.
            self.trails.start = slot + 1;
        }
        if let Mark::LastKnown(_) | Mark::Newest(_) = mark {
            // These are gathered behind all whereabouts.
            (self.trails, self.whereabouts) = Default::default();
        }
        self.unmark(mark);
    }

    fn unmark(&mut self, mark: Mark) {
        let slot = match mark {
            Mark::Audience => {
                self.audience = false;
                return;
            }
            Mark::Introduction(slot) => {
                self.introductions.start = slot + 1;
                return;
            }
            Mark::CoveredTrail(slot, _) => {
                self.trails.start = slot + 1;
                return;
            }
            Mark::Whereabouts(slot) => {
                self.whereabouts.start = slot + 1;
                // Those that there were went before it.
                self.trails.start = self.trails.start.max(slot + 1);
                return;
            }
            Mark::Presence(slot)
            | Mark::Trail(slot, _)
            | Mark::LastKnown(slot)
            | Mark::Newest(slot) => slot,
        };
        let mut owed = self.owed(slot);
        match mark {
            Mark::Presence(_) => owed.presence = false,
            Mark::Trail(..) => owed.trail = false,
            _ => (owed.position, owed.with_age) = (false, false),
        }
        if owed.presence || owed.trail || owed.position {
            *self.mark(slot) = owed;
        } else {
            self.marks.remove(slot);
            self.take(slot);
        }
    }

    /// Has all that is owed about a user be owed about another slot, about which nothing is.
    pub(super) fn rename(&mut self, from: u32, to: u32, with_age: Option<bool>) {
        if self.introductions.contains(&from) {
            self.mark(from).presence = true;
        }
        if self.trails.contains(&from) && !self.owed(from).trail {
            let is_recent = self.are_trails_recent;
            let owed = self.mark(from);
            (owed.trail, owed.is_trail_recent) = (true, is_recent);
        }
        if let Some(with_age) = with_age
            && self.whereabouts.contains(&from)
            && !self.owed(from).position
        {
            let owed = self.mark(from);
            (owed.position, owed.with_age) = (true, with_age);
        }
        if self.marks.contains(from) {
            self.marks.renumber(from, to);
            let owed = self.take(from);
            *self.mark(to) = owed;
        }
    }

    /// Forgets what is owed about a follow that ended; that in slot `renumbered` takes its slot.
    pub(super) fn unfollow(&mut self, slot: u32, renumbered: u32) {
        self.marks.remove(slot);
        self.marks.renumber(renumbered, slot);
        self.take(slot);
        if slot == renumbered {
            return;
        }
        let moved = self.take(renumbered);
        if let Some(owed) = self.owed.get_mut(slot as usize) {
            *owed = moved;
        }
    }

    fn take(&mut self, slot: u32) -> Owed {
        if slot >= SPARSE_FROM {
            return self.sparse.remove(&slot).unwrap_or_default();
        }
        let owed = self.owed.get_mut(slot as usize);
        owed.map(std::mem::take).unwrap_or_default()
    }

    /// Room taken on the heap beyond its own, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        let sparse = self.sparse.capacity() * (size_of::<(u32, Owed)>() + 1);
        let owed = self.owed.capacity() * size_of::<Owed>();
        self.marks.heap_bytes() + owed + sparse + self.pong.capacity()
    }
}

/// Appends what is true now about a mark, if anything is, and says whether.
pub(super) fn gather_if_any(mark: Mark, gather: &mut Gather, newest: &mut impl Newest) -> bool {
    let start = gather.bytes.len();
    let is_any = newest(mark, &mut gather.bytes);
    if is_any {
        let end = gather.bytes.len();
        if let Mark::Trail(..) | Mark::CoveredTrail(..) = mark {
            let cost = (end - start).max(TRAIL_COST_BYTES_MIN);
            gather.trail_bytes_left = gather.trail_bytes_left.saturating_sub(cost);
        }
        gather.frames.push((Gathered::Mark(mark), end));
    }
    is_any
}
