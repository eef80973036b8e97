//! Which nodes are there, by their heartbeats and this node's own, and what each says of itself. Must
//! never know where users are.

use std::rc::Rc;

use log::warn;

use super::Told;
use super::hearing::{Ear, count, since};
use super::peers::HEARTBEAT_INTERVAL;
use crate::bus::{Envelope, Ignored, Kind, Node};
use crate::protocol::{Place, decode_heartbeat};
use crate::user::is_id;

impl Ear<'_> {
    pub(super) fn hear_of_node(&mut self, envelope: &Envelope) {
        let node = envelope.stamp.node;
        match (envelope.kind, count(envelope.json)) {
            (Kind::Heartbeat, _) => {
                let heartbeat = decode_heartbeat(envelope.json);
                if let Some(heartbeat) = &heartbeat {
                    self.compare_engines(node, heartbeat.place);
                }
                if self.peers.hear(node) {
                    self.tell_whether_elsewhere(node);
                }
                if let Some(heartbeat) = heartbeat {
                    self.take_everyone(node, heartbeat.everyone);
                }
            }
            (Kind::Audience, Some(count)) => self.take_everyone(node, count),
            (Kind::Newcomer, _) if is_id(envelope.json) => {
                if self.topics.have_everyone() {
                    let id = Rc::from(envelope.json);
                    let now = self.now.monotonic;
                    if let Some(topic) = self.topics.get_or_new_of_everyone(&id, now) {
                        topic.is_newcomer = topic.newest.is_none();
                    }
                }
            }
            _ => self.counts.ignore(Ignored::Malformed),
        }
    }

    /// Takes how many follow everyone on another node.
    fn take_everyone(&mut self, node: Node, count: i64) {
        if self.peers.set_everyone(node, count) {
            self.told.push_back(Told::Everyone(self.peers.everyone()));
        }
    }

    /// Says so, once, if a node looks for users on other engines than this one does.
    fn compare_engines(&mut self, node: Node, theirs: Place) {
        if theirs == self.place {
            return;
        }
        if self.peers.is_first_difference(node) {
            let told = |(engine, engines): Place| format!("{} of {engines}", engine + 1);
            let (ours, theirs) = (told(self.place), told(theirs));
            warn!(
                "bus engines differ node={} here=\"{ours}\" there=\"{theirs}\" mend=\"give all nodes the same --bus in the same order\"",
                node.name()
            );
        }
    }

    pub(super) fn hear_own_heartbeat(&mut self, payload: &[u8]) {
        // What else we say in this channel is no sign of life.
        let Some(stamp) = Envelope::heartbeat(payload) else {
            return;
        };
        let round_trip = since(self.now, stamp.received_ms);
        self.counts.round_trip.add(round_trip);
        if round_trip >= HEARTBEAT_INTERVAL {
            // The engine, or this node, stood still: ours may all come before those of others.
            return;
        }
        for gone in self.peers.hear_own(stamp.sequence) {
            self.tell_whether_elsewhere(gone);
        }
    }

    /// A node is gone, or back: tells of all whom it declares, and of all audiences.
    pub(super) fn tell_whether_elsewhere(&mut self, node: Node) {
        self.told.push_back(Told::Everyone(self.peers.everyone()));
        for topic in self.topics.asked_about() {
            let count = topic.audience_elsewhere(self.peers);
            self.told
                .push_back(Told::Audience(Rc::clone(&topic.id), count));
        }
        for topic in self.topics.declared_by(node) {
            let is_elsewhere = topic.is_elsewhere(self.peers);
            let id = Rc::clone(&topic.id);
            self.told.push_back(Told::Elsewhere(id, is_elsewhere));
        }
    }
}
