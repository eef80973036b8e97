//! What one connection still has to send. While its socket takes bytes, every position goes out;
//! once it does not, the outbox keeps one mark for each runner that the follower is behind on, and
//! sends the newest position of each when the socket drains. Presence and audience are marks from
//! the start. Knows no clock and no message.

use std::io::{self, Write};

use super::ceiling::Ceiling;
use super::due::{About, Due, positions};
use super::frames::{Frames, append_text_frame};
use super::marks::{Behind, Gathered, WRITE_BYTES_MAX};
pub use super::marks::{Gather, Mark, Newest};
use super::reply::Reply;
use super::stream::Stream;
use crate::queue::SPARSE_FROM;
use crate::server::http::Response;

/// Most bytes of errors kept for a peer that does not read.
pub const ERROR_BYTES_MAX: usize = 64 * 1024;

/// Room for this many entries is kept between ticks; more is given back.
const SPARE_ENTRIES_MAX: usize = 4;

/// What a flush did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Bytes that the socket took.
    pub bytes: usize,
    /// Positions whose frame the socket took, or began to take.
    pub positions: usize,
    /// Positions that will not be sent: something newer of the same runner will.
    pub conflated: usize,
    /// Whether something is still owed because the socket takes no more.
    pub blocked: bool,
    /// Whether something is because no more trails are allowed now: another flush is to follow.
    pub paused: bool,
}

/// What became of a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// The first since the last flush: the connection needs one.
    First,
    /// It will be sent.
    Due,
    /// The newest position of its runner will be sent when the socket drains.
    Marked,
    /// So it was already: this one takes the place of an earlier one.
    Conflated,
}

/// The outbox of one connection.
#[derive(Debug, Default)]
pub struct Outbox {
    /// The one thing that is owed while there is one.
    reply: Option<Box<Reply>>,
    /// Bytes that go out first and as they are: the rest of a frame, errors, pongs.
    wire: Vec<u8>,
    /// How many of them are errors, at most.
    error_bytes: usize,
    due: Vec<Due>,
    behind: Option<Box<Behind>>,
}

impl Outbox {
    /// Whether nothing is owed.
    pub fn is_empty(&self) -> bool {
        self.wire.is_empty() && self.due.is_empty() && self.behind.is_none() && self.reply.is_none()
    }

    /// Whether positions become marks instead of frames.
    pub fn is_behind(&self) -> bool {
        self.behind.as_ref().is_some_and(|behind| behind.blocked)
    }

    /// What a position about this slot becomes a mark of: the socket takes no more, or one is owed as
    /// a mark already, which will say the newest.
    fn conflating(&mut self, slot: u32) -> Option<&mut Behind> {
        (self.behind.as_deref_mut()).filter(|behind| behind.blocked || behind.owes_position(slot))
    }

    fn blocked(&mut self) -> Option<&mut Behind> {
        self.behind.as_deref_mut().filter(|behind| behind.blocked)
    }

    /// Owes a position: frame `frame` of this tick, about the connection's follow `slot`.
    pub fn push(&mut self, frame: u32, slot: u32) -> Pushed {
        match self.conflating(slot) {
            None => {
                self.due.push(Due::new(frame, About::Position(slot)));
                if self.due.len() == 1 {
                    Pushed::First
                } else {
                    Pushed::Due
                }
            }
            Some(behind) => {
                if behind.mark_position(slot) {
                    Pushed::Marked
                } else {
                    Pushed::Conflated
                }
            }
        }
    }

    /// Owes the last known position of a user just followed: frame `frame` of this tick, which
    /// tells its age. To be called while the outbox is not behind.
    pub fn push_with_age(&mut self, frame: u32, slot: u32) {
        debug_assert!(!self.is_behind());
        match self.conflating(slot) {
            None => self.due.push(Due::new(frame, About::LastKnown(slot))),
            Some(behind) => {
                behind.mark_last_known(slot);
            }
        }
    }

    /// Owes the last known position of a user just followed, as a mark.
    pub fn mark_last_known(&mut self, slot: u32) {
        self.behind.get_or_insert_default().mark_last_known(slot);
    }

    /// Owes the trail of the user in this slot, from this time on (milliseconds since 1970).
    pub fn mark_trail(&mut self, slot: u32, from_ms: u64) {
        (self.behind.get_or_insert_default()).mark_trail(slot, from_ms);
    }

