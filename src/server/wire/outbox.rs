//! What one connection still has to send. While its socket takes bytes, every position goes out;
//! once it does not, the outbox keeps one mark for each runner that the follower is behind on, and
//! sends the newest position of each when the socket drains. Presence and audience are marks from
//! the start. Knows no clock and no message.

use super::ceiling::Ceiling;
use super::due::{About, Due};
use super::frames::{Frames, append_text_frame};
pub use super::gather::{Gather, Mark, Newest};
use super::marks::Behind;
use super::reply::Reply;
use crate::queue::SPARSE_FROM;
use crate::server::http::Response;

/// Most bytes of errors kept for a peer that does not read.
pub const ERROR_BYTES_MAX: usize = 64 * 1024;

/// Room for this many entries is kept between ticks; more is given back.
const SPARE_ENTRIES_MAX: usize = 4;

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
    pub(super) reply: Option<Box<Reply>>,
    /// Bytes that go out first and as they are: the rest of a frame, errors, pongs.
    pub(super) wire: Vec<u8>,
    /// How many of them are errors, at most.
    pub(super) error_bytes: usize,
    pub(super) due: Vec<Due>,
    pub(super) behind: Option<Box<Behind>>,
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
}
