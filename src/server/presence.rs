//! What is told of runners besides their positions: presence and audience.

use super::Server;
use super::connections::ConnectionId;
use crate::protocol::Refusal;

/// Last known positions that turn stale in one tick, so that a million of them delay nobody.
const STALE_PER_TICK_MAX: usize = 1000;

/// Runners whose audience is told in one tick.
const AUDIENCES_PER_TICK_MAX: usize = 1000;

impl Server {
    /// Makes last known positions stale that are old enough, before anybody is told of them.
    pub(super) fn grow_stale(&mut self) {
        let time = (self.now.monotonic).checked_sub(self.config.stale_after);
        self.is_growing_stale =
            time.is_some_and(|time| self.hub.stale_before(time, STALE_PER_TICK_MAX));
    }

    /// Begins or ends presence for what a connection follows.
    pub(super) fn ask_presence(&mut self, id: ConnectionId, asks: bool) {
        if !self.hub.ask_presence(id.slot(), asks) {
            return;
        }
        let Some(entry) = self.connections.get_mut(id) else {
            return;
        };
        for slot in 0..self.hub.following(id.slot()) as u32 {
            entry.connection.outbox.push_presence(slot);
            // What goes out for a few bytes takes longer than many messages do.
            self.is_turn_over = true;
        }
        self.mark_dirty(id);
    }

    /// Begins or ends telling a connection how many follow its user.
    pub(super) fn ask_audience(&mut self, id: ConnectionId, wants: bool) -> Result<(), Refusal> {
        if wants && self.hub.declared(id.slot()).is_none() {
            return Err(Refusal::AudienceOfNobody);
        }
        if self.hub.ask_audience(id.slot(), wants)
            && let Some(entry) = self.connections.get_mut(id)
        {
            entry.connection.outbox.push_audience();
            self.mark_dirty(id);
        }
        Ok(())
    }

    /// Owes presence and audiences that changed to those who asked for them. To be called before
    /// anybody is flushed, so that a position which makes its runner live goes out behind the
    /// word of it, and before follows change, so that what changed earlier is told to those who
    /// followed then.
    pub(super) fn tell(&mut self) {
        for runner in self.hub.take_changed() {
            for follower in self.hub.followers(runner) {
                if !self.hub.asks_presence(follower.connection) {
                    continue;
                }
                let Some((id, entry)) = self.connections.by_slot(follower.connection) else {
                    continue;
                };
                // One that leaves gets what it is owed, and then nothing more.
                if entry.connection.ending().is_some() {
                    continue;
                }
                entry.connection.outbox.push_presence(follower.slot);
                if !std::mem::replace(&mut entry.is_dirty, true) {
                    self.dirty.push(id);
                }
            }
        }
        for connection in (self.hub).due_audiences(self.now.monotonic, AUDIENCES_PER_TICK_MAX) {
            if let Some((id, entry)) = self.connections.by_slot(connection)
                && entry.connection.ending().is_none()
            {
                entry.connection.outbox.push_audience();
                self.mark_dirty(id);
            }
        }
    }
}
