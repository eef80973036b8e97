//! What an engine was asked and has not answered yet. Must never know the answers.

use std::collections::VecDeque;
use std::rc::Rc;

/// So much of answers is awaited at most: an engine cuts off whom it owes more than a few MiB.
const EXPECTED_BYTES_MAX: usize = 2 * 1024 * 1024;

/// What a point of a trail takes in an answer, at most.
const POINT_BYTES: usize = 48;

/// What a part of the index takes, with half a million users.
const INDEX_BYTES: usize = 128 * 1024;

/// What any other answer takes, at most.
const ANSWER_BYTES: usize = 1024;

/// What was asked of an engine; the answers come in the order of the questions.
#[derive(Clone, Debug)]
pub(super) enum Question {
    /// Which nodes said when that they are there.
    Nodes,
    /// The mark of an engine that has lost nothing.
    Life,
    /// The newest position, and whether nothing else is asked of the user.
    LastKnown(Rc<str>, bool),
    /// What each node says of the user.
    Words(Rc<str>),
    /// The same, when all have had time to say it again.
    WordsAgain(Rc<str>),
    /// How many follow the user, by node.
    Audiences(Rc<str>),
    /// So many points of the user's trail at most.
    Trail(Rc<str>, usize),
    /// Who is in a part of the index.
    Index,
}

impl Question {
    /// How much its answer is expected to be.
    fn expected_bytes(&self) -> usize {
        match self {
            Question::Trail(_, points) => points * POINT_BYTES,
            Question::Index => INDEX_BYTES,
            _ => ANSWER_BYTES,
        }
    }
}

/// The questions of one connection, in their order.
#[derive(Debug, Default)]
pub(super) struct Questions {
    queue: VecDeque<Question>,
    expected_bytes: usize,
}

impl Questions {
    /// Takes note of one that was asked.
    pub(super) fn push(&mut self, question: Question) {
        self.expected_bytes += question.expected_bytes();
        self.queue.push_back(question);
    }

    /// Takes the one that the next answer is to.
    pub(super) fn pop(&mut self) -> Option<Question> {
        let question = self.queue.pop_front()?;
        self.expected_bytes -= question.expected_bytes();
        Some(question)
    }

    /// Whether so much is awaited that no more is to be asked.
    pub(super) fn are_many(&self) -> bool {
        self.expected_bytes >= EXPECTED_BYTES_MAX
    }
}
