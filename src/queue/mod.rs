//! A first-in-first-out queue through a table of slots: each slot is queued at most once, and any
//! slot can leave or change its number in constant time. Memory is bounded by the largest slot; of
//! those from [`SPARSE_FROM`] on, by how many are queued.

mod numbers;

pub(crate) use numbers::ByNumber;

/// Slots from here on are few at a time, wherever they lie: they are looked up, not tabled.
pub(crate) const SPARSE_FROM: u32 = 1 << 28;

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
    /// Those of queued slots from [`SPARSE_FROM`] on.
    sparse: ByNumber<Link>,
    first: u32,
    last: u32,
}

impl Default for SlotQueue {
    fn default() -> SlotQueue {
        SlotQueue {
            links: Vec::new(),
            sparse: ByNumber::default(),
            first: NONE,
            last: NONE,
        }
    }
}

impl SlotQueue {
    /// Room taken on the heap, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        let sparse = self.sparse.capacity() * (size_of::<(u32, Link)>() + 1);
        self.links.capacity() * size_of::<Link>() + sparse
    }

    /// The slot that has waited longest.
    pub(crate) fn first(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }

    /// The slot behind a queued one.
    pub(crate) fn after(&self, slot: u32) -> Option<u32> {
        let after = match slot < SPARSE_FROM {
            true => self.links[slot as usize].after,
            false => self.sparse[&slot].after,
        };
        (after != NONE).then_some(after)
    }

    /// Whether the slot is queued.
    pub(crate) fn contains(&self, slot: u32) -> bool {
        match slot < SPARSE_FROM {
            true => (self.links.get(slot as usize)).is_some_and(|link| link.after != slot),
            false => self.sparse.contains_key(&slot),
        }
    }

    /// Gives back the room of slots from this one on, none of which is queued.
    pub(crate) fn shrink_to(&mut self, slots: usize) {
        debug_assert!((slots..self.links.len()).all(|slot| !self.contains(slot as u32)));
        self.links.truncate(slots);
        self.links.shrink_to_fit();
    }

    /// Puts the slot at the end, unless it is queued already; says whether it was put.
    pub(crate) fn push(&mut self, slot: u32) -> bool {
        if self.contains(slot) {
            return false;
        }
        let link = Link {
            before: self.last,
            after: NONE,
        };
        self.put(slot, link);
        self.link(self.last, slot);
        self.last = slot;
        true
    }

    /// Takes the slot out, wherever it stands; says whether it was queued.
    pub(crate) fn remove(&mut self, slot: u32) -> bool {
        let Some(Link { before, after }) = self.take(slot) else {
            return false;
        };
        self.link(before, after);
        true
    }

    /// Gives the place of slot `from`, if it is queued, to slot `to`, which is not.
    pub(crate) fn renumber(&mut self, from: u32, to: u32) {
        debug_assert!(!self.contains(to));
        if from == to {
            return;
        }
        let Some(Link { before, after }) = self.take(from) else {
            return;
        };
        self.put(to, Link { before, after });
        self.link(before, to);
        self.link(to, after);
    }

    fn put(&mut self, slot: u32, link: Link) {
        if slot >= SPARSE_FROM {
            self.sparse.insert(slot, link);
            return;
        }
        for unqueued in self.links.len() as u32..=slot {
            self.links.push(Link {
                before: unqueued,
                after: unqueued,
            });
        }
        self.links[slot as usize] = link;
    }

    /// Takes a slot's link out, if it is queued; its neighbours still point to it.
    fn take(&mut self, slot: u32) -> Option<Link> {
        if slot >= SPARSE_FROM {
            return self.sparse.remove(&slot);
        }
        let unqueued = Link {
            before: slot,
            after: slot,
        };
        let link = self.links.get_mut(slot as usize)?;
        (link.after != slot).then(|| std::mem::replace(link, unqueued))
    }

    /// The link of a slot that is queued.
    fn at(&mut self, slot: u32) -> &mut Link {
        match slot < SPARSE_FROM {
            true => &mut self.links[slot as usize],
            false => (self.sparse.get_mut(&slot)).expect("a neighbour is queued"),
        }
    }

    /// Makes two slots, or the ends, neighbours.
    fn link(&mut self, before: u32, after: u32) {
        match before {
            NONE => self.first = after,
            before => self.at(before).after = after,
        }
        match after {
            NONE => self.last = before,
            after => self.at(after).before = before,
        }
    }
}

#[cfg(test)]
mod model;
