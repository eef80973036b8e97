//! How what an outbox owes is written: in one write if the socket takes it, else as far as it does;
//! what was not begun then becomes marks. Knows no clock and no message.

use std::io::{self, Write};

use super::due::{About, positions};
use super::frames::Frames;
use super::gather::{Gather, Gathered, Mark, Newest};
use super::marks::WRITE_BYTES_MAX;
use super::outbox::Outbox;
use super::stream::Stream;

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

impl Outbox {
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
            if !reply.flush(to, &mut flushed.bytes)? {
                flushed.blocked = true;
                return Ok(flushed);
            }
            // Nothing is owed behind it, but a handshake may have made the outbox fall behind.
            self.reply = None;
        }
        if self.wire.is_empty() && self.behind.is_none() && self.is_one_range() && !hold {
            self.flush_range(to, frames, &mut flushed)?;
        }
        while !flushed.blocked && self.gather(frames, hold, gather, &mut newest) {
            let taken = to.write(&gather.bytes)?;
            self.settle(taken, gather, &mut flushed);
        }
        to.drain()?;
        flushed.blocked |= to.owed() > 0;
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