    /// Whether that is owed, and a last known position is to come behind it.
    pub fn owes_trail(&self, slot: u32) -> bool {
        (self.behind.as_ref()).is_some_and(|behind| behind.owes_trail(slot))
    }

    /// Owes the trails of everyone in slots below this, from `SPARSE_FROM` on, and from this time on.
    pub fn mark_everyones_trails(&mut self, end: u32, from_ms: u64) {
        (self.behind.get_or_insert_default()).owe_trails(end, from_ms);
    }

    /// Owes presence of everyone in slots below this, from `SPARSE_FROM` on.
    pub fn introduce_everyone(&mut self, end: u32) {
        self.behind.get_or_insert_default().introduce(end);
    }

    /// Owes the last known positions of those.
    pub fn mark_everyones_last_known(&mut self, end: u32) {
        self.behind.get_or_insert_default().owe_last_known(end);
    }

    /// Owes presence of the user in this slot.
    pub fn push_presence(&mut self, slot: u32) {
        self.behind.get_or_insert_default().mark_presence(slot);
    }

    /// Owes presence of the user in this slot as frame `frame` of this tick: before the positions that
    /// are pushed from now on. Says whether the connection needs a flush for that.
    pub fn push_announced(&mut self, frame: u32, slot: u32) -> bool {
        let conflates = |behind: &&mut Behind| {
            behind.blocked || behind.owes_presence(slot) || behind.owes_position(slot)
        };
        if let Some(behind) = self.behind.as_deref_mut().filter(conflates) {
            behind.mark_presence(slot);
            return !behind.blocked;
        }
        self.due.push(Due::new(frame, About::Presence(slot)));
        true
    }

    /// Owes how many follow the connection's user.
    pub fn push_audience(&mut self) {
        self.behind.get_or_insert_default().audience = true;
    }

    /// Ends a follow: its marks are forgotten, and its frames go out if the socket takes them. The
    /// follow in slot `renumbered` has taken its slot, with all that is owed about it.
    pub fn unfollow(&mut self, slot: u32, renumbered: u32) {
        for due in &mut self.due {
            let about = match due.about() {
                About::Position(about) | About::LastKnown(about) | About::Presence(about)
                    if about == slot =>
                {
                    About::Unfollowed
                }
                About::Presence(about) if about == renumbered => About::Presence(slot),
                About::Position(about) if about == renumbered => About::Position(slot),
                About::LastKnown(about) if about == renumbered => About::LastKnown(slot),
                _ => continue,
            };
            *due = Due::new(due.frame, about);
        }
        if let Some(behind) = &mut self.behind {
            behind.unfollow(slot, renumbered);
        }
    }

    /// Has what is owed about slot `from`, under a follow of everyone, be about the follow in slot `to`.
    /// A last known position that is owed because of that one goes out with its age or without, if there
    /// is one.
    pub fn rename(&mut self, from: u32, to: u32, with_age: Option<bool>) {
        for due in &mut self.due {
            let about = match due.about() {
                About::Position(about) if about == from => About::Position(to),
                About::LastKnown(about) if about == from => About::LastKnown(to),
                About::Presence(about) if about == from => About::Presence(to),
                _ => continue,
            };
            *due = Due::new(due.frame, about);
        }
        if let Some(behind) = &mut self.behind {
            behind.rename(from, to, with_age);
        }
    }

    /// Ends a follow of everyone, and none by name, as [`Outbox::unfollow`] does.
    pub fn unfollow_everyone(&mut self) {
        for due in &mut self.due {
            if let About::Position(slot) | About::LastKnown(slot) | About::Presence(slot) =
                due.about()
                && slot >= SPARSE_FROM
            {
                *due = Due::new(due.frame, About::Unfollowed);
            }
        }
        if let Some(behind) = &mut self.behind {
            behind.forget_everyone();
        }
    }

    /// Owes an HTTP answer. `stays` says whether the connection does.
    pub(super) fn push_reply(&mut self, response: &Response, stays: bool, unsent: &Ceiling) {
        let owed = std::mem::take(&mut self.wire);
        self.reply = Some(Box::new(Reply::new(owed, response, stays, unsent)));
    }

