//! One connection through any plan, driven as the loop drives it: what it hears, what it writes,
//! what it keeps, and that it ends.

use std::time::{Duration, Instant};

use spectate::server::close::CloseReason;
use spectate::server::connection::Due;
use spectate::server::frames::{Frames, append_text_frame};
use spectate::server::outbox::{ERROR_BYTES_MAX, Gather};
use spectate::server::reader::Reader;

use super::plan::{self, Operation, SLOTS};
use super::script::{MESSAGE_BYTES_MAX, Script, Step, TIMEOUTS};
use super::talk::Talk;
use super::wire::{self, Sent};

/// Most bytes that an outbox takes on the heap, whatever happens: twice (room grows by doubling)
/// a turn's answers, 64 KiB of errors and the rest of a long position.
const HEAP_BYTES_MAX: usize = 2 * (96 + 64 + 80 + 8) * 1024;

/// Room for the one pong that a connection keeps while it is behind, in bytes.
const PONG_ROOM_BYTES_MAX: usize = 256;

/// Bytes of errors that one tick brings at most.
const ERROR_BYTES_PER_TICK_MAX: usize = 32 * 1024;

/// Tries one input.
pub fn run(bytes: &[u8]) {
    let operations = plan::read(bytes);
    let stream = plan::stream(&operations);
    let mut reader = Reader::new(MESSAGE_BYTES_MAX);
    let mut whole = Talk::hear(&mut reader, &stream, usize::MAX);
    let mut pieces = Talk::hear(&mut reader, &stream, 1 + stream.len() / 4096);
    assert_eq!(pieces.heard, whole.heard, "the same bytes, cut elsewhere");
    assert_eq!(pieces.end, whole.end, "the same bytes, cut elsewhere");
    assert!(
        pieces.written() == whole.written(),
        "the same bytes, cut elsewhere, are answered otherwise"
    );
    let mut world = World::new(reader);
    for operation in &operations {
        world.carry_out(operation);
        let heap_bytes = world.talk.connection.outbox.heap_bytes();
        assert!(heap_bytes <= HEAP_BYTES_MAX, "{heap_bytes} bytes of heap");
    }
    world.read_all();
    world.check_heard(&whole);
    world.check_written();
    world.check_end();
    let again = Talk::hear(&mut world.reader, &stream, usize::MAX);
    assert_eq!(again.heard, whole.heard, "the shared reader is as new");
    assert_eq!(again.end, whole.end, "the shared reader is as new");
}

/// What the loop lends to the connection, and what must come of it.
struct World {
    talk: Talk,
    reader: Reader,
    frames: Frames,
    gather: Gather,
    now: Instant,
    /// Message of the newest position, if it is known.
    newest: [Option<String>; SLOTS],
    /// Its number.
    numbers: [Option<u32>; SLOTS],
    positions: u32,
    /// Positions that the socket took, by the flushes' own count.
    taken: usize,
    errors: Vec<String>,
    tick_error_bytes: usize,
    /// Bytes of errors since the socket last took something.
    error_bytes: usize,
    was_blocked: bool,
    /// Whether anything but the peer's bytes may have ended it.
    is_disturbed: bool,
    is_dropped: bool,
}

impl World {
    fn new(reader: Reader) -> World {
        let now = Instant::now();
        World {
            talk: Talk::new(usize::MAX, now),
            reader,
            frames: Frames::default(),
            gather: Gather::default(),
            now,
            newest: [const { None }; SLOTS],
            numbers: [None; SLOTS],
            positions: 0,
            taken: 0,
            errors: Vec::new(),
            tick_error_bytes: 0,
            error_bytes: 0,
            was_blocked: false,
            is_disturbed: false,
            is_dropped: false,
        }
    }

