//! One user whom a node hears of through the bus, or tells of. Must never know an engine's socket.

use std::rc::Rc;
use std::time::Instant;

use crate::bus::{Newest, Node, Stamp};
use crate::point::TrailPoint;
use crate::relay::Stake;

/// How far what the engine knows of a user has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// It is to be asked for.
    Waits,
    /// It was asked for.
    Asked,
    /// It is known, and what is new comes by itself.
    Done,
}

/// A position from here.
#[derive(Debug)]
pub(super) struct Position {
    pub(super) fix_ms: Option<f64>,
    pub(super) json: String,
}

/// What a node says about a user besides where it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::server) struct Word {
    /// A member declared the user.
    pub(in crate::server) is_declared: bool,
    /// What the user is called, by a token and by itself.
    pub(in crate::server) names: [Option<Box<str>>; 2],
}

/// One user.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) id: Rc<str>,
    pub(super) engine: usize,
    pub(super) stake: Stake,
    pub(super) reading: Reading,
    /// The order of its positions, as far as it is known.
    pub(super) newest: Option<Newest>,
    /// Positions from here that were not stamped yet: what they come after is not known.
    pub(super) held: Vec<Position>,
    /// Whether the engine is to be given the newest position, which the relay has.
    pub(super) owes_position: bool,
    /// Whether it is to be given our word.
    pub(super) owes_word: bool,
    /// Our word, and the one that it was given.
    pub(super) word: Word,
    pub(super) told: Word,
    /// Who declares it besides us.
    pub(super) declared_by: Vec<Node>,
    /// How many follow it here, as the engine was told.
    pub(super) audience_told: i64,
    /// Whether the engine is to be told again.
    pub(super) owes_audience: bool,
    /// Whether that was told a moment ago.
    pub(super) is_paced: bool,
    /// How many follow it elsewhere, by node; nothing if nobody here asks.
    pub(super) audiences: Option<Vec<(Node, i64)>>,
    pub(super) leaves_at: Option<Instant>,
    /// Points of its trail that the engine is to be given.
    pub(super) points: Vec<TrailPoint>,
    /// Whether it was told to the index.
    pub(super) is_indexed: bool,
    /// Whether it joined while everyone is heard of, so that its first position is news.
    pub(super) is_newcomer: bool,
    /// Whether reading it took too long.
    pub(super) is_late: bool,
    /// Whether its trail is to be read once all positions were: it was read before.
    pub(super) has_old_trail: bool,
}

impl Topic {
    /// Stamps what was received now.
    pub(super) fn stamp(&mut self, stamp: Stamp) -> Stamp {
        stamp.after(self.newest.as_ref().map(Newest::stamp))
    }

    /// Whether the engine is to be told now how many follow it.
    pub(super) fn owes_audience_now(&self) -> bool {
        self.owes_audience && !self.is_paced
    }

    /// Whether it is to be told to the index.
    pub(super) fn owes_index(&self) -> bool {
        !self.is_indexed && (self.stake.is_declared || self.stake.has_position)
    }

    /// Whether others wait for something that only this node can say.
    pub(super) fn owes_some_word(&self) -> bool {
        self.owes_word || self.owes_audience || self.owes_position
    }

    /// Whether the engine is to be given something.
    pub(super) fn owes_some(&self) -> bool {
        let owes_position = self.owes_position && self.reading == Reading::Done;
        let owes_word = self.owes_word || self.owes_audience_now() || self.owes_listening();
        owes_position || owes_word || self.owes_index() || !self.points.is_empty()
    }

    /// Whether it is to be begun or ended to hear how many follow it elsewhere.
    pub(super) fn owes_listening(&self) -> bool {
        self.stake.asks_audience != self.audiences.is_some()
    }
}