    /// Owes bytes that are no position: the answer to a handshake, a close frame.
    pub fn push_wire(&mut self, bytes: &[u8]) {
        self.wire.extend_from_slice(bytes);
    }

    /// Owes an error, behind all that is owed and not held; `false` if too many are unread already.
    #[must_use]
    pub fn push_error(&mut self, message: &[u8], frames: &mut Frames, hold: bool) -> bool {
        if self.push_in_order(About::Error, message, frames, hold) {
            return true;
        }
        let before = self.wire.len();
        append_text_frame(message, &mut self.wire);
        self.error_bytes += self.wire.len() - before;
        !self.is_behind() || self.error_bytes <= ERROR_BYTES_MAX
    }

    /// Owes the answer to a ping of ours, behind all that is owed and not held, or when the socket
    /// takes no more, to the last alone.
    pub fn push_pong_message(&mut self, message: &[u8], frames: &mut Frames, hold: bool) {
        if !self.push_in_order(About::Pong, message, frames, hold) {
            let mut frame = Vec::new();
            append_text_frame(message, &mut frame);
            self.push_pong(&frame);
        }
    }

    /// Owes a message behind the frames and marks that are owed, if there are any and the socket
    /// takes them.
    fn push_in_order(
        &mut self,
        about: About,
        message: &[u8],
        frames: &mut Frames,
        hold: bool,
    ) -> bool {
        let owes_nothing = self.due.is_empty() && self.behind.is_none();
        if self.is_behind() || hold || owes_nothing {
            return false;
        }
        self.due.push(Due::new(frames.push(message), about));
        true
    }

    /// Owes the answer to a ping: in order, or when the socket takes no more, to the last alone
    /// (RFC 6455, 5.5.3).
    pub fn push_pong(&mut self, frame: &[u8]) {
        match self.blocked() {
            None => self.wire.extend_from_slice(frame),
            Some(behind) => {
                behind.pong.clear();
                behind.pong.extend_from_slice(frame);
            }
        }
    }

    /// Forgets the positions that are owed; errors and the rest of a frame still go out.
    pub fn forget_positions(&mut self) {
        self.behind = None;
        self.due = Vec::new();
    }

    /// Room taken on the heap, in bytes.
    pub fn heap_bytes(&self) -> usize {
        let behind = self
            .behind
            .as_ref()
            .map_or(0, |behind| size_of::<Behind>() + behind.heap_bytes());
        let reply = (self.reply.as_ref()).map_or(0, |reply| reply.held_bytes());
        reply + self.wire.capacity() + self.due.capacity() * size_of::<Due>() + behind
    }

    /// Gives back room that a burst needed.
    pub fn shrink(&mut self) {
        if self.due.is_empty() && self.due.capacity() > SPARE_ENTRIES_MAX {
            self.due = Vec::new();
        }
    }

    /// Writes what is owed until all is written, the socket takes no more or no more trails are
    /// allowed; then what was not begun becomes marks. `hold` leaves this tick's positions for a
    /// later flush.
    pub fn flush(
        &mut self,
        to: &mut Stream<impl Write>,
        frames: &Frames,
        hold: bool,
        gather: &mut Gather,
        mut newest: impl Newest,
    ) -> io::Result<Flushed> {
        let mut flushed = Flushed::default();
        if let Some(reply) = &mut self.reply {
            if reply.flush(to, &mut flushed.bytes)? {
                self.reply = None;
            } else {
                flushed.blocked = true;
            }
            return Ok(flushed);
        }
        if self.wire.is_empty() && self.behind.is_none() && self.is_one_range() && !hold {
            self.flush_range(to, frames, &mut flushed)?;
        }
        while !flushed.blocked && self.gather(frames, hold, gather, &mut newest) {
            let taken = to.write(&gather.bytes)?;
            self.settle(taken, gather, &mut flushed);
        }
        flushed.paused = !flushed.blocked && self.behind.is_some();
        if flushed.blocked || flushed.paused {
            self.fall_behind(frames, &mut flushed);
        }
        Ok(flushed)
    }

    /// Whether the frames that are due are neighbours, as they are for followers of the same
    /// runners: frames are pushed in rising order, each once.
    fn is_one_range(&self) -> bool {
        match (self.due.first(), self.due.last()) {
            (Some(first), Some(last)) => (last.frame - first.frame) as usize == self.due.len() - 1,
            _ => false,
        }
    }

