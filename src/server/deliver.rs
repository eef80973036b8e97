//! From the relay to the outboxes: positions to followers, and what members are owed.

use super::parts::Server;
use super::wire::outbox::Pushed;
use crate::protocol::{encode_last_known, encode_position};
use crate::relay::{Debt, MemberKey, Owed, RunnerKey};

impl Server {
    /// Owes a runner's newest position to all who follow it.
    pub(super) fn deliver(&mut self, runner: RunnerKey) {
        let followers = self.relay.followers(runner);
        if followers.is_empty() {
            return;
        }
        let Some(known) = self.relay.known(runner, self.now.monotonic) else {
            return;
        };
        let outgoing = &mut self.outgoing;
        outgoing.message.clear();
        encode_position(&known, &mut outgoing.message);
        let frame = outgoing.frames.push(&outgoing.message);
        outgoing.pushes += followers.len();
        let is_draining = self.drain.is_some();
        let hold = !self.config.flush_interval.is_zero() && !is_draining;
        for follower in followers {
            let Some((id, entry)) = self.connections.by_member(follower.member) else {
                continue;
            };
            if is_draining && entry.connection.ending().is_some() {
                continue;
            }
            match entry.connection.outbox.push(frame, follower.slot) {
                Pushed::Due | Pushed::Marked => {}
                Pushed::Conflated => self.metrics.positions_conflated += 1,
                Pushed::First if hold => self.queues.hold(id, entry),
                Pushed::First => self.queues.add_flush(id, entry),
            }
        }
    }

    /// Forgets where a runner is who said goodbye. What is on its way goes out first: a position
    /// behind the word that there is none would be that of a runner who came back.
    pub(super) fn forget(&mut self, runner: RunnerKey) {
        if self.outgoing.pushes > 0 {
            (self.queues).release(&mut self.connections, self.now.monotonic);
            self.flush();
        }
        self.relay.forget(runner);
    }

    /// Hands what the relay owes to the outboxes of those whom it owes it.
    pub(super) fn settle(&mut self) {
        for debt in self.relay.take_debts() {
            self.settle_one(debt);
        }
    }

    fn settle_one(&mut self, Debt { member, owed }: Debt) {
        let Some((id, entry)) = self.connections.by_member(member) else {
            return;
        };
        let is_ending = entry.connection.ending().is_some();
        let outbox = &mut entry.connection.outbox;
        match owed {
            Owed::Ended { slot, renumbered } => {
                // What is held for it goes out before what it is told of this.
                outbox.unfollow(slot, renumbered);
                self.queues.unhold(entry);
            }
            Owed::LastKnown { slot, .. } if outbox.is_behind() => outbox.mark_last_known(slot),
            Owed::LastKnown { slot, runner } => {
                return self.deliver_last_known(member, slot, runner);
            }
            // One that leaves gets what it is owed, and then nothing more.
            Owed::Presence(_) | Owed::Audience if is_ending => return,
            Owed::Presence(slot) => outbox.push_presence(slot),
            Owed::Audience => outbox.push_audience(),
        }
        self.queues.add_flush(id, entry);
    }

    /// Owes a follower that takes bytes a last known position as a frame of this tick, so that it
    /// comes before what is published next.
    fn deliver_last_known(&mut self, member: MemberKey, slot: u32, runner: RunnerKey) {
        let known = self.relay.known(runner, self.now.monotonic);
        let Some((known, (id, entry))) = known.zip(self.connections.by_member(member)) else {
            return;
        };
        let outgoing = &mut self.outgoing;
        outgoing.message.clear();
        encode_last_known(&known, &mut outgoing.message);
        outgoing.pushes += 1;
        let frame = outgoing.frames.push(&outgoing.message);
        entry.connection.outbox.push_with_age(frame, slot);
        // What is held for it goes along, for it may be older.
        self.queues.unhold(entry);
        self.queues.add_flush(id, entry);
    }
}
