//! The step of the tick that reads: turns, messages, requests.

use log::debug;

use super::close::CloseReason;
use super::connection::Input;
use super::connections::ConnectionId;
use super::http::{Refused, Request, Route};
use super::metrics::Gauges;
use super::process::Process;
use super::response::Response;
use super::{FRAME_BYTES_MAX, MESSAGES_PER_TURN_MAX, PUSHES_MAX, Server};

impl Server {
    /// Gives each connection with input one turn.
    pub(super) fn read(&mut self) {
        for id in std::mem::take(&mut self.readable) {
            let Some(entry) = self.connections.get_mut(id) else {
                continue;
            };
            entry.is_readable = false;
            if entry.is_doomed {
                continue;
            }
            entry.connection.begin_turn(&mut self.reader);
            let outcome = self.read_turn(id);
            self.metrics.bytes_received += self.reader.turn_bytes();
            let Some(entry) = self.connections.get_mut(id) else {
                continue;
            };
            entry.connection.end_turn(&mut self.reader);
            // Answers of the connection itself: pongs, refused requests.
            let owes = !entry.connection.outbox.is_empty() && !entry.connection.outbox.is_behind();
            match outcome {
                Ok(Input::TurnOver) => self.mark_readable(id, false),
                Ok(_) => {}
                Err(reason) => self.doom(id, reason),
            }
            if owes {
                self.mark_dirty(id);
            }
            if self.owes_much() {
                self.release();
                self.flush();
            }
        }
    }

    /// Whether so much is owed that it is to be flushed before more is read.
    fn owes_much(&self) -> bool {
        self.frames.bytes_len() > FRAME_BYTES_MAX || self.pushes > PUSHES_MAX
    }

    fn read_turn(&mut self, id: ConnectionId) -> Result<Input, CloseReason> {
        // The turn before may have ended in a close.
        self.is_turn_over = false;
        for _ in 0..MESSAGES_PER_TURN_MAX {
            let Some(entry) = self
                .connections
                .get_mut(id)
                .filter(|entry| !entry.is_doomed)
            else {
                return Ok(Input::Blocked);
            };
            match entry
                .connection
                .read(&mut self.reader, entry.is_hung_up, self.now.monotonic)?
            {
                Input::Text(text) => {
                    entry.received += 1;
                    self.apply(id, &text)?;
                    if self.is_turn_over || self.owes_much() {
                        return Ok(Input::TurnOver);
                    }
                }
                Input::Request(request) => self.answer(id, request)?,
                Input::Refused(refused) => self.refuse(id, &refused),
                input => return Ok(input),
            }
        }
        Ok(Input::TurnOver)
    }

    fn refuse(&mut self, id: ConnectionId, refused: &Refused) {
        let Some(entry) = self.connections.get_mut(id) else {
            return;
        };
        let status = refused.response.status();
        debug!(
            "refuse id={} peer={} status={status}",
            id.serial(),
            entry.peer
        );
        if refused.is_handshake {
            *self.metrics.handshakes_rejected.entry(status).or_default() += 1;
        }
        entry
            .connection
            .reply(&refused.response, self.now.monotonic);
    }

    fn answer(&mut self, id: ConnectionId, request: Request) -> Result<(), CloseReason> {
        let Some(entry) = self.connections.get_mut(id) else {
            return Ok(());
        };
        let now = self.now.monotonic;
        match request {
            Request::Upgrade {
                accept,
                origin,
                token,
            } => self.admit(id, &accept, &origin, token.as_ref())?,
            Request::Plain {
                route,
                token,
                conditions,
                head_only,
            } => {
                debug!(
                    "request id={} peer={} route={route:?}",
                    id.serial(),
                    entry.peer
                );
                let response = match route {
                    Route::Page(page) => Response::page(self.pages.get(page), &conditions),
                    Route::Healthz => Response::text("200 OK", "ok"),
                    Route::Readyz if self.drain.is_some() => {
                        Response::text("503 Service Unavailable", "draining")
                    }
                    Route::Readyz => Response::text("200 OK", "ready"),
                    Route::Metrics => Response::metrics(self.metrics.render(Gauges {
                        connections: self.open,
                        follows: self.hub.follows_total(),
                        runners: self.hub.runners_by_state(),
                        started_unix_ms: self.started_unix_ms,
                        process: Process::read(),
                    })),
                    Route::Positions(ids) => self.positions(ids.as_deref(), token.as_ref()),
                };
                if let Some(entry) = self.connections.get_mut(id) {
                    entry.connection.reply(&response.head_only(head_only), now);
                }
            }
        }
        Ok(())
    }
}
