//! Whether an engine that says nothing is away: it is asked, and must answer. Must never know how,
//! nor a clock: the time is handed in.
//!
//! An eager judgement causes the loss that it fears: what is published while a link is cut is lost,
//! what an engine finds when it wakes is not. And whoever was stopped, or is slow, must not take the
//! own silence for the other's: an answer counts as missing only once the question was written and
//! reading, at its deadline or later, has found nothing more.

use std::time::{Duration, Instant};

/// After so much quiet the engine is asked.
const QUIET_MAX: Duration = Duration::from_secs(5);

/// So long it may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// The state of one connection that is open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Silence {
    heard_at: Instant,
    question: Question,
    /// When reading last found nothing more.
    drained_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
enum Question {
    None,
    /// It waits to be written.
    Queued,
    /// The socket was given it, or would not take it, at this time.
    Asked(Instant),
}

impl Silence {
    /// A connection on which a question waits to be written.
    pub(super) fn asking(now: Instant) -> Silence {
        Silence {
            heard_at: now,
            question: Question::Queued,
            drained_at: None,
        }
    }

    /// Bytes came.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard_at = now;
        self.question = Question::None;
    }

    /// What waited was written, or as much of it as the socket takes.
    pub(super) fn wrote(&mut self, now: Instant) {
        if let Question::Queued = self.question {
            self.question = Question::Asked(now);
        }
    }

    /// Reading found nothing more.
    pub(super) fn drained(&mut self, now: Instant) {
        self.drained_at = Some(now);
    }

    /// Whether to ask now. It counts as asked from then on.
    pub(super) fn ask(&mut self, now: Instant) -> bool {
        let is_due = matches!(self.question, Question::None) && now >= self.heard_at + QUIET_MAX;
        if is_due {
            self.question = Question::Queued;
        }
        is_due
    }

    /// Whether the engine is away.
    pub(super) fn is_over(&self) -> bool {
        let Question::Asked(at) = self.question else {
            return false;
        };
        self.drained_at
            .is_some_and(|drained_at| drained_at >= at + ANSWER_MAX)
    }

    /// When to read and look again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.question {
            Question::None => Some(self.heard_at + QUIET_MAX),
            Question::Queued => None,
            Question::Asked(at) => Some(at + ANSWER_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_engine_that_does_not_answer_is_away_after_ten_seconds_and_not_before() {
        let start = Instant::now();
        let mut silence = Silence::asking(start);
        silence.wrote(start);
        silence.heard(start);
        assert!(!silence.ask(start + QUIET_MAX - SECOND));
        assert_eq!(silence.deadline(), Some(start + 5 * SECOND));
        assert!(silence.ask(start + 5 * SECOND));
        assert!(!silence.ask(start + 6 * SECOND), "asked once");
        silence.wrote(start + 5 * SECOND);
        assert_eq!(silence.deadline(), Some(start + 10 * SECOND));
        silence.drained(start + 10 * SECOND - SECOND / 100);
        assert!(!silence.is_over());
        silence.drained(start + 10 * SECOND);
        assert!(silence.is_over());
    }

    #[test]
    fn whoever_was_stopped_reads_before_judging() {
        let start = Instant::now();
        let mut silence = Silence::asking(start);
        silence.wrote(start);
        silence.drained(start + SECOND);
        // A minute later nothing has been read since.
        assert!(!silence.is_over());
        silence.heard(start + 60 * SECOND);
        silence.drained(start + 60 * SECOND);
        assert!(!silence.is_over());
    }

    #[test]
    fn a_question_that_was_not_written_cannot_be_answered() {
        let start = Instant::now();
        let mut silence = Silence::asking(start);
        silence.drained(start + 60 * SECOND);
        assert!(!silence.is_over());
        assert_eq!(silence.deadline(), None);
        silence.wrote(start + 61 * SECOND);
        silence.drained(start + 65 * SECOND);
        assert!(!silence.is_over());
        silence.wrote(start + 65 * SECOND);
        silence.drained(start + 66 * SECOND);
        assert!(silence.is_over(), "more writing is not another question");
    }
}
