//! Which position of a user is the newest, where several nodes can publish for it, and what to do so
//! that the engine keeps that one. Must never know what a position is.

use super::stamp::Stamp;

/// What a node knows of one user's order: the newest stamp, and whether the engine is about to hear
/// it from here.
///
/// A position is kept and published by two plain commands, `SET` and `PUBLISH`, that an engine
/// executes together. Before its first for a user a node subscribes to the user's channel and then
/// reads the key, and it stays subscribed, so it knows what it replaces: no late queue of a phone
/// replaces a newer position, whichever node it comes through. What remains is two nodes that
/// publish for one user within the time that a message takes. Then the engine may take the older
/// one last; but the order of a channel's messages *is* the order in which the key was set, and so
/// both nodes hear it and at once set the newest again ([`Heard::Overwrote`]): whoever reads the
/// key in between is subscribed by then, and gets it.
///
/// A script that compares in the engine would leave out this moment, and costs the engine three to
/// four times as much for every single position (Redis 7.0.15, 200,000 positions in writes of 100:
/// 1.2 to 1.4 µs for `SET` and `PUBLISH`, 1.5 to 2.3 with the node itself subscribed, 4.9 to 5.5
/// by a script), needs rights to run scripts, and does not know which of two clocks of a phone is
/// the right one, as the node does that follows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Newest {
    stamp: Stamp,
    is_on_its_way: bool,
}

/// What to do about a position that an engine told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It is the newest: pass it on.
    Newer,
    /// It is known, or something newer is on its way: nothing.
    Known,
    /// It is older than the newest, and the engine keeps it: who publishes for the user sets the
    /// newest again.
    Overwrote,
}

impl Newest {
    /// A position of this node's own goes to the engine.
    pub(crate) fn published(stamp: Stamp) -> Newest {
        Newest {
            stamp,
            is_on_its_way: true,
        }
    }

    /// The first that was heard of a user.
    pub(crate) fn heard_first(stamp: Stamp) -> Newest {
        Newest {
            stamp,
            is_on_its_way: false,
        }
    }

    /// The newest stamp.
    pub(crate) fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Takes note of what came through the channel, or of what the key was when it was read.
    pub(crate) fn hear(&mut self, stamp: Stamp) -> Heard {
        if stamp > self.stamp {
            *self = Newest::heard_first(stamp);
            return Heard::Newer;
        }
        if stamp == self.stamp {
            self.is_on_its_way = false;
            return Heard::Known;
        }
        match self.is_on_its_way {
            true => Heard::Known,
            false => Heard::Overwrote,
        }
    }

    /// The newest is set again.
    pub(crate) fn set_again(&mut self) {
        self.is_on_its_way = true;
    }

    /// The link is down, and nobody knows what got through.
    pub(crate) fn lost(&mut self) {
        self.is_on_its_way = false;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;
    use crate::bus::stamp::Node;

    fn stamp(received_ms: u64, by: u8, sequence: u64) -> Stamp {
        Stamp {
            received_ms,
            node: Node::new(&format!("node_____-{by}")).expect("11 characters"),
            sequence,
        }
    }

    const NODES: usize = 3;

    /// What a node of the model sends to the engine.
    #[derive(Clone, Copy, Debug)]
    enum Command {
        /// `SET` and `PUBLISH`.
        Publish(Stamp),
        /// `SUBSCRIBE` and `GET`.
        Follow,
    }

    /// One user, and nodes that all publish for it through one engine.
    #[derive(Debug, Default)]
    struct World {
        key: Option<Stamp>,
        nodes: [ModelNode; NODES],
        newest_ever: Option<Stamp>,
    }

    #[derive(Debug, Default)]
    struct ModelNode {
        newest: Option<Newest>,
        sequence: u64,
        is_subscribed: bool,
        commands: VecDeque<Command>,
        /// What the engine told, with what it read for this node; nothing where nothing was.
        heard: VecDeque<Option<Stamp>>,
        delivered: Vec<Stamp>,
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// A position comes to a node whose clock says this.
        Receive(usize, u64),
        /// The engine takes the next command of a node.
        Execute(usize),
        /// A node hears the next that the engine told it.
        Hear(usize),
        /// A node's link breaks with all that is under way, and is there again.
        Break(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0..NODES, 0..12u64).prop_map(|(node, ms)| Step::Receive(node, ms)),
            4 => (0..NODES).prop_map(Step::Execute),
            4 => (0..NODES).prop_map(Step::Hear),
            1 => (0..NODES).prop_map(Step::Break),
        ]
    }

