//! What this node is told by the others and by the engines. Must never know what it tells itself,
//! but for what an engine lost.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use log::warn;

use super::counts::Counts;
use super::engine::Engine;
use super::peers::{HEARTBEAT_INTERVAL, Peers};
use super::questions::Question;
use super::topic::{Position, Topic, Word};
use super::topics::Topics;
use super::{Nodes, Told};
use crate::bus::{
    Channel, Envelope, Event, Heard, Ignored, Kind, Names, Newest, Node, Of, Stamp, Value,
};
use crate::protocol::{Place, decode_heartbeat, decode_word};
use crate::relay::Now;
use crate::user::is_id;

/// What is changed by what is heard.
pub(super) struct Ear<'a> {
    pub(super) node: Node,
    /// Which of how many engines is heard.
    pub(super) place: Place,
    pub(super) names: &'a Names,
    pub(super) topics: &'a mut Topics,
    pub(super) peers: &'a mut Peers,
    pub(super) told: &'a mut VecDeque<Told>,
    pub(super) counts: &'a mut Counts,
    pub(super) forget_after: Duration,
    pub(super) now: Now,
    /// Positions from here of whom it is known now what they come after.
    pub(super) released: Vec<(Rc<str>, Vec<Position>)>,
    /// Users in the index whom nobody told again.
    pub(super) lost: Vec<Rc<str>>,
    /// Whether the engine lost all, so that it is no news what it does not have.
    pub(super) has_lost_all: bool,
}

impl Nodes {
    /// Hears what came from an engine.
    pub(super) fn hear(&mut self, index: usize, now: Now) {
        let lost_after_s = self.lost_after_s();
        let place = (index, self.engines.len());
        let Engine {
            incoming,
            link,
            questions,
            resync,
            life,
            has_lost_all,
            ..
        } = &mut self.engines[index];
        let mut ear = Ear {
            node: self.node,
            place,
            names: &self.names,
            topics: &mut self.topics,
            peers: &mut self.peers,
            told: &mut self.told,
            counts: &mut self.counts,
            forget_after: self.forget_after,
            now,
            released: Vec::new(),
            lost: Vec::new(),
            has_lost_all: *has_lost_all,
        };
        let mut news = None;
        while let Some(value) = Engine::next(incoming, link, now.monotonic) {
            match link.take(value, now.monotonic) {
                None => {}
                Some(Event::Message { channel, payload }) => ear.hear(channel, payload),
                Some(Event::Answer(_, Value::Error(error))) => {
                    // What it is about stays as it is until all is read again.
                    if let Some(Question::Index) = questions.pop() {
                        self.seeking.asked = self.seeking.asked.saturating_sub(1);
                    }
                    ear.counts.refused += 1;
                    if resync.refused(now.monotonic) {
                        news = Some(printable(error));
                    }
                }
                Some(Event::Answer(_, value)) => match questions.pop() {
                    Some(Question::Nodes) => ear.read_nodes(value),
                    Some(Question::LastKnown(id, is_alone)) => {
                        ear.read_last_known(&id, value, is_alone);
                    }
                    Some(Question::Life) => {
                        let mark = text(value).map(str::to_owned);
                        ear.has_lost_all = life.is_some() && *life != mark;
                        (*has_lost_all, *life) = (ear.has_lost_all, mark);
                    }
                    Some(Question::Words(id)) => ear.read_words(&id, value),
                    Some(Question::WordsAgain(id)) => {
                        let has_lost_all = std::mem::take(&mut ear.has_lost_all);
                        ear.read_words(&id, value);
                        ear.has_lost_all = has_lost_all;
                    }
                    Some(Question::Audiences(id)) => ear.read_audiences(&id, value),
                    Some(Question::Trail(id, _)) => ear.read_trail(&id, value),
                    Some(Question::Index) => {
                        self.seeking.asked = self.seeking.asked.saturating_sub(1);
                        ear.read_index(value, lost_after_s);
                    }
                    None => {}
                },
                Some(Event::Refused(error)) => {
                    ear.counts.refused += 1;
                    if resync.refused(now.monotonic) {
                        news = Some(printable(error));
                    }
                }
            }
        }
        let lost = ear.lost;
        if let Some(error) = news {
            // All is told it again, from time to time.
            let address = self.engines[index].address();
            warn!("bus refused server={address} error=\"{error}\"");
        }
        for (id, held) in ear.released {
            self.release(&id, held, now);
        }
        self.forget_lost(index, lost);
    }

    /// Tells what is known of a user to who has just begun to ask.
    pub(super) fn tell_again(&mut self, id: &Rc<str>) {
        let (topics, peers) = (&mut self.topics, &mut self.peers);
        if let Some(topic) = topics.get_mut(id) {
            let is_elsewhere = topic.is_elsewhere(peers);
            self.told
                .push_back(Told::Elsewhere(Rc::clone(id), is_elsewhere));
        }
    }
}

