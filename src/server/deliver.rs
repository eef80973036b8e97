//! From the relay to the outboxes: positions to followers, and what members are owed.

use super::parts::Server;
use super::wire::outbox::Pushed;
use crate::protocol::{encode_last_known, encode_position, encode_presence};
use crate::relay::{Debt, MemberKey, Owed, RunnerKey};

/// Where a position came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A client of this node.
    Here,
    /// Another node.
    Elsewhere,
}

impl Server {
    /// Owes a runner's newest position to all who follow it, and to the other nodes if it is from
    /// here.
    pub(super) fn deliver(&mut self, runner: RunnerKey, origin: Origin) {
        let is_for_others = self.nodes.is_some() && origin == Origin::Here;
        if self.relay.followers(runner).is_empty()
            && self.relay.followers_of_everyone() == 0
            && !is_for_others
        {
            return;
        }
        if self.nodes.is_some() {
            self.relay.read_by_move(runner);
            self.settle();
        }
        let everyones = self.relay.followers_of_everyone();
        if everyones > 0 {
            self.relay.owe_change_of(runner, self.now.monotonic);
            self.announce();
        }
        let followers = self.relay.followers(runner);
        let Some(known) = self.relay.known(runner, self.now.monotonic) else {
            return;
        };
        let outgoing = &mut self.outgoing;
        outgoing.message.clear();
        encode_position(&known, &mut outgoing.message);
        if let Some(nodes) = self.nodes.as_mut().filter(|_| is_for_others) {
            let fix_ms = known.fix.made_at_ms();
            nodes.publish(&self.relay.id(runner), fix_ms, &outgoing.message, self.now);
        }
        if followers.is_empty() && everyones == 0 {
            return;
        }
        let frame = outgoing.frames.push(&outgoing.message);
        outgoing.pushes += followers.len() + everyones;
        let is_draining = self.drain.is_some();
        let hold = !self.config.flush_interval.is_zero() && !is_draining;
        let (covered_slot, covering) = self.relay.covering(runner);
        let by_name = followers
            .iter()
            .map(|follower| (follower.member, follower.slot));
        for (member, slot) in by_name.chain(covering.map(|member| (member, covered_slot))) {
            let Some((id, entry)) = self.connections.by_member(member) else {
                continue;
            };
            if is_draining && entry.connection.ending().is_some() {
                continue;
            }
            match entry.connection.outbox.push(frame, slot) {
                Pushed::Due | Pushed::Marked => {}
                Pushed::Conflated => self.metrics.positions_conflated += 1,
                Pushed::First if hold => self.queues.hold(id, entry),
                Pushed::First => self.queues.add_flush(id, entry),
            }
        }
    }

    /// Hands presence of runners to all who follow everyone and asked for it: written once, for all are
    /// told the same.
    pub(super) fn announce(&mut self) {
        let hold = !self.config.flush_interval.is_zero() && self.drain.is_none();
        for runner in self.relay.take_announced() {
            let (slot, _) = self.relay.covering(runner);
            let (presence, watching) = self.relay.watching(runner, self.now.monotonic);
            let outgoing = &mut self.outgoing;
            outgoing.message.clear();
            encode_presence(&presence, &mut outgoing.message);
            let frame = outgoing.frames.push(&outgoing.message);
            for member in watching {
                let Some((id, entry)) = self.connections.by_member(member) else {
                    continue;
                };
                // One that leaves gets what it is owed, and then nothing more.
                if entry.connection.ending().is_some() {
                    continue;
                }
                outgoing.pushes += 1;
                let outbox = &mut entry.connection.outbox;
                if hold {
                    // Frames would wait for the release.
                    outbox.push_presence(slot);
                    self.queues.add_flush(id, entry);
                } else if outbox.push_announced(frame, slot) {
                    self.queues.add_flush(id, entry);
                }
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
            Owed::EveryoneEnded => {
                outbox.unfollow_everyone();
                self.queues.unhold(entry);
            }
            Owed::Named { from, to, with_age } => outbox.rename(from, to, with_age),
            Owed::EveryonesLastKnown(end) => {
                outbox.mark_everyones_last_known(end);
                self.queues.unhold(entry);
            }
            // The trail is a mark, and goes right before it.
            Owed::LastKnown { slot, .. } if outbox.is_behind() || outbox.owes_trail(slot) => {
                outbox.mark_last_known(slot);
                self.queues.unhold(entry);
            }
            Owed::LastKnown { slot, runner } => {
                return self.deliver_last_known(member, slot, runner);
            }
            // One that leaves gets what it is owed, and then nothing more.
            Owed::Presence(_) | Owed::EveryonesPresence(_) | Owed::Audience if is_ending => return,
            Owed::Trail { .. } | Owed::EveryonesTrails { .. } if is_ending => return,
            Owed::EveryonesPresence(end) => outbox.introduce_everyone(end),
            Owed::Trail { slot, from_ms } => outbox.mark_trail(slot, from_ms),
            Owed::EveryonesTrails { end, from_ms } => outbox.mark_everyones_trails(end, from_ms),
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