    impl World {
        fn take(&mut self, step: &Step) {
            match *step {
                Step::Receive(by, clock_ms) => self.receive(by, clock_ms),
                Step::Execute(of) => self.execute(of),
                Step::Hear(by) => self.hear(by),
                Step::Break(of) => {
                    let node = &mut self.nodes[of];
                    node.commands.clear();
                    node.heard.clear();
                    node.is_subscribed = false;
                    if let Some(newest) = &mut node.newest {
                        newest.lost();
                    }
                    node.commands.push_back(Command::Follow);
                }
            }
        }

        fn receive(&mut self, by: usize, clock_ms: u64) {
            let node = &mut self.nodes[by];
            node.sequence += 1;
            let said = stamp(clock_ms, by as u8, node.sequence);
            let said = said.after(node.newest.map(|newest| newest.stamp()));
            node.newest = Some(Newest::published(said));
            node.delivered.push(said);
            node.commands.push_back(Command::Publish(said));
            self.newest_ever = self.newest_ever.max(Some(said));
        }

        fn execute(&mut self, of: usize) {
            match self.nodes[of].commands.pop_front() {
                None => {}
                Some(Command::Follow) => {
                    self.nodes[of].is_subscribed = true;
                    self.nodes[of].heard.push_back(self.key);
                }
                Some(Command::Publish(said)) => {
                    self.key = Some(said);
                    for node in self.nodes.iter_mut().filter(|node| node.is_subscribed) {
                        node.heard.push_back(Some(said));
                    }
                }
            }
        }

        fn hear(&mut self, by: usize) {
            let node = &mut self.nodes[by];
            let Some(told) = node.heard.pop_front() else {
                return;
            };
            let heard = match (told, &mut node.newest) {
                (None, None) => Heard::Known,
                // The engine came back empty, or what was on its way to it was lost.
                (None, Some(_)) => Heard::Overwrote,
                (Some(said), Some(newest)) => newest.hear(said),
                (Some(said), none) => {
                    *none = Some(Newest::heard_first(said));
                    Heard::Newer
                }
            };
            match (heard, told, &mut node.newest) {
                (Heard::Newer, Some(said), _) => node.delivered.push(said),
                (Heard::Overwrote, _, Some(newest)) => {
                    newest.set_again();
                    node.commands.push_back(Command::Publish(newest.stamp()));
                }
                _ => {}
            }
        }

        fn is_quiet(&self) -> bool {
            let is_quiet = |node: &ModelNode| node.commands.is_empty() && node.heard.is_empty();
            self.nodes.iter().all(is_quiet)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn nobody_sees_an_older_position_after_a_newer_one_and_the_engine_ends_with_the_newest(
            steps in prop::collection::vec(step(), 0..80),
        ) {
            let mut world = World::default();
            for node in &mut world.nodes {
                node.commands.push_back(Command::Follow);
            }
            for step in &steps {
                world.take(step);
            }
            let mut rounds = 0;
            while !world.is_quiet() {
                for of in 0..NODES {
                    world.take(&Step::Execute(of));
                    world.take(&Step::Hear(of));
                }
                rounds += 1;
                prop_assert!(rounds < 1000, "the nodes answer one another for ever");
            }
            prop_assert_eq!(world.key, world.newest_ever);
            for node in &world.nodes {
                prop_assert!(node.delivered.is_sorted_by(|before, after| before < after));
                prop_assert_eq!(node.newest.map(|newest| newest.stamp()), world.newest_ever);
                prop_assert_eq!(node.delivered.last().copied(), world.newest_ever);
            }
        }
    }
}