impl Ear<'_> {
    /// Hears a message of a channel.
    pub(super) fn hear(&mut self, channel: &[u8], payload: &[u8]) {
        let heard = Envelope::read(payload, self.node);
        match (self.names.channel(channel), heard) {
            (Some(Channel::Nodes), Err(Ignored::Own)) => self.hear_own_heartbeat(payload),
            (_, Err(reason)) => self.counts.ignore(reason),
            (Some(Channel::Nodes), Ok(envelope)) => self.hear_of_node(&envelope),
            (Some(Channel::User(Of::Audience, id)), Ok(envelope)) => {
                match count(envelope.json).filter(|_| envelope.kind == Kind::Audience) {
                    Some(count) => self.take_audience(id, envelope.stamp.node, count),
                    None => self.counts.ignore(Ignored::Malformed),
                }
            }
            (Some(Channel::User(Of::Positions, id)), Ok(envelope)) => {
                self.hear_of_user(id, &envelope);
            }
            _ => self.counts.ignore(Ignored::Malformed),
        }
    }

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

    pub(super) fn hear_of_user(&mut self, id: &str, envelope: &Envelope) {
        let Some(topic) = self.topics.get_mut(id) else {
            // It was on its way when the subscription ended.
            return;
        };
        let (stamp, own) = (envelope.stamp, self.node);
        match envelope.kind {
            Kind::Position | Kind::Goodbye => {
                let heard = topic.hear(stamp);
                if heard == Heard::Overwrote && topic.is_newest_of(own) {
                    topic.owes_position = true;
                    self.topics.owe(id);
                    return;
                }
                if heard != Heard::Newer {
                    return;
                }
                topic.owes_position = false;
                let id = Rc::clone(&topic.id);
                self.counts.received += 1;
                let latency = since(self.now, stamp.received_ms);
                self.counts.latency.add(latency);
                self.told.push_back(match envelope.kind {
                    Kind::Goodbye => Told::Goodbye(id),
                    _ => Told::Position {
                        id,
                        json: envelope.json.to_owned(),
                        age: None,
                    },
                });
            }
            Kind::Connected => {
                let id = Rc::clone(&topic.id);
                self.take_word(&id, stamp.node, envelope.json);
                self.tell_whether_user_is_elsewhere(&id);
            }
            // Those of other channels.
            _ => self.counts.ignore(Ignored::Malformed),
        }
    }

    /// Takes what another node says of a user.
    pub(super) fn take_word(&mut self, id: &Rc<str>, node: Node, json: &str) {
        let Some((topic, (is_declared, names))) = self.topics.get_mut(id).zip(decode_word(json))
        else {
            return self.counts.ignore(Ignored::Malformed);
        };
        topic.declared_by.retain(|by| *by != node);
        let is_living = is_declared && self.peers.is_there(node);
        // What it is called is said by who has it, rather than by who had it.
        let counts = is_living || !topic.stake.is_declared && !topic.is_elsewhere(self.peers);
        if is_declared {
            topic.declared_by.push(node);
        }
        if counts {
            let word = Word { is_declared, names };
            self.told.push_back(Told::Word(Rc::clone(id), word));
        }
    }

    pub(super) fn tell_whether_user_is_elsewhere(&mut self, id: &Rc<str>) {
        if let Some(topic) = self.topics.get_mut(id) {
            let is_elsewhere = topic.is_elsewhere(self.peers);
            self.told
                .push_back(Told::Elsewhere(Rc::clone(id), is_elsewhere));
        }
    }

    /// Takes how many follow a user on another node.
    pub(super) fn take_audience(&mut self, id: &str, node: Node, count: i64) {
        let topic = self.topics.get_mut(id);
        let Some((topic, audiences)) = topic.and_then(|topic| {
            let audiences = topic.audiences.take()?;
            Some((topic, audiences))
        }) else {
            return;
        };
        let others = audiences.into_iter().filter(|(by, _)| *by != node);
        let audiences = topic.audiences.insert(others.collect());
        if node != self.node && count != 0 {
            audiences.push((node, count));
        }
        let count = topic.audience_elsewhere(self.peers);
        self.told
            .push_back(Told::Audience(Rc::clone(&topic.id), count));
    }
}

impl Topic {
    /// Takes note of a stamp that was heard of.
    pub(super) fn hear(&mut self, stamp: Stamp) -> Heard {
        match &mut self.newest {
            Some(newest) => newest.hear(stamp),
            none => {
                *none = Some(Newest::heard_first(stamp));
                Heard::Newer
            }
        }
    }

    pub(super) fn is_newest_of(&self, node: Node) -> bool {
        self.newest
            .is_some_and(|newest| newest.stamp().node == node)
    }

    /// How many follow it on the nodes that are there, besides us.
    fn audience_elsewhere(&self, peers: &mut Peers) -> i64 {
        let audiences = self.audiences.iter().flatten();
        let there = audiences.filter(|(node, _)| peers.is_there(*node));
        there.map(|(_, count)| count).sum()
    }

    /// Whether a node that is there declares it, besides us.
    pub(super) fn is_elsewhere(&self, peers: &mut Peers) -> bool {
        self.declared_by.iter().any(|node| peers.is_there(*node))
    }
}

/// How long ago it was another node's that time; nothing if its clock is ahead of ours.
pub(super) fn since(now: Now, unix_ms: u64) -> Duration {
    Duration::from_millis((now.unix_ms as u64).saturating_sub(unix_ms))
}

/// A count, of which no sum is too large.
pub(super) fn count(text: &str) -> Option<i64> {
    text.parse::<i32>().ok().map(i64::from)
}

pub(super) fn text(value: Value<'_>) -> Option<&str> {
    str::from_utf8(value.bytes()?).ok()
}

/// What an engine said, as part of one line.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
