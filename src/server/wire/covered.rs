//! What an outbox owes about those who are followed because everyone is: ranges of slots, whoever is
//! there. Knows no clock and no message.

use std::ops::Range;

use super::marks::{Behind, Gather, Mark, Newest, gather_if_any};
use crate::queue::SPARSE_FROM;

impl Behind {
    /// Collects all introductions that are owed, up to what one write should carry; says whether that is
    /// all.
    pub(super) fn gather_introductions(
        &mut self,
        bytes_max: usize,
        gather: &mut Gather,
        newest: &mut impl Newest,
    ) -> bool {
        let gathered = gather.frames.len();
        for slot in self.introductions.clone() {
            if gather.bytes.len() >= bytes_max {
                return false;
            }
            gather_if_any(Mark::Introduction(slot), gather, newest);
        }
        if gather.frames.len() == gathered {
            self.introductions = Range::default();
        }
        true
    }

    /// The same of all slots of which a trail or whereabouts are owed, and of what goes between them.
    pub(super) fn gather_whereabouts(
        &mut self,
        bytes_max: usize,
        gather: &mut Gather,
        newest: &mut impl Newest,
    ) -> bool {
        let gathered = gather.frames.len();
        let from_ms = self.first_ms(self.are_trails_recent);
        for slot in self.covered() {
            let owed = self.owed(slot);
            let tells_trail = match owed.trail {
                true => !owed.position,
                false => self.trails.contains(&slot),
            };
            if gather.bytes.len() >= bytes_max || (tells_trail && !gather.allows_trails()) {
                return false;
            }
            let is_told = self.whereabouts.contains(&slot) && !owed.position;
            if is_told && owed.presence {
                self.gather_mark(Mark::Presence(slot), gather, newest);
            }
            if tells_trail && owed.trail {
                let from_ms = self.first_ms(owed.is_trail_recent);
                self.gather_mark(Mark::Trail(slot, from_ms), gather, newest);
            } else if tells_trail {
                gather_if_any(Mark::CoveredTrail(slot, from_ms), gather, newest);
            }
            if is_told {
                gather_if_any(Mark::Whereabouts(slot), gather, newest);
            }
        }
        if gather.frames.len() == gathered {
            (self.trails, self.whereabouts) = Default::default();
        }
        true
    }

    /// Owes presence of everyone in slots below this.
    pub(super) fn introduce(&mut self, end: u32) {
        self.introductions = SPARSE_FROM..end;
    }

    /// Owes the last known positions of those.
    pub(super) fn owe_last_known(&mut self, end: u32) {
        self.whereabouts = SPARSE_FROM..end;
    }

    /// Owes the trails of those, from this time on; if they are owed whole they stay so.
    pub(super) fn owe_trails(&mut self, end: u32, from_ms: u64) {
        let were_whole = !self.trails.is_empty() && !self.are_trails_recent;
        self.trails = SPARSE_FROM..end;
        self.are_trails_recent = self.note_from(from_ms) && !were_whole;
        for owed in self.sparse.values_mut() {
            owed.is_trail_recent &= self.are_trails_recent;
        }
    }

    /// From the first slot of which a trail or whereabouts are owed to the last.
    pub(super) fn covered(&self) -> Range<u32> {
        hull(&self.trails, &self.whereabouts)
    }

    /// Forgets what is owed about those who are followed because everyone was.
    pub(super) fn forget_everyone(&mut self) {
        (self.introductions, self.whereabouts) = Default::default();
        self.trails = Range::default();
        for slot in std::mem::take(&mut self.sparse).into_keys() {
            self.marks.remove(slot);
        }
    }
}

/// From the first of two ranges' numbers to the last, where each may be empty.
fn hull(one: &Range<u32>, other: &Range<u32>) -> Range<u32> {
    match (one.is_empty(), other.is_empty()) {
        (true, _) => other.clone(),
        (_, true) => one.clone(),
        _ => one.start.min(other.start)..one.end.max(other.end),
    }
}
