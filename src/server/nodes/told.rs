//! What a node is told through the bus, as far as others than the bus have to know it.

use std::rc::Rc;
use std::time::Duration;

use super::topic::Word;
use crate::point::TrailPoint;

/// What is told of a user.
#[derive(Debug)]
pub(in crate::server) enum Told {
    /// It moved.
    Position {
        /// Who.
        id: Rc<str>,
        /// The position as it is relayed.
        json: String,
        /// How long ago that was, if nobody here was told then.
        age: Option<Duration>,
    },
    /// It said goodbye on another node.
    Goodbye(Rc<str>),
    /// Whether members of other nodes declared it.
    Elsewhere(Rc<str>, bool),
    /// What it is called, by what another node says.
    Word(Rc<str>, Word),
    /// How many more follow it on other nodes than follow everyone there.
    Audience(Rc<str>, i64),
    /// How many follow everyone on other nodes.
    Everyone(i64),
    /// All points of its trail that the engine kept, in any order.
    Trail(Rc<str>, Vec<TrailPoint>),
    /// All is known of it that the engine knows, or that takes too long.
    Read(Rc<str>),
    /// Nothing is heard of it any more.
    Left(Rc<str>),
}
