//! One connection through any plan: what it hears, what it writes, what it keeps, and that it ends.

use spectate::server::wire::close::CloseReason;
use spectate::server::wire::reader::Reader;

use super::meddler::Meddler;
use super::plan::{self, Operation, SLOTS};
use super::script::{MESSAGE_BYTES_MAX, Script, TIMEOUTS};
use super::talk::Talk;
use super::transport::{PLAIN, Transport};
use super::wire::{self, Sent};
use super::world::World;

/// Most bytes that an outbox takes on the heap, whatever happens: twice (room grows by doubling)
/// a turn's answers, 64 KiB of errors and the rest of a long position.
const HEAP_BYTES_MAX: usize = 2 * (96 + 64 + 80 + 8) * 1024;

/// Most bytes that a TLS session takes beside its keys: twice a record and a read behind it as they
/// come, what is inside and found no room, and what is encrypted and not taken.
const TLS_HEAP_BYTES_MAX: usize = 2 * (18 + 8 + 16 + 24) * 1024;

/// Tries one input.
pub fn run(bytes: &[u8]) {
    check(&plan::read(bytes), PLAIN, Meddler::default());
}

/// Tries one plan, and says why the connection ended.
pub(crate) fn check(
    operations: &[Operation],
    transport: Transport,
    meddler: Meddler,
) -> Option<CloseReason> {
    let stream = plan::stream(operations);
    let mut reader = Reader::new(MESSAGE_BYTES_MAX);
    let mut whole = Talk::hear(&mut reader, &stream, usize::MAX);
    let mut pieces = Talk::hear(&mut reader, &stream, 1 + stream.len() / 4096);
    assert_eq!(pieces.heard, whole.heard, "the same bytes, cut elsewhere");
    assert_eq!(pieces.end, whole.end, "the same bytes, cut elsewhere");
    assert!(
        pieces.written() == whole.written(),
        "the same bytes, cut elsewhere, are answered otherwise"
    );
    let mut world = World::new(reader, transport, meddler);
    for operation in operations {
        world.carry_out(operation);
        world.check_room();
    }
    world.read_all();
    world.check_heard(&whole);
    world.check_written();
    world.check_end();
    let again = Talk::hear(&mut world.reader, &stream, usize::MAX);
    assert_eq!(again.heard, whole.heard, "the shared reader is as new");
    assert_eq!(again.end, whole.end, "the shared reader is as new");
    world.talk.connection.ending()
}

impl World {
    pub(crate) fn check_room(&self) {
        let heap_bytes = self.talk.connection.outbox.heap_bytes();
        assert!(heap_bytes <= HEAP_BYTES_MAX, "{heap_bytes} bytes of heap");
        let heap_bytes = self.talk.connection.stream_heap_bytes();
        assert!(heap_bytes <= TLS_HEAP_BYTES_MAX, "{heap_bytes} by TLS");
    }

    fn check_heard(&mut self, whole: &Talk) {
        let peer = self.talk.script().peer.as_deref();
        if peer.is_some_and(|peer| peer.is_disturbed) && self.talk.heard == ["refused"] {
            // It was made to look like a request without TLS.
            return;
        }
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
        let peer = self.talk.script().peer.as_deref();
        if peer.is_some_and(|peer| peer.is_deaf()) {
            return;
        }
        // Behind an alert nothing is said any more.
        let is_broken = self.talk.connection.ending() == Some(CloseReason::TlsFailed);
        let is_dropped = self.is_dropped || is_broken;
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
        let mut presence = [0; SLOTS];
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
            if kind == "h" {
                assert!(
                    number > presence[slot],
                    "older presence after newer, or twice"
                );
                presence[slot] = number;
                continue;
            }
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
        assert_eq!(presence, self.presence, "the newest presence");
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
    pub(crate) fn check_end(&mut self) {
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
