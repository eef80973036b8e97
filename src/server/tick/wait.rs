//! The step that waits for events: the one call that blocks. It turns them into connections to
//! read from and to write to, and lets time pass.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use mio::Events;
use mio::event::Event;

use crate::server::clocks::read_clocks;
use crate::server::connections::ConnectionId;
use crate::server::drain::Drain;
use crate::server::parts::{EVENTS_MAX, Server};
use crate::server::source::Source;

impl Server {
    /// Waits for events or the next deadline.
    pub(in crate::server) fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        match self.poll.poll(events, Some(self.until_next_step())) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => self.now = read_clocks(),
        }
        self.relay.advance(self.now.monotonic);
        self.is_batch_full = events.iter().count() == EVENTS_MAX;
        for event in events.iter() {
            match event.token().into() {
                Source::Signals | Source::Parent => self.have_signals_come = true,
                Source::Listener(_) => self.listeners.is_acceptable = true,
                Source::Bus(index) => {
                    if let Some(nodes) = &mut self.nodes {
                        nodes.note_event(index, is_hung_up(event));
                    }
                }
                Source::Connection(id) => self.note_event(id, event),
            }
        }
        Ok(())
    }

    fn until_next_step(&self) -> Duration {
        let now = Instant::now();
        let deadlines = [
            Some(self.sweep.next_deadline()),
            self.listeners.next_deadline(now),
            self.queues.next_deadline(now),
            self.relay.next_deadline(),
            (self.state.as_ref()).and_then(|state| state.next_deadline(&self.relay)),
            self.door.next_deadline(self.now),
            self.drain.as_ref().map(Drain::next_deadline),
            (self.nodes.as_ref()).and_then(|nodes| nodes.next_deadline(now)),
        ];
        let next = deadlines.into_iter().flatten().min();
        next.map_or(Duration::ZERO, |next| next.saturating_duration_since(now))
    }

    fn note_event(&mut self, id: ConnectionId, event: &Event) {
        let Some(entry) = self.connections.get_mut(id) else {
            return;
        };
        // With both interests registered, each event about reading says writable too.
        if event.is_writable() && entry.connection.owes() {
            self.queues.add_flush(id, entry);
        }
        entry.is_hung_up |= is_hung_up(event);
        if event.is_readable() || is_hung_up(event) {
            self.queues.add_turn(id, entry);
        }
    }
}

/// Whether the peer's end may be behind what is to be read, which a short read does not show.
fn is_hung_up(event: &Event) -> bool {
    event.is_read_closed() || event.is_error()
}
