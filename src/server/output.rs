//! The step of the tick that writes.

use std::net::Shutdown;

use super::close::CloseReason;
use super::connections::ConnectionId;
use super::{Server, apply};

impl Server {
    /// Sends what is owed, most often in one write for each connection that is owed something.
    pub(super) fn flush(&mut self) {
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
        let (hub, now) = (&self.hub, self.now.monotonic);
        let message = &mut self.message;
        let newest =
            |slot: u32, with_age: bool, out: &mut Vec<u8>| match hub.newest(id.slot(), slot, now) {
                None => false,
                Some((position, age)) => {
                    apply::append_newest(position, with_age.then_some(age), message, out);
                    true
                }
            };
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
