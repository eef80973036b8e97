//! The step that reads: turns, messages, requests.

use log::debug;

use crate::protocol::encode_error;
use crate::server::apply::{Applied, Effects};
use crate::server::connections::ConnectionId;
use crate::server::deliver::Origin;
use crate::server::parts::Server;
use crate::server::postponed::Postponed;
use crate::server::tls::Certificate;
use crate::server::waits::Wait;
use crate::server::wire::close::CloseReason;
use crate::server::wire::connection::Input;
use crate::server::work::{Extent, cost_us};

/// Messages taken from one connection before others have their turn.
const MESSAGES_PER_TURN_MAX: usize = 64;

/// Messages taken in one tick, about: where many connections have many, each turn takes fewer.
const MESSAGES_PER_TICK_MAX: usize = 8192;

impl Server {
    /// Gives each connection with input one turn; then carries out costly inputs as far as the
    /// tick's budget goes.
    pub(in crate::server) fn read(&mut self) {
        self.work.begin();
        self.outgoing.begin();
        self.hear();
        let turns = self.queues.take_turns();
        let messages_max =
            (MESSAGES_PER_TICK_MAX / turns.len().max(1)).clamp(1, MESSAGES_PER_TURN_MAX);
        for id in turns {
            let Some(entry) = self.connections.get_mut(id) else {
                continue;
            };
            self.queues.serve(Wait::Turn, entry);
            if entry.waits.has(Wait::End) {
                continue;
            }
            if entry.connection.is_shaking_hands() && entry.postponed.is_none() {
                if self.queues.has_work() || !self.work.has_more() {
                    self.queues.postpone(id, entry, Postponed::Handshake);
                    continue;
                }
                self.work.spend(self.handshake_us());
            }
            self.take_turn(id, messages_max);
        }
        while self.work.has_more()
            && let Some(id) = self.queues.next_work()
        {
            let Some(entry) = self.connections.get_mut(id) else {
                continue;
            };
            self.queues.serve(Wait::Work, entry);
            let Some(postponed) = entry.postponed.take() else {
                continue;
            };
            if entry.waits.has(Wait::End) {
                continue;
            }
            let extent = self.extent_of(id);
            self.work.spend(postponed.cost_us(extent));
            let outcome = match *postponed {
                Postponed::Input(input) => self.carry_out(id, input).map(|_| HasMore::Yes),
                Postponed::Reporting(reporting) => {
                    self.go_on_reporting(id, reporting);
                    Ok(HasMore::Yes)
                }
                Postponed::Handshake => {
                    self.take_turn(id, messages_max);
                    continue;
                }
            };
            self.end_turn(id, outcome);
        }
    }

    /// Has a connection read.
    fn take_turn(&mut self, id: ConnectionId, messages_max: usize) {
        let Some(entry) = self.connections.get_mut(id) else {
            return;
        };
        entry.connection.begin_turn(&mut self.reader);
        let outcome = self.read_turn(id, messages_max);
        self.metrics.bytes_received += self.reader.turn_bytes();
        let Some(entry) = self.connections.get_mut(id) else {
            return;
        };
        entry.connection.end_turn(&mut self.reader);
        self.end_turn(id, outcome);
    }

    fn end_turn(&mut self, id: ConnectionId, outcome: Result<HasMore, CloseReason>) {
        let Some(entry) = self.connections.get_mut(id) else {
            return;
        };
        match outcome {
            Ok(HasMore::Yes) => self.queues.add_turn(id, entry),
            Ok(HasMore::No) => {}
            Err(reason) => self.queues.add_end(id, entry, reason),
        }
        // Answers of the connection itself: pongs, errors, refused requests.
        if entry.connection.wants_flush() {
            self.queues.add_flush(id, entry);
        }
        self.relieve();
    }

    /// What the cost of a connection's inputs depends on.
    fn extent_of(&mut self, id: ConnectionId) -> Extent {
        Extent {
            needs_tokens: self.door.asks_for_tokens(),
            follows: self.watched_by(id),
            asks_trails: self.asks_trails(id),
            trail_points: self.config.trail as usize,
            known: self.relay.known_total(),
            runners: self.relay.runners_total(),
            handshake_us: self.handshake_us(),
        }
    }

    /// What a turn of a TLS handshake costs, about.
    fn handshake_us(&self) -> u32 {
        (self.certificate.as_ref()).map_or(0, Certificate::handshake_us)
    }

    /// Of how many a connection is told.
    fn watched_by(&mut self, id: ConnectionId) -> usize {
        let entry = self.connections.get_mut(id);
        let member = entry.and_then(|entry| entry.authority.member());
        member.map_or(0, |member| self.relay.watched_by(member))
    }

