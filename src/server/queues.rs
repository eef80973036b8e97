//! Who waits for which step of the tick. Each connection waits for a step at most once: that it
//! waits is written down in its entry, by the queues alone.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::connections::{ConnectionId, Connections, Entry};
use super::postponed::Postponed;
use super::waits::Wait;
use super::wire::close::CloseReason;
use crate::queue::SlotQueue;

/// The queues of the tick's steps.
#[derive(Debug)]
pub(super) struct Queues {
    turns: Vec<ConnectionId>,
    works: VecDeque<ConnectionId>,
    flushes: Vec<ConnectionId>,
    held: Vec<ConnectionId>,
    /// How many of them still wait for the release.
    held_count: usize,
    ends: VecDeque<(ConnectionId, CloseReason)>,
    /// Slots of connections that were kept for another request, the longest kept first.
    resting: SlotQueue,
    flush_interval: Duration,
    release_at: Instant,
}

impl Queues {
    /// Empty queues, with this time from a release to the next.
    pub(super) fn new(flush_interval: Duration, now: Instant) -> Queues {
        Queues {
            turns: Vec::new(),
            works: VecDeque::new(),
            flushes: Vec::new(),
            held: Vec::new(),
            held_count: 0,
            ends: VecDeque::new(),
            resting: SlotQueue::default(),
            flush_interval,
            release_at: now + flush_interval,
        }
    }

    /// Has a connection wait for a turn.
    pub(super) fn add_turn(&mut self, id: ConnectionId, entry: &mut Entry) {
        if entry.waits.add(Wait::Turn) {
            self.turns.push(id);
        }
    }

    /// Has a connection wait for costly work to be carried out.
    pub(super) fn postpone(&mut self, id: ConnectionId, entry: &mut Entry, work: Postponed) {
        entry.postponed = Some(Box::new(work));
        if entry.waits.add(Wait::Work) {
            self.works.push_back(id);
        }
    }

    /// The same with work that was begun, which comes before all that was not: what is begun takes
    /// more room.
    pub(super) fn postpone_first(&mut self, id: ConnectionId, entry: &mut Entry, work: Postponed) {
        entry.postponed = Some(Box::new(work));
        if entry.waits.add(Wait::Work) {
            self.works.push_front(id);
        }
    }

    /// Whether some connection waits for that.
    pub(super) fn has_work(&self) -> bool {
        !self.works.is_empty()
    }

    /// The connection that has waited longest for that.
    pub(super) fn next_work(&mut self) -> Option<ConnectionId> {
        self.works.pop_front()
    }

    /// Has a connection wait to be flushed.
    pub(super) fn add_flush(&mut self, id: ConnectionId, entry: &mut Entry) {
        if entry.waits.add(Wait::Flush) {
            self.flushes.push(id);
        }
    }

    /// Has a connection, if it waits to be flushed, do so behind all others.
    pub(super) fn flush_last(&mut self, id: ConnectionId) {
        if let Some(at) = self.flushes.iter().position(|waiting| *waiting == id) {
            self.flushes[at..].rotate_left(1);
        }
    }

    /// Has a connection wait for the next release.
    pub(super) fn hold(&mut self, id: ConnectionId, entry: &mut Entry) {
        if entry.waits.add(Wait::Release) {
            self.held.push(id);
            self.held_count += 1;
        }
    }

    /// Has a connection no longer wait for the release; says whether it did.
    pub(super) fn unhold(&mut self, entry: &mut Entry) -> bool {
        let was_held = entry.waits.remove(Wait::Release);
        self.held_count -= usize::from(was_held);
        was_held
    }

    /// Says that what a connection waited for has come.
    pub(super) fn serve(&mut self, wait: Wait, entry: &mut Entry) {
        debug_assert!(wait != Wait::Release, "it is counted");
        entry.waits.remove(wait);
    }

    /// Has a connection wait for its end; the first reason counts.
    pub(super) fn add_end(&mut self, id: ConnectionId, entry: &mut Entry, reason: CloseReason) {
        if entry.waits.add(Wait::End) {
            self.ends.push_back((id, reason));
        }
    }

    /// Has a connection rest until it has another request.
    pub(super) fn rest(&mut self, id: ConnectionId) {
        self.resting.remove(id.slot());
        self.resting.push(id.slot());
    }

    /// Says that a connection rests no longer.
    pub(super) fn forget_resting(&mut self, id: ConnectionId) {
        self.resting.remove(id.slot());
    }

    /// The slot of the connection that has rested longest, or has rested once.
    pub(super) fn next_resting(&mut self) -> Option<u32> {
        let slot = self.resting.first()?;
        self.resting.remove(slot);
        Some(slot)
    }

    /// Those whose turn it is. Who is added from now on has the next one.
    pub(super) fn take_turns(&mut self) -> Vec<ConnectionId> {
        std::mem::take(&mut self.turns)
    }

    /// Those to be flushed now.
    pub(super) fn take_flushes(&mut self) -> Vec<ConnectionId> {
        std::mem::take(&mut self.flushes)
    }

    /// The connection that has waited longest for its end.
    pub(super) fn next_end(&mut self) -> Option<(ConnectionId, CloseReason)> {
        self.ends.pop_front()
    }

    /// Whether positions are held back for some connection.
    pub(super) fn holds_any(&self) -> bool {
        self.held_count > 0
    }

    /// Has those who are held wait to be flushed, if it is time.
    pub(super) fn release_if_due(&mut self, connections: &mut Connections, now: Instant) {
        if now >= self.release_at {
            self.release(connections, now);
        }
    }

    /// Has those who are held wait to be flushed.
    pub(super) fn release(&mut self, connections: &mut Connections, now: Instant) {
        self.release_at = now + self.flush_interval;
        for id in std::mem::take(&mut self.held) {
            if let Some(entry) = connections.get_mut(id)
                && self.unhold(entry)
            {
                self.add_flush(id, entry);
            }
        }
    }

    /// When somebody is to be served next.
    pub(super) fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let has_some = !self.turns.is_empty() || !self.flushes.is_empty() || !self.ends.is_empty();
        if has_some || self.has_work() {
            return Some(now);
        }
        self.holds_any().then_some(self.release_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_flushed_last_is_behind_all_others_and_they_keep_their_order() {
        let ids: Vec<ConnectionId> = (0..4).map(ConnectionId::from_bits).collect();
        let waiting = |count: usize| {
            let mut queues = Queues::new(Duration::ZERO, Instant::now());
            queues.flushes = ids[..count].to_vec();
            queues
        };
        for (last, order) in [
            (0, [1, 2, 0]),
            (1, [0, 2, 1]),
            (2, [0, 1, 2]),
            // It does not wait.
            (3, [0, 1, 2]),
        ] {
            let mut queues = waiting(3);
            queues.flush_last(ids[last]);
            assert_eq!(queues.take_flushes(), order.map(|at| ids[at]), "{last}");
        }
        let mut queues = waiting(0);
        queues.flush_last(ids[0]);
        assert_eq!(queues.take_flushes(), []);
    }
}
