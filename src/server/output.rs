//! The step of the tick that writes.

use std::net::Shutdown;
use std::time::Instant;

use super::Server;
use super::close::CloseReason;
use super::connections::ConnectionId;
use super::frames::append_text_frame;
use super::outbox::Mark;
use crate::hub::Hub;
use crate::protocol::{encode_audience, encode_last_known, encode_presence};

impl Server {
    /// Sends what is owed, most often in one write for each connection that is owed something.
    pub(super) fn flush(&mut self) {
        self.tell();
        if self.now.monotonic >= self.next_release {
            self.release();
        }
        for id in std::mem::take(&mut self.dirty) {
            if let Err(reason) = self.flush_connection(id) {
                self.doom(id, reason);
            }
        }
        if self.held.is_empty() {
            self.frames.clear();
            self.pushes = 0;
        }
    }

    /// Lets held positions go with the next flush.
    pub(super) fn release(&mut self) {
        self.next_release = self.now.monotonic + self.config.flush_interval;
        for id in std::mem::take(&mut self.held) {
            if let Some(entry) = self.connections.get_mut(id) {
                entry.is_held = false;
            }
            self.mark_dirty(id);
        }
    }

    pub(super) fn flush_connection(&mut self, id: ConnectionId) -> Result<(), CloseReason> {
        let Some(entry) = self.connections.get_mut(id) else {
            return Ok(());
        };
        entry.is_dirty = false;
        let (hub, now) = (&mut self.hub, self.now.monotonic);
        let message = &mut self.message;
        let newest =
            |mark: Mark, out: &mut Vec<u8>| append_mark(hub, id.slot(), mark, now, message, out);
        let flushed =
            entry
                .connection
                .flush(&self.frames, entry.is_held, &mut self.gather, newest, now)?;
        entry.sent += flushed.positions as u64;
        self.metrics.bytes_sent += flushed.bytes as u64;
        self.metrics.positions_delivered += flushed.positions as u64;
        self.metrics.positions_conflated += flushed.conflated as u64;
        let left = entry.connection.has_left();
        if entry.connection.is_finished() {
            // The peer's reset would be found by the next read.
            let _ = entry.connection.stream_mut().shutdown(Shutdown::Write);
            self.mark_readable(id, true);
        }
        if let Some(reason) = left {
            self.doom(id, reason);
        }
        Ok(())
    }
}

/// Appends what is true now about a mark of a connection, as a frame; `false` if there is nothing
/// to say any more. `message` is room to write in.
fn append_mark(
    hub: &mut Hub,
    connection: u32,
    mark: Mark,
    now: Instant,
    message: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> bool {
    message.clear();
    let known = match mark {
        Mark::Audience => {
            (hub.tell_audience(connection, now)).map(|count| encode_audience(count, message))
        }
        Mark::Presence(slot) => (hub.presence(connection, slot, now))
            .map(|presence| encode_presence(&presence, message)),
        Mark::LastKnown(slot) => (hub.newest(connection, slot, now))
            .map(|(position, age)| encode_last_known(position, age.as_secs_f64(), message)),
        Mark::Newest(slot) => (hub.newest(connection, slot, now))
            .map(|(position, _)| message.extend_from_slice(position)),
    };
    if known.is_some() {
        append_text_frame(message, out);
    }
    known.is_some()
}
