//! One connection, driven as the loop drives it.

use std::time::{Duration, Instant};

use spectate::server::wire::close::CloseReason;
use spectate::server::wire::frames::{Frames, append_text_frame};
use spectate::server::wire::outbox::{ERROR_BYTES_MAX, Gather, Mark};
use spectate::server::wire::reader::Reader;

use super::meddler::Meddler;
use super::plan::{Operation, SLOTS};
use super::script::{Step, TIMEOUTS};
use super::talk::Talk;
use super::transport::Transport;

/// Room for the one pong that a connection keeps while it is behind, in bytes.
const PONG_ROOM_BYTES_MAX: usize = 256;

/// Bytes of errors that one tick brings at most.
const ERROR_BYTES_PER_TICK_MAX: usize = 32 * 1024;

/// Most of what is written that TLS encrypts before the socket takes it.
const ENCRYPTED_BYTES_MAX: usize = 16 * 1024;

/// What the loop lends to the connection, and what must come of it.
pub(crate) struct World {
    pub(crate) talk: Talk,
    pub(crate) meddler: Meddler,
    pub(crate) reader: Reader,
    pub(crate) frames: Frames,
    pub(crate) gather: Gather,
    pub(crate) now: Instant,
    /// Message of the newest position, if it is known.
    pub(crate) newest: [Option<String>; SLOTS],
    /// Its number.
    pub(crate) numbers: [Option<u32>; SLOTS],
    pub(crate) positions: u32,
    /// The number of the newest presence.
    pub(crate) presence: [u32; SLOTS],
    /// Positions that the socket took, by the flushes' own count.
    pub(crate) taken: usize,
    pub(crate) errors: Vec<String>,
    pub(crate) tick_error_bytes: usize,
    /// Bytes of errors since the socket last took something.
    pub(crate) error_bytes: usize,
    pub(crate) was_blocked: bool,
    /// Whether anything but the peer's bytes may have ended it.
    pub(crate) is_disturbed: bool,
    pub(crate) is_dropped: bool,
}

impl World {
    pub(crate) fn new(reader: Reader, transport: Transport, meddler: Meddler) -> World {
        let now = Instant::now();
        World {
            talk: Talk::new(transport, now),
            meddler,
            reader,
            frames: Frames::default(),
            gather: Gather::default(),
            now,
            newest: [const { None }; SLOTS],
            numbers: [None; SLOTS],
            positions: 0,
            presence: [0; SLOTS],
            taken: 0,
            errors: Vec::new(),
            tick_error_bytes: 0,
            error_bytes: 0,
            was_blocked: false,
            is_disturbed: false,
            is_dropped: false,
        }
    }

    pub(crate) fn carry_out(&mut self, operation: &Operation) {
        if self.is_dropped {
            return;
        }
        let is_open = self.talk.connection.is_open();
        match operation {
            Operation::Arrive(bytes) => {
                let step = Step::Bytes(bytes.clone());
                self.talk.script().steps.push_back(step);
            }
            Operation::End => self.hang_up(Step::End),
            Operation::Reset => self.hang_up(Step::Reset),
            Operation::Turn(messages) => {
                self.turn(*messages, false);
            }
            Operation::Room(room) => self.talk.script().room = *room,
            Operation::Flush(hold) => self.flush(*hold),
            Operation::Position(slot, padding) if is_open => self.publish(*slot, *padding),
            Operation::LastKnown(slot) if is_open => self.follow(*slot),
            Operation::Presence(slot) if is_open => {
                self.presence[*slot] += 1;
                let outbox = &mut self.talk.connection.outbox;
                outbox.push_presence(*slot as u32);
            }
            Operation::Forget(slot) => {
                self.newest[*slot] = None;
                self.numbers[*slot] = None;
            }
            Operation::Error(padding) if is_open => self.refuse(*padding),
            Operation::Position(..)
            | Operation::LastKnown(_)
            | Operation::Presence(_)
            | Operation::Error(_) => {}
            Operation::Pass(milliseconds) => {
                self.now += Duration::from_millis(*milliseconds);
                self.expire();
            }
            Operation::Close(reason) if is_open => {
                self.is_disturbed = true;
                self.end(*reason);
            }
            Operation::Close(_) => {}
            Operation::Leave => {
                self.is_disturbed |= is_open;
                self.talk
                    .connection
                    .leave(CloseReason::Restarting, self.now);
                self.flush(false);
            }
        }
    }

