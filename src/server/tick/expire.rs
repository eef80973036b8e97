//! The step that does what is due: what signals ask for, the steps of a drain, tokens, deadlines.

use std::process::ExitCode;

use log::{debug, warn};
use signal_hook::consts::{SIGHUP, SIGTERM};

use crate::server::drain::Drain;
use crate::server::os::parent::Parent;
use crate::server::parts::Server;
use crate::server::waits::Wait;
use crate::server::wire::close::CloseReason;

impl Server {
    /// Does what is due by now.
    pub(in crate::server) fn expire(&mut self) {
        let now = self.now.monotonic;
        if std::mem::take(&mut self.have_signals_come) {
            self.take_signals();
        }
        if let Some(drain) = &mut self.drain {
            for id in drain.due(now) {
                if let Some(entry) = self.connections.get_mut(id) {
                    entry.connection.leave(CloseReason::Restarting, now);
                    self.queues.add_flush(id, entry);
                }
            }
        }
        self.expire_tokens();
        if self.sweep.is_due(self.is_batch_full, now) {
            self.listeners.retry();
            self.expire_connections();
            self.connections.shrink();
            self.look_after_demo();
            self.look_at_certificate();
        }
    }

    pub(in crate::server) fn look_at_certificate(&mut self) {
        if let Some(certificate) = &mut self.certificate {
            certificate.look_at_end(self.now);
        }
    }

    fn look_after_demo(&mut self) {
        let Some(demo) = &mut self.demo else {
            return;
        };
        if self.drain.is_none() {
            demo.look_after(self.now.monotonic);
        } else if demo.has_ended() {
            self.demo = None;
        }
    }

    /// Does what the signals that came ask for.
    fn take_signals(&mut self) {
        let mut signals: Vec<i32> = self.signals.pending().collect();
        if self.parent.as_mut().is_some_and(Parent::is_gone) {
            self.parent = None;
            signals.push(SIGTERM);
        }
        for signal in signals {
            if signal == SIGHUP {
                self.reload();
            } else if self.drain.is_some() {
                warn!("second signal={signal} open={}", self.door.open());
                self.stopped = Some(ExitCode::FAILURE);
            } else {
                self.begin_drain(signal);
            }
        }
    }

    /// Reads again what was read at the start: each file for itself, all of it or nothing.
    fn reload(&mut self) {
        if self.door.asks_for_tokens() {
            self.door.reload_keys();
        }
        if let Some(roster) = self.roster.reload() {
            self.relay.set_roster(roster);
        }
        if let Some(course) = &mut self.course {
            course.reload();
        }
        if let Some(certificate) = &mut self.certificate {
            certificate.reload();
        }
    }

    fn begin_drain(&mut self, signal: i32) {
        debug!(
            "drain signal={signal} open={} longest_s={}",
            self.door.open(),
            self.config.drain.as_secs()
        );
        if let Some(demo) = &mut self.demo {
            demo.end();
        }
        self.accept_the_last();
        self.listeners.close();
        let open = (self.connections.iter_mut()).filter(|(_, entry)| entry.connection.is_open());
        let ids = open.map(|(id, _)| id).collect();
        let now = self.now.monotonic;
        self.drain = Some(Drain::new(ids, now, self.config.drain));
        self.queues.release(&mut self.connections, now);
    }

    fn expire_tokens(&mut self) {
        for id in self.door.take_expired(self.now) {
            if let Some(entry) = self.connections.get_mut(id)
                && let Some(reason) = self.door.why_not_stay(entry, self.now)
            {
                self.queues.add_end(id, entry, reason);
            }
        }
    }

    /// Looks at the deadline of each connection.
    fn expire_connections(&mut self) {
        let (timeouts, now) = (self.config.timeouts(), self.now.monotonic);
        for (id, entry) in self.connections.iter_mut() {
            match entry.connection.expire(&timeouts, now) {
                Ok(false) => {}
                Ok(true) => self.queues.add_flush(id, entry),
                // It waits for us: whether its body is welcome, or its TLS handshake.
                Err(CloseReason::BodyTimeout | CloseReason::HandshakeTimeout)
                    if entry.postponed.is_some() => {}
                // Its socket may take bytes again: the flush of this tick will tell.
                Err(CloseReason::Stalled) if entry.waits.has(Wait::Flush) => {}
                Err(reason) => self.queues.add_end(id, entry, reason),
            }
        }
    }
}