    fn carry_out(&mut self, operation: &Operation) {
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
            Operation::Forget(slot) => {
                self.newest[*slot] = None;
                self.numbers[*slot] = None;
            }
            Operation::Error(padding) if is_open => self.refuse(*padding),
            Operation::Position(..) | Operation::LastKnown(_) | Operation::Error(_) => {}
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

    /// A turn, and a flush if it left answers; whether there may be more.
    fn turn(&mut self, messages_max: usize, hung_up: bool) -> bool {
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
        assert!(
            !hung_up || outcome != Ok(false) || !reads_on || self.talk.script().steps.is_empty(),
            "no event would tell of the rest"
        );
        let outbox = &self.talk.connection.outbox;
        if !outbox.is_empty() && !outbox.is_behind() {
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
            && self.talk.connection.outbox.is_empty();
        let newest = &self.newest;
        let newest = |slot: u32, with_age: bool, out: &mut Vec<u8>| {
            let Some(message) = &newest[slot as usize] else {
                return false;
            };
            let kind = if with_age { 'k' } else { 'p' };
            append_text_frame(format!("{kind}{message}").as_bytes(), out);
            true
        };
        let written = self.talk.written().len();
        let flushed = self
            .talk
            .connection
            .flush(&self.frames, hold, &mut self.gather, newest, self.now)
            .expect("the script takes writes");
        assert_eq!(flushed.bytes, self.talk.written().len() - written);
        assert!(
            !was_finished || flushed.bytes == 0,
            "its write side is shut"
        );
        let is_empty = self.talk.connection.outbox.is_empty();
        assert!(hold || flushed.blocked != is_empty);
        self.was_blocked |= flushed.blocked;
        self.taken += flushed.positions;
        if flushed.bytes > 0 {
            self.error_bytes = 0;
        }
        if !hold {
            self.frames.clear();
            self.tick_error_bytes = 0;
        }
        if self.talk.connection.is_finished(self.now) {
            assert!(self.talk.connection.outbox.is_empty());
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

    /// A last known position, as a follow owes one: a flush before it and one behind it.
    fn follow(&mut self, slot: usize) {
        self.flush(false);
        if self.talk.connection.is_open() && self.newest[slot].is_some() {
            self.talk.connection.outbox.push_last_known(slot as u32);
            self.flush(false);
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
            let outbox = &mut self.talk.connection.outbox;
            let fits = outbox.push_error(message.as_bytes());
            self.error_bytes += message.len();
            let is_over = outbox.is_behind() && self.error_bytes > ERROR_BYTES_MAX;
            assert!(!fits || !is_over, "{} bytes of errors", self.error_bytes);
            self.errors.push(message);
            if !fits {
                self.is_disturbed = true;
                self.end(CloseReason::ErrorsUnread);
            }
        }
    }

    fn expire(&mut self) {
        let outcome = self.talk.connection.expire(&TIMEOUTS, self.now);
        assert!(outcome.is_err() || self.talk.connection.deadline(&TIMEOUTS) > self.now);
        if self.talk.connection.is_open() {
            let is_behind = self.talk.connection.outbox.is_behind();
            assert!(outcome != Err(CloseReason::Stalled) || is_behind);
            assert!(outcome != Err(CloseReason::NoPong) || !is_behind);
        }
        match outcome {
            Ok(Due::Nothing) => {}
            Ok(Due::Flush) => self.flush(false),
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
    fn read_all(&mut self) {
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
        let turns_max = 16 + script.steps.len() + bytes;
        for _ in 0..turns_max {
            let more = !self.is_dropped && self.turn(64, true);
            self.flush(false);
            if self.is_dropped || !more && self.talk.script().steps.is_empty() {
                return;
            }
        }
        panic!("no end after {turns_max} turns")
    }

    fn check_heard(&self, whole: &Talk) {
        assert!(
            whole.heard.starts_with(&self.talk.heard),
            "{:?} and not {:?}",
            self.talk.heard,
            whole.heard
        );
        if !self.is_disturbed {
            assert_eq!(self.talk.heard, whole.heard, "undisturbed");
            assert_eq!(self.talk.end, whole.end, "undisturbed");
        }
    }

    fn check_written(&mut self) {
        let is_dropped = self.is_dropped;
        let is_open = self.talk.connection.is_open();
        let accept = std::mem::take(&mut self.talk.accept);
        let written = self.talk.written().to_vec();
        if accept.is_empty() {
            if !written.is_empty() && !is_dropped {
                wire::check_answer(&written);
            }
            return;
        }
        assert_eq!(wire::check_accept(&accept), accept.len());
        if written.len() < accept.len() {
            assert!(is_dropped && accept.starts_with(&written));
            return;
        }
        let (head, rest) = written.split_at(accept.len());
        assert_eq!(head, accept);
        let (frames, rest) = wire::frames(rest);
        assert!(is_dropped || rest.is_empty(), "half a frame");
        self.check_frames(&frames, is_open && !is_dropped);
    }

    /// Nothing older after something newer, and nothing lost.
    fn check_frames(&self, frames: &[Sent], is_whole: bool) {
        let mut numbers = [0; SLOTS];
        let mut positions = 0;
        let mut last_known = 0;
        let mut errors = Vec::new();
        for frame in frames {
            let Sent::Text(text) = frame else { continue };
            let mut words = text.split(' ');
            let kind = words.next().expect("a word");
            if kind == "e" {
                errors.push(*text);
                continue;
            }
            let mut number = || -> Option<u32> { words.next()?.parse().ok() };
            let slot = number().expect("a slot") as usize;
            let number = number().expect("a number");
            match kind {
                "p" => {
                    positions += 1;
                    assert!(number > numbers[slot], "an older position after a newer");
                }
                "k" => {
                    last_known += 1;
                    assert!(number >= numbers[slot], "an older position after a newer");
                }
                _ => panic!("nobody wrote {text:?}"),
            }
            numbers[slot] = number;
        }
        assert!(
            self.errors
                .iter()
                .zip(&errors)
                .all(|(error, sent)| error == sent)
        );
        assert!(errors.len() <= self.errors.len());
        if !is_whole {
            return;
        }
        assert_eq!(errors.len(), self.errors.len(), "an error was lost");
        assert_eq!(positions as usize + last_known, self.taken, "as counted");
        for (number, newest) in numbers.iter().zip(&self.numbers) {
            assert!(newest.is_none_or(|newest| *number == newest), "the newest");
        }
        assert!(
            self.was_blocked || positions == self.positions,
            "all positions arrive where nothing was blocked"
        );
    }

    /// A peer that neither sends nor takes anything is gone after few deadlines.
    fn check_end(&mut self) {
        *self.talk.script() = Script::default();
        for _ in 0..5 {
            if self.is_dropped {
                return;
            }
            self.now = self.talk.connection.deadline(&TIMEOUTS);
            self.expire();
        }
        assert!(self.is_dropped, "it lives for ever");
    }
}