    fn hang_up(&mut self, step: Step) {
        self.is_disturbed = true;
        self.talk.script().steps.push_back(step);
    }

    /// A turn for each piece that comes, with a flush if it left answers; whether there may be more.
    pub(crate) fn turn(&mut self, messages_max: usize, hung_up: bool) -> bool {
        loop {
            self.is_disturbed |= self.meddler.meddle(self.talk.script());
            let more = self.turn_once(messages_max, hung_up);
            if more || self.is_dropped || !self.talk.script().arrives() {
                return more;
            }
        }
    }

    fn turn_once(&mut self, messages_max: usize, hung_up: bool) -> bool {
        let outbox = &self.talk.connection.outbox;
        let (was_behind, heap_bytes) = (outbox.is_behind(), outbox.heap_bytes());
        let outcome = self
            .talk
            .turn(&mut self.reader, messages_max, hung_up, self.now);
        let outbox = &self.talk.connection.outbox;
        assert!(
            !was_behind || outbox.heap_bytes() <= heap_bytes + PONG_ROOM_BYTES_MAX,
            "of unanswered pings only the last is answered"
        );
        let reads_on = self.talk.connection.ending().is_none() || self.talk.connection.is_open();
        let script = self.talk.script();
        assert!(
            !hung_up || outcome != Ok(false) || !reads_on || !script.has_more() || script.arrives(),
            "no event would tell of the rest"
        );
        if self.talk.connection.wants_flush() {
            self.flush(false);
        }
        outcome.unwrap_or_else(|reason| {
            self.end(reason);
            false
        })
    }

    fn flush(&mut self, hold: bool) {
        if self.is_dropped {
            return;
        }
        let was_finished = self.talk.connection.ending().is_some()
            && !self.talk.connection.is_open()
            && !self.talk.connection.owes();
        let (newest, presence) = (&self.newest, &self.presence);
        let newest = |mark: Mark, out: &mut Vec<u8>| {
            let (slot, kind) = match mark {
                Mark::LastKnown(slot) => (slot, 'k'),
                Mark::Newest(slot) => (slot, 'p'),
                Mark::Presence(slot) => {
                    let number = presence[slot as usize];
                    append_text_frame(format!("h {slot} {number}").as_bytes(), out);
                    return true;
                }
                Mark::Audience
                | Mark::Introduction(_)
                | Mark::Whereabouts(_)
                | Mark::Trail(..)
                | Mark::CoveredTrail(..) => return false,
            };
            let Some(message) = &newest[slot as usize] else {
                return false;
            };
            append_text_frame(format!("{kind}{message}").as_bytes(), out);
            true
        };
        let taken = self.talk.script().taken;
        let flushed = self
            .talk
            .connection
            .flush(&self.frames, hold, &mut self.gather, newest, self.now)
            .expect("the script takes writes");
        assert_eq!(flushed.bytes, self.talk.script().taken - taken);
        assert!(
            !was_finished || flushed.bytes == 0,
            "its write side is shut"
        );
        assert!(hold || flushed.blocked == self.talk.connection.owes());
        self.was_blocked |= flushed.blocked;
        self.taken += flushed.positions;
        if flushed.bytes > 0 {
            self.error_bytes = 0;
        }
        if !hold {
            self.frames.clear();
            self.tick_error_bytes = 0;
        }
        if self.talk.connection.is_finished() {
            assert!(!self.talk.connection.owes());
        } else if let Some(reason) = self.talk.connection.has_left() {
            self.end(reason);
        }
    }

