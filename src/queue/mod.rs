//! A first-in-first-out queue through a table of slots: each slot is queued at most once, and any
//! slot can leave or change its number in constant time. Memory is bounded by the largest slot.

/// Marks the end of the queue, in either direction.
const NONE: u32 = u32::MAX;

/// A slot that is not queued points to itself, which no queued slot does.
#[derive(Clone, Copy, Debug)]
struct Link {
    before: u32,
    after: u32,
}

/// The queue. Slots are numbers below [`u32::MAX`], best small and dense.
#[derive(Clone, Debug)]
pub(crate) struct SlotQueue {
    links: Vec<Link>,
    first: u32,
    last: u32,
}

impl Default for SlotQueue {
    fn default() -> SlotQueue {
        SlotQueue {
            links: Vec::new(),
            first: NONE,
            last: NONE,
        }
    }
}

impl SlotQueue {
    /// Room taken on the heap, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.links.capacity() * size_of::<Link>()
    }

    /// The slot that has waited longest.
    pub(crate) fn first(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }

    /// The slot behind a queued one.
    pub(crate) fn after(&self, slot: u32) -> Option<u32> {
        let after = self.links[slot as usize].after;
        (after != NONE).then_some(after)
    }

    /// Whether the slot is queued.
    pub(crate) fn contains(&self, slot: u32) -> bool {
        self.links
            .get(slot as usize)
            .is_some_and(|link| link.after != slot)
    }

    /// Gives back the room of slots from this one on, none of which is queued.
    pub(crate) fn shrink_to(&mut self, slots: usize) {
        debug_assert!((slots..self.links.len()).all(|slot| !self.contains(slot as u32)));
        self.links.truncate(slots);
        self.links.shrink_to_fit();
    }

    /// Puts the slot at the end, unless it is queued already; says whether it was put.
    pub(crate) fn push(&mut self, slot: u32) -> bool {
        self.make_room(slot);
        if self.contains(slot) {
            return false;
        }
        self.links[slot as usize] = Link {
            before: self.last,
            after: NONE,
        };
        self.link(self.last, slot);
        self.last = slot;
        true
    }

    /// Takes the slot out, wherever it stands; says whether it was queued.
    pub(crate) fn remove(&mut self, slot: u32) -> bool {
        if !self.contains(slot) {
            return false;
        }
        let Link { before, after } = self.links[slot as usize];
        self.link(before, after);
        self.links[slot as usize] = Link {
            before: slot,
            after: slot,
        };
        true
    }

    /// Gives the place of slot `from`, if it is queued, to slot `to`, which is not.
    pub(crate) fn renumber(&mut self, from: u32, to: u32) {
        debug_assert!(!self.contains(to));
        if !self.contains(from) || from == to {
            return;
        }
        let Link { before, after } = self.links[from as usize];
        self.links[from as usize] = Link {
            before: from,
            after: from,
        };
        self.make_room(to);
        self.links[to as usize] = Link { before, after };
        self.link(before, to);
        self.link(to, after);
    }

    fn make_room(&mut self, slot: u32) {
        for unqueued in self.links.len() as u32..=slot {
            self.links.push(Link {
                before: unqueued,
                after: unqueued,
            });
        }
    }

    /// Makes two slots, or the ends, neighbours.
    fn link(&mut self, before: u32, after: u32) {
        match before {
            NONE => self.first = after,
            before => self.links[before as usize].after = after,
        }
        match after {
            NONE => self.last = before,
            after => self.links[after as usize].before = before,
        }
    }
}

#[cfg(test)]
mod model;
