//! The steps of the tick in which things end: deadlines, the drain, and the one place where
//! connections die.

use std::process::ExitCode;

use log::{Level, debug, log, warn};
use signal_hook::consts::SIGHUP;

use super::close::CloseReason;
use super::connection::Due;
use super::connections::ConnectionId;
use super::drain::Drain;
use super::{FORGET_PER_TICK_MAX, SWEEP_INTERVAL, Server};

impl Server {
    pub(super) fn take_signals(&mut self) {
        let signals: Vec<i32> = self.signals.pending().collect();
        for signal in signals {
            if signal == SIGHUP {
                self.reload_keys();
                continue;
            }
            if self.drain.is_some() {
                warn!("second signal={signal} open={}", self.open);
                self.stopped = Some(ExitCode::FAILURE);
                continue;
            }
            debug!(
                "drain signal={signal} open={} longest_s={}",
                self.open,
                self.config.drain.as_secs()
            );
            self.end_demo();
            self.listeners.clear();
            self.acceptable = false;
            let open = self
                .connections
                .iter_mut()
                .filter(|(_, entry)| entry.connection.is_open());
            let ids = open.map(|(id, _)| id).collect();
            self.drain = Some(Drain::new(ids, self.now.monotonic, self.config.drain));
            self.release();
        }
    }

    /// Does what is due by time: deadlines, forgetting, the steps of a drain.
    pub(super) fn expire(&mut self) {
        let now = self.now.monotonic;
        if let Some(drain) = &mut self.drain {
            for id in drain.due(now) {
                if let Some(entry) = self.connections.get_mut(id) {
                    entry.connection.leave(CloseReason::Restarting, now);
                    self.mark_dirty(id);
                }
            }
        }
        if self.forgetting {
            self.forget();
        }
        // What a connection is judged by may stand in the next batch of events.
        if now < self.next_sweep || self.more_events {
            return;
        }
        self.next_sweep = now + SWEEP_INTERVAL;
        // A connection that could not be accepted may be by now.
        self.acceptable = !self.listeners.is_empty();
        self.accept_failed = false;
        for (id, entry) in self.connections.iter_mut() {
            match entry.connection.expire(&self.timeouts, now) {
                Ok(Due::Nothing) => {}
                Ok(Due::Flush) if entry.is_dirty => {}
                Ok(Due::Flush) => {
                    entry.is_dirty = true;
                    self.dirty.push(id);
                }
                Err(_) if entry.is_doomed => {}
                // Its socket may take bytes again: the flush of this tick will tell.
                Err(CloseReason::Stalled) if entry.is_dirty => {}
                Err(reason) => {
                    entry.is_doomed = true;
                    self.doomed.push((id, reason));
                }
            }
        }
        self.expire_grants();
        self.connections.shrink();
        self.look_after_demo();
        self.forget();
    }

    fn forget(&mut self) {
        let time = self.now.monotonic.checked_sub(self.config.forget_after);
        self.forgetting =
            time.is_some_and(|time| self.hub.forget_before(time, FORGET_PER_TICK_MAX));
    }

    /// Ends connections. Nothing else does.
    pub(super) fn reap(&mut self) {
        for (id, reason) in std::mem::take(&mut self.doomed) {
            let Some(entry) = self.connections.get_mut(id) else {
                continue;
            };
            entry.is_doomed = false;
            if std::mem::take(&mut entry.is_held) {
                // A failure is found again when the close frame is written.
                let _ = self.flush_connection(id);
            }
            let Some(entry) = self.connections.get_mut(id) else {
                continue;
            };
            if entry.connection.is_open() {
                self.hub.leave(id.slot());
                self.open -= 1;
                self.per_address.remove(entry.peer.ip());
            }
            if entry.connection.close(reason, self.now.monotonic)
                && self.flush_connection(id).is_ok()
            {
                continue;
            }
            self.remove(id, reason);
        }
        if let Some(drain) = &self.drain {
            let over = drain.is_over(self.now.monotonic);
            if over
                || self
                    .connections
                    .iter_mut()
                    .all(|(_, entry)| entry.connection.is_handshaking())
            {
                self.stopped = self.stopped.or(Some(ExitCode::SUCCESS));
            }
        }
        if self.stopped.is_some() {
            let ids: Vec<ConnectionId> = self.connections.iter_mut().map(|(id, _)| id).collect();
            for id in ids {
                self.part(id);
            }
        }
    }

    /// Ends a connection with the process: a last word, if its socket takes one at once.
    fn part(&mut self, id: ConnectionId) {
        let now = self.now.monotonic;
        if let Some(entry) = self.connections.get_mut(id)
            && entry.connection.close(CloseReason::Restarting, now)
        {
            let _ = self.flush_connection(id);
        }
        self.remove(id, CloseReason::Restarting);
    }

    fn remove(&mut self, id: ConnectionId, reason: CloseReason) {
        // Its descriptor leaves epoll when it is closed (epoll(7), Q6).
        let Some(entry) = self.connections.remove(id) else {
            return;
        };
        // A descriptor is free for one that could not be accepted.
        self.acceptable |= self.accept_failed;
        let reason = entry.connection.ending().unwrap_or(reason);
        *self.metrics.closed.entry(reason.word()).or_default() += 1;
        // Health checks and scrapes come all the time.
        let level = match reason {
            CloseReason::Answered => Level::Debug,
            _ => Level::Info,
        };
        log!(
            level,
            "close id={} peer={} reason={} open_s={:.1} received={} sent={}",
            id.serial(),
            entry.peer,
            reason.word(),
            self.now
                .monotonic
                .saturating_duration_since(entry.accepted_at)
                .as_secs_f64(),
            entry.received,
            entry.sent
        );
    }

    /// Ends the connection with this tick; the first reason counts.
    pub(super) fn doom(&mut self, id: ConnectionId, reason: CloseReason) {
        let Some(entry) = self.connections.get_mut(id) else {
            return;
        };
        if !std::mem::replace(&mut entry.is_doomed, true) {
            self.doomed.push((id, reason));
        }
    }
}