    fn publish(&mut self, slot: usize, padding: usize) {
        self.positions += 1;
        let padding = "x".repeat(padding);
        let message = format!(" {slot} {} {padding}", self.positions);
        let frame = self.frames.push(format!("p{message}").as_bytes());
        self.newest[slot] = Some(message);
        self.numbers[slot] = Some(self.positions);
        self.talk.connection.outbox.push(frame, slot as u32);
    }

    /// A last known position, as a follow owes one: a frame of this tick, or a mark.
    fn follow(&mut self, slot: usize) {
        if !self.talk.connection.is_open() {
            return;
        }
        let outbox = &mut self.talk.connection.outbox;
        match &self.newest[slot] {
            Some(_) if outbox.is_behind() => outbox.mark_last_known(slot as u32),
            Some(message) => {
                let frame = self.frames.push(format!("k{message}").as_bytes());
                outbox.push_with_age(frame, slot as u32);
            }
            None => {}
        }
    }

    fn refuse(&mut self, padding: usize) {
        let padding = "x".repeat(padding);
        let message = format!("e {} {padding}", self.errors.len());
        if self.tick_error_bytes + message.len() > ERROR_BYTES_PER_TICK_MAX {
            self.flush(false);
        }
        self.tick_error_bytes += message.len();
        if self.talk.connection.is_open() {
            // What is encrypted the outbox has no more, though the socket may not have taken it.
            let is_secure = self.talk.script().peer.is_some();
            let error_bytes_max = ERROR_BYTES_MAX + usize::from(is_secure) * ENCRYPTED_BYTES_MAX;
            let outbox = &mut self.talk.connection.outbox;
            let fits = outbox.push_error(message.as_bytes(), &mut self.frames, false);
            self.error_bytes += message.len();
            let is_over = outbox.is_behind() && self.error_bytes > error_bytes_max;
            assert!(!fits || !is_over, "{} bytes of errors", self.error_bytes);
            self.errors.push(message);
            if !fits {
                self.is_disturbed = true;
                self.end(CloseReason::ErrorsUnread);
            }
        }
    }

    pub(crate) fn expire(&mut self) {
        let outcome = self.talk.connection.expire(&TIMEOUTS, self.now);
        assert!(outcome.is_err() || self.talk.connection.deadline(&TIMEOUTS) > self.now);
        if self.talk.connection.is_open() {
            let is_behind = self.talk.connection.outbox.is_behind();
            assert!(outcome != Err(CloseReason::Stalled) || is_behind);
            assert!(outcome != Err(CloseReason::NoPong) || !is_behind);
        }
        match outcome {
            Ok(false) => {}
            Ok(true) => self.flush(false),
            Err(reason) => {
                self.is_disturbed = true;
                self.end(reason);
            }
        }
    }

    /// What the reap does.
    fn end(&mut self, reason: CloseReason) {
        if self.is_dropped {
            return;
        }
        if self.talk.connection.close(reason, self.now) {
            self.flush(false);
        } else {
            self.is_dropped = true;
        }
    }

    /// The peer takes everything from now on, and what it sent is read to the end.
    pub(crate) fn read_all(&mut self) {
        self.talk.script().room = usize::MAX;
        self.flush(false);
        let script = self.talk.script();
        let bytes: usize = script
            .steps
            .iter()
            .map(|step| match step {
                Step::Bytes(bytes) => bytes.len(),
                _ => 0,
            })
            .sum();
        let turns_max = 32 + script.steps.len() + bytes;
        for _ in 0..turns_max {
            let more = !self.is_dropped && self.turn(64, true);
            self.flush(false);
            if self.is_dropped || !more && !self.talk.script().has_more() {
                return;
            }
        }
        panic!("no end after {turns_max} turns")
    }
}
