//! The step that writes.

use std::net::Shutdown;
use std::time::Instant;

use crate::protocol::{
    encode_audience, encode_last_known, encode_position, encode_presence, encode_trail,
};
use crate::relay::{MemberKey, Relay};
use crate::server::connections::ConnectionId;
use crate::server::parts::Server;
use crate::server::waits::Wait;
use crate::server::wire::close::CloseReason;
use crate::server::wire::frames::append_text_frame;
use crate::server::wire::outbox::Mark;

impl Server {
    /// Sends what is owed, most often in one write for each connection that is owed something.
    pub(in crate::server) fn flush(&mut self) {
        let now = self.now.monotonic;
        self.sync();
        self.relay.owe_changes(now);
        self.settle();
        self.announce();
        // Before anybody is answered: who knows that its follow is in force counts on the next position.
        self.tell();
        self.queues.release_if_due(&mut self.connections, now);
        let mut had_trails = None;
        for id in self.queues.take_flushes() {
            let allowed_trails = self.outgoing.gather.allows_trails();
            if let Err(reason) = self.flush_connection(id)
                && let Some(entry) = self.connections.get_mut(id)
            {
                self.queues.add_end(id, entry, reason);
            }
            if allowed_trails && !self.outgoing.gather.allows_trails() {
                had_trails = Some(id);
            }
        }
        if let Some(id) = had_trails {
            // The others have theirs first in the next tick.
            self.queues.flush_last(id);
        }
        if !self.queues.holds_any() {
            self.outgoing.clear();
        }
    }

    pub(in crate::server) fn flush_connection(
        &mut self,
        id: ConnectionId,
    ) -> Result<(), CloseReason> {
        let Some(entry) = self.connections.get_mut(id) else {
            return Ok(());
        };
        self.queues.serve(Wait::Flush, entry);
        let (relay, member, now) = (
            &mut self.relay,
            entry.authority.member(),
            self.now.monotonic,
        );
        let outgoing = &mut self.outgoing;
        let message = &mut outgoing.message;
        let newest = |mark: Mark, out: &mut Vec<u8>| {
            member.is_some_and(|member| append_mark(relay, member, mark, now, message, out))
        };
        let hold = entry.waits.has(Wait::Release);
        let flushed =
            (entry.connection).flush(&outgoing.frames, hold, &mut outgoing.gather, newest, now)?;
        entry.sent += flushed.positions as u64;
        self.metrics.bytes_sent += flushed.bytes as u64;
        self.metrics.positions_delivered += flushed.positions as u64;
        self.metrics.positions_conflated += flushed.conflated as u64;
        if flushed.paused {
            self.queues.add_flush(id, entry);
        }
        let left = entry.connection.has_left();
        if entry.connection.is_finished() {
            // The peer's reset would be found by the next read.
            let _ = entry.connection.socket_mut().shutdown(Shutdown::Write);
            entry.is_hung_up = true;
            self.queues.add_turn(id, entry);
        }
        if entry.connection.has_answered(self.now.monotonic) {
            self.queues.rest(id);
            self.queues.add_turn(id, entry);
        }
        if let Some(reason) = left {
            self.queues.add_end(id, entry, reason);
        }
        Ok(())
    }
}

/// Appends what is true now about a mark of a member's, as a frame; `false` if there is nothing to
/// say any more. `message` is room to write in.
fn append_mark(
    relay: &mut Relay,
    member: MemberKey,
    mark: Mark,
    now: Instant,
    message: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> bool {
    message.clear();
    let known =
        match mark {
            Mark::Audience => {
                (relay.take_audience(member, now)).map(|count| encode_audience(count, message))
            }
            Mark::Presence(slot) => (relay.say_presence(member, slot, now))
                .map(|presence| encode_presence(&presence, message)),
            Mark::Introduction(slot) => (relay.introduce(member, slot, now))
                .map(|presence| encode_presence(&presence, message)),
            Mark::Trail(slot, from_ms) | Mark::CoveredTrail(slot, from_ms) => {
                (relay.say_trail(member, slot, from_ms)).map(|trail| encode_trail(trail, message))
            }
            Mark::Whereabouts(slot) if relay.is_news(member, slot) => (relay
                .say_position(member, slot, now))
            .map(|known| encode_position(&known, message)),
            Mark::LastKnown(slot) | Mark::Whereabouts(slot) => (relay
                .say_position(member, slot, now))
            .map(|known| encode_last_known(&known, message)),
            Mark::Newest(slot) => (relay.say_position(member, slot, now))
                .map(|known| encode_position(&known, message)),
        };
    if known.is_some() {
        append_text_frame(message, out);
    }
    known.is_some()
}
