//! What this node is told by the others and by the engines. Must never know what it tells itself,
//! but for what an engine lost.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use log::warn;

use super::counts::Counts;
use super::engine::Engine;
use super::peers::Peers;
use super::questions::Question;
use super::topic::{Position, Topic, Word};
use super::topics::Topics;
use super::{Nodes, Told};
use crate::bus::{
    Channel, Envelope, Event, Heard, Ignored, Kind, Names, Newest, Node, Of, Stamp, Value, said,
};
use crate::protocol::{Place, decode_word};
use crate::relay::Now;

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
            if matches!(value, Value::TooLarge { .. }) {
                ear.counts.ignore(Ignored::Malformed);
            }
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
                        news = Some(said(error));
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
                        news = Some(said(error));
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
        let heard = Envelope::read(payload, self.node, self.now.unix_ms as u64);
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

    pub(super) fn hear_of_user(&mut self, id: &str, envelope: &Envelope) {
        let Some(topic) = self.topics.get_mut(id) else {
            // It was on its way when the subscription ended.
            return;
        };
        let (stamp, own) = (envelope.stamp, self.node);
        match envelope.kind {
            Kind::Position | Kind::Goodbye => {
                let heard = topic.hear(stamp, self.now);
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
    pub(super) fn hear(&mut self, stamp: Stamp, now: Now) -> Heard {
        match &mut self.newest {
            // Of a clock that was wrong, and has been set since, nothing counts.
            Some(newest) if !newest.stamp().is_too_far_ahead(now.unix_ms as u64) => {
                newest.hear(stamp)
            }
            newest => {
                *newest = Some(Newest::heard_first(stamp));
                Heard::Newer
            }
        }
    }

    pub(super) fn is_newest_of(&self, node: Node) -> bool {
        self.newest
            .is_some_and(|newest| newest.stamp().node == node)
    }

    /// How many follow it on the nodes that are there, besides us.
    pub(super) fn audience_elsewhere(&self, peers: &mut Peers) -> i64 {
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