    fn asks_trails(&mut self, id: ConnectionId) -> bool {
        let entry = self.connections.get_mut(id);
        let member = entry.and_then(|entry| entry.authority.member());
        member.is_some_and(|member| self.relay.trail_points(member) > 0)
    }

    /// How many follows of a connection there are.
    pub(in crate::server) fn follows_of(&mut self, id: ConnectionId) -> usize {
        let entry = self.connections.get_mut(id);
        let member = entry.and_then(|entry| entry.authority.member());
        member.map_or(0, |member| self.relay.follows_of(member))
    }

    /// Sends what is owed before it is too much.
    pub(in crate::server) fn relieve(&mut self) {
        if self.outgoing.is_much() {
            (self.queues).release(&mut self.connections, self.now.monotonic);
            self.flush();
        }
    }

    fn read_turn(&mut self, id: ConnectionId, messages_max: usize) -> Result<HasMore, CloseReason> {
        let extent = self.extent_of(id);
        for _ in 0..messages_max {
            let Some(entry) = self.connections.get_mut(id) else {
                return Ok(HasMore::No);
            };
            if entry.postponed.is_some() {
                return Ok(HasMore::No);
            }
            let input =
                (entry.connection).read(&mut self.reader, entry.is_hung_up, self.now.monotonic)?;
            let cost_us = cost_us(&input, extent);
            if cost_us > 0 && (self.queues.has_work() || !self.work.has_more()) {
                self.queues.postpone(id, entry, Postponed::Input(input));
                return Ok(HasMore::No);
            }
            self.work.spend(cost_us);
            match input {
                Input::Blocked => return Ok(HasMore::No),
                Input::TurnOver => return Ok(HasMore::Yes),
                input => {
                    if self.carry_out(id, input)? == EndsTurn::Yes || self.outgoing.is_much() {
                        return Ok(HasMore::Yes);
                    }
                }
            }
        }
        Ok(HasMore::Yes)
    }

    fn carry_out(&mut self, id: ConnectionId, input: Input) -> Result<EndsTurn, CloseReason> {
        let text = match input {
            Input::Text(text) => text,
            Input::Request(request) => {
                self.answer(id, request)?;
                return Ok(EndsTurn::No);
            }
            Input::Refused(refused) => {
                self.refuse(id, &refused);
                return Ok(EndsTurn::No);
            }
            Input::Expected => {
                self.expect_report(id);
                return Ok(EndsTurn::No);
            }
            Input::Blocked | Input::TurnOver => return Ok(EndsTurn::Yes),
        };
        let Some(entry) = self.connections.get_mut(id) else {
            return Ok(EndsTurn::Yes);
        };
        entry.received += 1;
        let mut effects = Effects {
            relay: &mut self.relay,
            door: &mut self.door,
            metrics: &mut self.metrics,
            bounds: self.config.bounds(),
            now: self.now,
        };
        let applied = effects.apply(id, entry, &text)?;
        if self.relay.has_debts() {
            self.settle();
        }
        if let Some(runner) = applied.moved {
            self.deliver(runner, Origin::Here);
        }
        if let Some(runner) = applied.left {
            self.say_goodbye(runner);
            self.forget(runner);
        }
        self.reply(id, &applied)?;
        Ok(match applied.ends_turn {
            true => EndsTurn::Yes,
            false => EndsTurn::No,
        })
    }

    /// Tells the sender of a message what came of it, and counts bad ones in a row.
    fn reply(&mut self, id: ConnectionId, applied: &Applied) -> Result<(), CloseReason> {
        let Some(entry) = self.connections.get_mut(id) else {
            return Ok(());
        };
        let hold = entry.waits.has(Wait::Release);
        let (outbox, frames) = (&mut entry.connection.outbox, &mut self.outgoing.frames);
        if let Some(pong) = &applied.pong {
            outbox.push_pong_message(pong, frames, hold);
        }
        for refusal in &applied.refusals {
            debug!("refuse id={} code={}", id.serial(), refusal.code().word());
            let message = &mut self.outgoing.message;
            message.clear();
            encode_error(refusal, message);
            if !outbox.push_error(message, frames, hold) {
                return Err(CloseReason::ErrorsUnread);
            }
        }
        if applied.is_uncounted {
            return Ok(());
        }
        let open_for = (self.now.monotonic).saturating_duration_since(entry.accepted_at);
        if applied.refusals.is_empty() {
            entry.bad_row.end();
        } else if entry.bad_row.add(open_for) {
            return Err(CloseReason::BadMessages);
        }
        Ok(())
    }
}

/// Whether a connection may have more to read than its turn had time for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HasMore {
    Yes,
    No,
}

/// Whether an input was so much work that others have their turn now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EndsTurn {
    Yes,
    No,
}
