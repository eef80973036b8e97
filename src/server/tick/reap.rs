//! The step in which connections die. Nothing else removes one.

use std::process::ExitCode;

use log::{Level, log};

use crate::relay::Authority;
use crate::server::connections::ConnectionId;
use crate::server::parts::Server;
use crate::server::waits::Wait;
use crate::server::wire::close::CloseReason;
use crate::server::work::end_cost_us;

impl Server {
    /// Ends the connections whose time has come, as far as the tick's budget goes, and the server
    /// when all are gone.
    pub(in crate::server) fn reap(&mut self) {
        self.work.begin();
        while self.work.has_more()
            && let Some((id, reason)) = self.queues.next_end()
        {
            let follows = self.follows_of(id);
            self.work.spend(end_cost_us(follows));
            self.end(id, reason);
        }
        if let Some(drain) = &self.drain {
            let now = self.now.monotonic;
            let waits = drain.waits_for_newcomers(now);
            let all_told = (self.connections.iter_mut())
                .all(|(_, entry)| !waits && entry.connection.is_waiting_for_request());
            if drain.is_over(now) || all_told {
                self.stopped = self.stopped.or(Some(ExitCode::SUCCESS));
            }
        }
        if self.stopped.is_some() {
            let ids: Vec<ConnectionId> = self.connections.iter_mut().map(|(id, _)| id).collect();
            for id in ids {
                self.end_with_process(id);
            }
        }
    }

    fn end(&mut self, id: ConnectionId, reason: CloseReason) {
        let Some(entry) = self.connections.get_mut(id) else {
            return;
        };
        self.queues.serve(Wait::End, entry);
        // What it asked for and was not carried out yet is not carried out behind its goodbye.
        entry.postponed = None;
        if self.queues.unhold(entry) {
            // A failure is found again when the close frame is written.
            let _ = self.flush_connection(id);
        }
        let Some(entry) = self.connections.get_mut(id) else {
            return;
        };
        if let Some(member) = entry.authority.member() {
            self.door.leave(id, entry);
            self.relay.leave(member);
            entry.authority = Authority::default();
        }
        if entry.connection.close(reason, self.now.monotonic) && self.flush_connection(id).is_ok() {
            return;
        }
        self.remove(id, reason);
    }

    /// Ends a connection with the process: a last word, if its socket takes one at once.
    fn end_with_process(&mut self, id: ConnectionId) {
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
        let Some(mut entry) = self.connections.remove(id) else {
            return;
        };
        self.queues.unhold(&mut entry);
        self.door.leave_http(&mut entry);
        self.queues.forget_resting(id);
        // A descriptor is free for one that could not be accepted.
        self.listeners.is_acceptable |= self.listeners.has_failed;
        let reason = entry.connection.ending().unwrap_or(reason);
        self.metrics.close(reason);
        // Health checks and scrapes come all the time.
        let level = match reason {
            CloseReason::Answered => Level::Debug,
            _ => Level::Info,
        };
        let cause = match (reason, entry.connection.tls_fault()) {
            (CloseReason::TlsFailed, Some(fault)) => format!(" cause={:?}", fault.to_string()),
            _ => String::new(),
        };
        let open_for = (self.now.monotonic).saturating_duration_since(entry.accepted_at);
        log!(
            level,
            "close id={} peer={} reason={}{cause} open_s={:.1} received={} sent={}",
            id.serial(),
            entry.peer,
            reason.word(),
            open_for.as_secs_f64(),
            entry.received,
            entry.sent
        );
    }
}
