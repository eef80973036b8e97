//! What goes to an engine: commands that wait to be written, and what their answers, which come in
//! the same order, are for. Both are bounded. Must never know what the commands mean.

use std::collections::VecDeque;

use super::resp;

/// Most answers outstanding that differ from the one before.
const DUE_MAX: usize = 64 * 1024;

/// Room that is kept once all is written.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// Whatever the asker finds its question by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(pub(crate) u32);

/// What an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The greeting.
    Greeting,
    /// A right that is tried.
    Probe,
    /// A question that is asked to hear something.
    Ping,
    /// A change of subscriptions, which is told by a push message for each channel.
    Subscription,
    /// A command of whose answer nothing but an error is of interest.
    Done,
    /// A question.
    Asked(Tag),
}

/// A command was not taken: there is no room, or no engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotTaken;

/// The commands of one connection.
#[derive(Debug)]
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    written: usize,
    /// What was written and is on its way still: encrypted, and not taken by the socket.
    held: usize,
    bytes_max: usize,
    /// Answers to come, with how many of the same follow one another.
    due: VecDeque<(Due, usize)>,
}

impl Outgoing {
    /// With room for so many bytes that wait.
    pub(super) fn new(bytes_max: usize) -> Outgoing {
        Outgoing {
            bytes: Vec::new(),
            written: 0,
            held: 0,
            bytes_max,
            due: VecDeque::new(),
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        *self = Outgoing::new(self.bytes_max);
    }

    /// How many bytes wait, those that are on their way included.
    pub(super) fn pending_bytes(&self) -> usize {
        self.bytes.len() - self.written + self.held
    }

    /// The bytes that wait to be written.
    pub(super) fn pending(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// So many of them are written, and so many bytes are on their way.
    pub(super) fn wrote(&mut self, count: usize, held: usize) {
        self.written += count;
        self.held = held;
        debug_assert!(self.written <= self.bytes.len());
        if self.written == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_BYTES_MAX);
            self.written = 0;
        } else if self.written >= self.bytes_max {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
    }

    /// Whether commands of so many bytes and so many answers can be taken.
    pub(super) fn check_room(&self, bytes: usize) -> Result<(), NotTaken> {
        let is_room = self.pending_bytes() + bytes <= self.bytes_max && self.due.len() < DUE_MAX;
        is_room.then_some(()).ok_or(NotTaken)
    }

    /// Takes a command with as many answers, whatever room there is.
    pub(super) fn command(&mut self, arguments: &[&[u8]], due: Due, answers: usize) {
        resp::command(&mut self.bytes, arguments);
        self.expect(due, answers);
    }

    /// Takes commands that are written by somebody else.
    pub(super) fn commands(&mut self, write: impl FnOnce(&mut Vec<u8>), due: Due, answers: usize) {
        write(&mut self.bytes);
        self.expect(due, answers);
    }

    fn expect(&mut self, due: Due, answers: usize) {
        match self.due.back_mut() {
            Some((last, count)) if *last == due => *count += answers,
            _ => self.due.push_back((due, answers)),
        }
    }

    /// What the answer that comes is for; nothing if nobody asked.
    pub(super) fn answered(&mut self) -> Option<Due> {
        let (due, count) = self.due.front_mut()?;
        let due = *due;
        *count -= 1;
        if *count == 0 {
            self.due.pop_front();
        }
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_makes_room_and_what_is_not_stays_in_order() {
        let mut outgoing = Outgoing::new(40);
        let mut expected = Vec::new();
        let mut written = Vec::new();
        for round in 0..100u8 {
            let command: [&[u8]; 2] = [b"GET", &[round]];
            let bytes = resp::command_bytes(&command);
            outgoing.bytes_max = 40.max(bytes);
            if outgoing.check_room(bytes).is_ok() {
                outgoing.command(&command, Due::Asked(Tag(round.into())), 1);
                resp::command(&mut expected, &command);
            }
            assert!(outgoing.pending_bytes() <= outgoing.bytes_max);
            let some = usize::from(round % 7).min(outgoing.pending_bytes());
            written.extend_from_slice(&outgoing.pending()[..some]);
            outgoing.wrote(some, 0);
            assert!(
                outgoing.bytes.len() < 4 * outgoing.bytes_max,
                "the written part goes"
            );
        }
        written.extend_from_slice(outgoing.pending());
        assert_eq!(written, expected);
        outgoing.wrote(outgoing.pending_bytes(), 0);
        assert_eq!(outgoing.pending_bytes(), 0);
    }

    #[test]
    fn what_is_encrypted_and_not_taken_counts_as_waiting() {
        let mut outgoing = Outgoing::new(100);
        outgoing.command(&[b"GET", b"x"], Due::Done, 1);
        outgoing.wrote(outgoing.pending().len(), 70);
        assert_eq!(
            (outgoing.pending_bytes(), outgoing.pending()),
            (70, &b""[..])
        );
        assert_eq!(outgoing.check_room(31), Err(NotTaken));
        outgoing.command(&[b"GET", b"x"], Due::Done, 1);
        let bytes = outgoing.pending().len();
        assert_eq!(outgoing.pending_bytes(), 70 + bytes);
        outgoing.wrote(0, 10);
        assert_eq!(outgoing.pending_bytes(), 10 + bytes);
        outgoing.wrote(bytes, 0);
        assert_eq!(outgoing.pending_bytes(), 0);
        assert_eq!(outgoing.check_room(100), Ok(()));
    }

    #[test]
    fn answers_are_for_what_was_asked_in_the_same_order() {
        let mut outgoing = Outgoing::new(1000);
        let all = [
            (Due::Done, 2),
            (Due::Done, 2),
            (Due::Asked(Tag(1)), 1),
            (Due::Asked(Tag(1)), 1),
            (Due::Asked(Tag(2)), 1),
            (Due::Subscription, 3),
        ];
        for (due, answers) in all {
            outgoing.command(&[b"X"], due, answers);
        }
        for (due, answers) in all {
            for _ in 0..answers {
                assert_eq!(outgoing.answered(), Some(due));
            }
        }
        assert_eq!(outgoing.answered(), None);
    }

    #[test]
    fn answers_that_do_not_come_take_bounded_memory() {
        let mut outgoing = Outgoing::new(1000);
        let mut taken = 0;
        while outgoing.check_room(0).is_ok() {
            outgoing.command(&[b"GET"], Due::Asked(Tag(taken)), 1);
            outgoing.wrote(outgoing.pending_bytes(), 0);
            taken += 1;
        }
        assert_eq!(taken as usize, DUE_MAX);
        outgoing.answered();
        assert!(outgoing.check_room(0).is_ok());
        outgoing.clear();
        assert_eq!(outgoing.answered(), None);
    }
}
