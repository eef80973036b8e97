//! What comes to the door for phones, and what it is read as. Knows no formats.

use std::fmt;

use crate::dialect::Dialect;
use crate::fix::Fix;
use crate::refusal::Refusal;

/// Most of our own positions in one list.
pub const LIST_POSITIONS_MAX: usize = 1000;

/// What a request to the door holds, besides what shows who sends it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Posted<'a> {
    /// What stands behind the question mark of the target, as it was written.
    pub query: &'a str,
    /// `X-Limit-U`, in which OwnTracks says its user.
    pub limit_user: Option<&'a str>,
    /// The user part of Basic, where it may say whose position this is.
    pub basic_user: Option<&'a str>,
    /// The content.
    pub body: &'a [u8],
}

/// One point.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Whose it is by the request's own words, if it says so: a text, or the digits of an integer.
    /// Whether that is an id is for the reader to judge; what could not even be read as a text is
    /// an empty one, which is no id.
    pub id: Option<String>,
    /// Where, or what is wrong with that.
    pub fix: Result<Fix, Refusal>,
}

/// What a request brought.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// How they are said.
    pub dialect: Dialect,
    /// Whether the points came as a list, be it of one.
    pub is_batch: bool,
    /// The points in the order in which they are to be taken: by their times, and those without
    /// one last. There are none in a sign of life.
    pub reports: Vec<Report>,
    /// Whose sign of life that is, if it says so. Like the id of a report, it is not judged.
    pub id: Option<String>,
}

impl Batch {
    /// A sign of life that moves nobody.
    pub(super) fn without_points(dialect: Dialect, id: Option<String>) -> Batch {
        Batch {
            dialect,
            is_batch: false,
            reports: Vec::new(),
            id,
        }
    }

    /// A point that came by itself.
    pub(super) fn of_one(dialect: Dialect, report: Report) -> Batch {
        Batch {
            dialect,
            is_batch: false,
            reports: vec![report],
            id: None,
        }
    }
}

/// Why nothing of a request was taken. Its [`Display`](fmt::Display) is a line for its sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is none of what the door takes; with what to mend.
    Malformed(String),
    /// A list has so many positions, more than [`LIST_POSITIONS_MAX`].
    TooMany(usize),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Unreadable::Malformed(line) => f.write_str(line),
            Unreadable::TooMany(count) => write!(
                f,
                "a list has at most {LIST_POSITIONS_MAX} positions: of these {count} none was taken, send them in parts"
            ),
        }
    }
}
