//! In which order positions of one user count that come through several nodes: each carries a
//! stamp, and no two stamps are equal. Must never know a clock: the time is handed in.

use std::fmt;

/// How many characters name a node.
pub(crate) const NODE_BYTES: usize = 11;

/// A time that is so many milliseconds ahead of a node's clock is not believed: one of two clocks is
/// wrong, and all that is said of the user until then would have to seem newer.
const AHEAD_MS_MAX: u64 = 60_000;

/// What a node is called from its start to its end: 11 characters that are safe in a URL, 64 bits
/// of chance.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Node([u8; NODE_BYTES]);

impl Node {
    /// From its name.
    pub(crate) fn new(name: &str) -> Option<Node> {
        let is_safe = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
        let name: [u8; NODE_BYTES] = name.as_bytes().try_into().ok()?;
        name.iter().all(is_safe).then_some(Node(name))
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        str::from_utf8(&self.0).expect("only ASCII gets in")
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// When a position came, by the clock of the node that received it; of equal times that of the node
/// with the greater name is the newer one, and of one node the later one in its own order.
///
/// Clocks differ, and go backwards. So a node stamps what it receives as newer than all that it
/// knows of the user (see [`Stamp::after`]), and the time is the clock's only where that is newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Stamp {
    /// Unix time in milliseconds.
    pub(crate) received_ms: u64,
    /// Who received it.
    pub(crate) node: Node,
    /// How many things the node has said since its start, this one included.
    pub(crate) sequence: u64,
}

impl Stamp {
    /// This stamp, or one of the first millisecond in which it is newer than the newest known. One
    /// that is too far ahead does not count: this node's clock was wrong, and has been set since.
    pub(crate) fn after(self, newest: Option<Stamp>) -> Stamp {
        let is_before =
            |newest: &Stamp| self <= *newest && !newest.is_too_far_ahead(self.received_ms);
        let Some(newest) = newest.filter(is_before) else {
            return self;
        };
        let same_time = Stamp {
            received_ms: newest.received_ms,
            ..self
        };
        match same_time > newest {
            true => same_time,
            false => Stamp {
                received_ms: newest.received_ms.saturating_add(1),
                ..self
            },
        }
    }

    /// Whether it is not to be believed where the clock says this time.
    pub(crate) fn is_too_far_ahead(self, now_ms: u64) -> bool {
        self.received_ms > now_ms.saturating_add(AHEAD_MS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node(number: u8) -> Node {
        Node::new(&format!("node_____-{number}")).expect("11 characters")
    }

    fn stamp(received_ms: u64, by: u8, sequence: u64) -> Stamp {
        Stamp {
            received_ms,
            node: node(by),
            sequence,
        }
    }

    #[test]
    fn the_time_counts_first_then_the_node_then_its_own_order() {
        let in_order = [
            stamp(1, 2, 9),
            stamp(2, 1, 7),
            stamp(2, 1, 8),
            stamp(2, 2, 1),
            stamp(10, 0, 0),
        ];
        assert!(in_order.is_sorted_by(|before, after| before < after));
    }

    #[test]
    fn a_node_is_named_by_11_characters_that_are_safe_in_a_url() {
        for refused in [
            "",
            "0123456789",
            "0123456789ab",
            "0123456789 ",
            "ä123456789",
            "0123456789/",
        ] {
            assert_eq!(Node::new(refused), None, "{refused}");
        }
        let named = Node::new("Zk3v_0aQx-9").expect("a name");
        assert_eq!(named.name(), "Zk3v_0aQx-9");
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_keep_a_user_in_the_future() {
        let said = stamp(1_000_000, 1, 8);
        let believed = stamp(1_060_000, 1, 7);
        assert_eq!(said.after(Some(believed)), stamp(1_060_000, 1, 8));
        assert_eq!(said.after(Some(stamp(1_060_001, 1, 7))), said);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_a_node_receives_is_newer_than_all_it_knows_by_no_more_than_it_must_be(
            clock_ms in 0..20u64, by in 0..3u8, known in (0..20u64, 0..3u8, 0..3u64),
        ) {
            let newest = stamp(known.0, known.1, known.2);
            let said = stamp(clock_ms, by, 1);
            let after = said.after(Some(newest));
            prop_assert!(after > newest);
            prop_assert_eq!((after.node, after.sequence), (said.node, said.sequence));
            prop_assert!(after.received_ms >= clock_ms);
            if after.received_ms > clock_ms {
                prop_assert!(stamp(after.received_ms - 1, by, 1) <= newest);
            }
            prop_assert_eq!(said.after(None), said);
        }
    }
}
