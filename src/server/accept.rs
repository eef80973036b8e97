//! The step of the tick that accepts connections, within a budget.

use std::io::{self, ErrorKind};

use log::{debug, warn};
use mio::Interest;
use rustix::io::Errno;

use super::Server;
use super::close::CloseReason;
use super::connections::ConnectionId;

/// Connections accepted in one tick, so that a storm of them delays the others by little.
const ACCEPTS_PER_TICK_MAX: usize = 64;

impl Server {
    /// Accepts what waits, within this tick's budget.
    pub(super) fn accept(&mut self) {
        let mut budget = ACCEPTS_PER_TICK_MAX;
        let mut more = self.acceptable;
        let mut accepted = Vec::new();
        while more && budget > 0 {
            more = false;
            for listener in &self.listeners {
                match listener.accept() {
                    Ok((stream, peer)) => {
                        more = true;
                        budget = budget.saturating_sub(1);
                        self.metrics.accepted += 1;
                        let id = self.connections.insert(stream, peer, self.now.monotonic);
                        accepted.push(id);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    // It was the connection that failed, and others wait behind it (accept(2)).
                    Err(error) if !is_shortage(&error) => {
                        more = true;
                        budget = budget.saturating_sub(1);
                    }
                    // The next descriptor that is free, or the next sweep, tries again.
                    Err(error) if self.accept_failed => debug!("accept error=\"{error}\""),
                    Err(error) => {
                        self.accept_failed = true;
                        warn!("accept error=\"{error}\"");
                    }
                }
            }
        }
        self.acceptable = more;
        for id in accepted {
            self.watch(id);
        }
    }

    /// Has a connection's events reported.
    fn watch(&mut self, id: ConnectionId) {
        let Some(entry) = self.connections.get_mut(id) else {
            return;
        };
        let interests = Interest::READABLE | Interest::WRITABLE;
        let stream = entry.connection.stream_mut();
        if let Err(error) = self.poll.registry().register(stream, id.token(), interests) {
            warn!("watch id={} error=\"{error}\"", id.serial());
            self.doom(id, CloseReason::SocketError);
        }
    }
}

/// Whether a connection could not be accepted for want of descriptors or memory.
fn is_shortage(error: &io::Error) -> bool {
    let shortages = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|error| shortages.contains(&error))
}
