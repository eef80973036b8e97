//! The step of the tick that accepts connections, within a budget.

use std::io::{self, ErrorKind};

use log::{debug, warn};
use mio::Interest;
use rustix::io::Errno;

use crate::server::config::Entrance;
use crate::server::connections::ConnectionId;
use crate::server::parts::Server;
use crate::server::source::Source;
use crate::server::tls::Certificate;
use crate::server::wire::close::CloseReason;
use crate::server::wire::stream::Stream;

/// Connections accepted in one tick, so that a storm of them delays the others by little.
const ACCEPTS_PER_TICK_MAX: usize = 64;

impl Server {
    /// Accepts what waits, within this tick's budget.
    pub(in crate::server) fn accept(&mut self) {
        if self.listeners.is_acceptable {
            self.listeners.is_acceptable = self.accept_up_to(ACCEPTS_PER_TICK_MAX);
        }
    }

    /// Accepts all that the kernel has, which would be reset with the listening sockets.
    pub(in crate::server) fn accept_the_last(&mut self) {
        // More than this comes only from a flood that goes on.
        let backlog = self.config.backlog as usize + 1;
        self.accept_up_to(backlog.saturating_mul(self.listeners.sockets.len()));
    }

    /// Accepts so many connections at most, and says whether there may be more.
    fn accept_up_to(&mut self, mut budget: usize) -> bool {
        let mut more = true;
        let mut accepted = Vec::new();
        while more && budget > 0 {
            more = false;
            for listener in &self.listeners.sockets {
                match listener.socket.accept() {
                    Ok((socket, peer)) => {
                        more = true;
                        budget = budget.saturating_sub(1);
                        let certificate = match listener.entrance {
                            Entrance::Tls => self.certificate.as_ref(),
                            Entrance::Plain | Entrance::Metrics => None,
                        };
                        let stream = match certificate.map(Certificate::session) {
                            None => Stream::plain(socket),
                            Some(Ok(session)) => Stream::secure(socket, session),
                            Some(Err(error)) => {
                                warn!("accept peer={peer} error=\"{error}\"");
                                continue;
                            }
                        };
                        self.metrics.accepted += 1;
                        let now = self.now.monotonic;
                        let entrance = listener.entrance;
                        accepted.push(self.connections.insert(stream, peer, entrance, now));
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    // It was the connection that failed, and others wait behind it (accept(2)).
                    Err(error) if !is_shortage(&error) => {
                        more = true;
                        budget = budget.saturating_sub(1);
                    }
                    // The next descriptor that is free, or the next sweep, tries again.
                    Err(error) if self.listeners.has_failed => debug!("accept error=\"{error}\""),
                    Err(error) => {
                        self.listeners.has_failed = true;
                        warn!("accept error=\"{error}\"");
                    }
                }
            }
        }
        for id in accepted {
            self.watch(id);
        }
        more
    }

    /// Has a connection's events reported.
    fn watch(&mut self, id: ConnectionId) {
        let Some(entry) = self.connections.get_mut(id) else {
            return;
        };
        let interests = Interest::READABLE | Interest::WRITABLE;
        let token = Source::Connection(id).token();
        let stream = entry.connection.socket_mut();
        if let Err(error) = self.poll.registry().register(stream, token, interests) {
            warn!("watch id={} error=\"{error}\"", id.serial());
            self.queues.add_end(id, entry, CloseReason::SocketError);
        }
    }
}

/// Whether a connection could not be accepted for want of descriptors or memory.
fn is_shortage(error: &io::Error) -> bool {
    let shortages = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|error| shortages.contains(&error))
}