    /// One write straight from the frames, without a copy.
    fn flush_range(
        &mut self,
        to: &mut Stream<impl Write>,
        frames: &Frames,
        flushed: &mut Flushed,
    ) -> io::Result<()> {
        let (Some(first), Some(last)) = (self.due.first(), self.due.last()) else {
            return Ok(());
        };
        let bytes = frames.range(first.frame, last.frame);
        let taken = to.write(bytes)?;
        flushed.bytes += taken;
        if taken == bytes.len() {
            flushed.positions += positions(&self.due);
            self.due.clear();
            return Ok(());
        }
        flushed.blocked = true;
        let mut end = 0;
        let mut begun = 0;
        for due in &self.due {
            if end >= taken {
                break;
            }
            end += frames.frame(due.frame).len();
            begun += 1;
        }
        flushed.positions += positions(&self.due[..begun]);
        self.due.drain(..begun);
        self.wire.extend_from_slice(&bytes[taken..end]);
        Ok(())
    }

    /// Collects the next write's bytes; `false` if there are none.
    fn gather(
        &mut self,
        frames: &Frames,
        hold: bool,
        gather: &mut Gather,
        newest: &mut impl Newest,
    ) -> bool {
        gather.start(&self.wire);
        let has_all_marks =
            (self.behind.as_mut()).is_none_or(|behind| behind.gather(gather, newest));
        if gather.bytes.is_empty() && has_all_marks {
            self.behind = None;
        }
        if has_all_marks && !hold {
            for due in &self.due {
                if gather.bytes.len() >= WRITE_BYTES_MAX {
                    break;
                }
                gather.bytes.extend_from_slice(frames.frame(due.frame));
                gather.frames.push((Gathered::Due, gather.bytes.len()));
            }
        }
        !gather.bytes.is_empty()
    }

    /// Takes off what the socket took.
    fn settle(&mut self, taken: usize, gather: &Gather, flushed: &mut Flushed) {
        flushed.bytes += taken;
        flushed.blocked = taken < gather.bytes.len();
        if taken < self.wire.len() {
            self.wire.drain(..taken);
            self.error_bytes = self.error_bytes.min(self.wire.len());
            return;
        }
        let mut start = self.wire.len();
        self.wire = Vec::new();
        self.error_bytes = 0;
        let mut due = 0;
        for &(gathered, end) in &gather.frames {
            if start >= taken {
                break;
            }
            match (gathered, &mut self.behind) {
                (Gathered::Pong, Some(behind)) => behind.pong.clear(),
                (Gathered::Mark(mark), Some(behind)) => {
                    behind.settle(mark);
                    let is_position = !matches!(
                        mark,
                        Mark::Audience
                            | Mark::Presence(_)
                            | Mark::Introduction(_)
                            | Mark::Trail(..)
                            | Mark::CoveredTrail(..)
                    );
                    flushed.positions += usize::from(is_position);
                }
                _ => due += 1,
            }
            if end > taken {
                self.wire.extend_from_slice(&gather.bytes[taken..end]);
            }
            start = end;
        }
        flushed.positions += positions(&self.due[..due]);
        self.due.drain(..due);
    }

    /// Turns positions that were not begun into marks. Errors stay as they are, and the last pong.
    fn fall_behind(&mut self, frames: &Frames, flushed: &mut Flushed) {
        let behind = self.behind.get_or_insert_default();
        behind.blocked = true;
        for due in std::mem::take(&mut self.due) {
            let is_conflated = match due.about() {
                About::Position(slot) => !behind.mark_position(slot),
                About::LastKnown(slot) => !behind.mark_last_known(slot),
                About::Presence(slot) => {
                    behind.mark_presence(slot);
                    false
                }
                About::Unfollowed => true,
                About::Error => {
                    let frame = frames.frame(due.frame);
                    self.wire.extend_from_slice(frame);
                    self.error_bytes += frame.len();
                    false
                }
                About::Pong => {
                    behind.pong.clear();
                    behind.pong.extend_from_slice(frames.frame(due.frame));
                    false
                }
            };
            flushed.conflated += usize::from(is_conflated);
        }
    }
}
