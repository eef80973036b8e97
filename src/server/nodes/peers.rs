//! The other nodes, and which of them are there. Must never know what they serve, nor a clock.
//!
//! A node counts as gone when it said nothing while several heartbeats of our own came back from the
//! engine. So neither an engine that stands still makes a node be gone, nor a pause of our own: then
//! none of ours comes back either.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::bus::Node;

/// How often a node says that it is there.
pub(super) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(2);

/// So many of our heartbeats without one of the other's, 2 s apart: it is gone after 6 to 8 s.
const MISSED_MAX: u32 = 4;

/// Nodes that are remembered once they are gone, so that what they said is not believed.
const GONE_MAX: usize = 4096;

/// The nodes that were heard or heard of.
#[derive(Debug, Default)]
pub(super) struct Peers {
    /// Each with how many of ours came since its last heartbeat.
    missed: HashMap<Node, u32>,
    /// How many follow everyone on each.
    everyone: HashMap<Node, i64>,
    /// How many of ours came since a link came up, and the last of them.
    heard_own: u32,
    last_own: u64,
    /// Those of which it was said that their engines are not ours.
    differing: HashSet<Node>,
}

impl Peers {
    /// Whether a node is there. One that was not heard yet is, until it is missed.
    pub(super) fn is_there(&mut self, node: Node) -> bool {
        *self.missed.entry(node).or_insert(self.heard_own) < MISSED_MAX
    }

    /// Takes note of a node that said so long ago that it is there.
    pub(super) fn hear_of(&mut self, node: Node, age: Duration) {
        let missed = age.as_secs() / HEARTBEAT_INTERVAL.as_secs();
        let missed = MISSED_MAX.min(missed as u32);
        self.missed.entry(node).or_insert(missed);
    }

    /// Says that what others said may not have come for a while.
    pub(super) fn listen_again(&mut self) {
        self.heard_own = 0;
    }

    /// Takes note that a node has other engines; says whether that was not known.
    pub(super) fn is_first_difference(&mut self, node: Node) -> bool {
        self.differing.insert(node)
    }

    /// Takes note of a heartbeat; says whether its node was gone.
    pub(super) fn hear(&mut self, node: Node) -> bool {
        let missed = self.missed.insert(node, 0);
        missed.is_some_and(|missed| missed >= MISSED_MAX)
    }

    /// Takes note of one of our own that came back soon; says who is gone from now on. It comes back
    /// from each engine, and counts once.
    pub(super) fn hear_own(&mut self, sequence: u64) -> Vec<Node> {
        let mut gone = Vec::new();
        if sequence <= self.last_own {
            return gone;
        }
        self.last_own = sequence;
        self.heard_own = MISSED_MAX.min(self.heard_own + 1);
        for (node, missed) in &mut self.missed {
            *missed = missed.saturating_add(1);
            if *missed == MISSED_MAX {
                gone.push(*node);
            }
        }
        if self.missed.len() > GONE_MAX {
            self.missed.retain(|_, missed| *missed <= MISSED_MAX);
            self.everyone
                .retain(|node, _| self.missed.contains_key(node));
            self.differing.retain(|node| self.missed.contains_key(node));
        }
        gone
    }

    /// Takes note of how many follow everyone on a node; says whether that is news.
    pub(super) fn set_everyone(&mut self, node: Node, count: i64) -> bool {
        let before = match count {
            0 => self.everyone.remove(&node),
            _ => self.everyone.insert(node, count),
        };
        before.unwrap_or_default() != count
    }

    /// How many follow everyone on the nodes that are there besides this one.
    pub(super) fn everyone(&self) -> i64 {
        let is_there = |node: &Node| self.missed.get(node).is_some_and(|it| *it < MISSED_MAX);
        let there = self.everyone.iter().filter(|(node, _)| is_there(node));
        there.map(|(_, count)| count).sum()
    }

    /// How many nodes are there besides this one.
    pub(super) fn count(&self) -> usize {
        (self.missed.values())
            .filter(|missed| **missed < MISSED_MAX)
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> Node {
        Node::new(name).expect("a name")
    }

    #[test]
    fn a_node_is_gone_when_only_our_own_heartbeats_come_and_there_when_it_is_heard() {
        let mut peers = Peers::default();
        let other = node("other______");
        assert!(!peers.hear(other));
        for beat in 1..u64::from(MISSED_MAX) {
            assert_eq!(peers.hear_own(beat), []);
            assert_eq!(peers.hear_own(beat), [], "from another engine");
            assert!(peers.is_there(other));
        }
        assert_eq!(peers.hear_own(MISSED_MAX.into()), [other]);
        assert!(!peers.is_there(other));
        assert_eq!(
            (peers.count(), peers.hear_own(9).len()),
            (0, 0),
            "said once"
        );
        assert!(peers.hear(other), "it is back");
        assert!(peers.is_there(other));
        assert_eq!(peers.count(), 1);
    }

    #[test]
    fn a_node_that_was_only_heard_of_is_there_until_it_is_missed() {
        let mut peers = Peers::default();
        let other = node("other______");
        assert!(peers.is_there(other));
        for beat in 1..=MISSED_MAX.into() {
            peers.hear_own(beat);
        }
        assert!(!peers.is_there(other));
        assert!(
            !peers.is_there(node("dead_______")),
            "it would have been heard"
        );
        peers.listen_again();
        assert!(
            peers.is_there(node("new________")),
            "it may not have come yet"
        );
    }

    #[test]
    fn a_node_that_was_silent_for_long_when_this_one_came_is_gone() {
        let mut peers = Peers::default();
        peers.hear_of(node("alive______"), Duration::from_secs(3));
        peers.hear_of(node("dead_______"), Duration::from_secs(30));
        assert!(peers.is_there(node("alive______")));
        assert!(!peers.is_there(node("dead_______")));
        peers.hear_own(1);
        peers.hear_own(2);
        assert_eq!(
            peers.hear_own(3),
            [node("alive______")],
            "4 times with the one before"
        );
    }
}
