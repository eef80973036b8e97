//! What the engines answer: what they kept of a user, and who everyone is. Must never know who asked.

use std::rc::Rc;
use std::time::Duration;

use super::Told;
use super::hearing::{Ear, count, since, text};
use super::topic::{Position, Reading, Word};
use crate::bus::{Envelope, Heard, Ignored, Kind, Node, Value};
use crate::point::{MS_MAX, TrailPoint};
use crate::protocol::encode_word;
use crate::user::is_id;

impl Ear<'_> {
    /// How many follow a user on each node, as the engine kept it.
    pub(super) fn read_audiences(&mut self, id: &Rc<str>, value: Value) {
        let Value::Map(mut fields) = value else {
            return;
        };
        while let (Some(node), Some(number)) = (fields.next(), fields.next()) {
            match (text(node).and_then(Node::new)).zip(text(number).and_then(count)) {
                Some((node, count)) => self.take_audience(id, node, count),
                None => self.counts.ignore(Ignored::Malformed),
            }
        }
    }

    /// What each node says of a user, as the engine kept it.
    pub(super) fn read_words(&mut self, id: &Rc<str>, value: Value) {
        let Some(topic) = self.topics.get_mut(id) else {
            return;
        };
        let before = std::mem::take(&mut topic.declared_by);
        let mut own = None;
        if let Value::Map(mut fields) = value {
            while let (Some(node), Some(json)) = (fields.next(), fields.next()) {
                let (node, json) = (text(node), text(json));
                match node.and_then(Node::new).zip(json) {
                    Some((node, json)) if node == self.node => own = Some(json.to_owned()),
                    Some((node, json)) => self.take_word(id, node, json),
                    None => self.counts.ignore(Ignored::Malformed),
                }
            }
        }
        if self.has_lost_all {
            self.keep_declared(id, before);
        }
        self.tell_whether_user_is_elsewhere(id);
        let Some(topic) = self.topics.get_mut(id) else {
            return;
        };
        // It may have been lost on its way, or with the engine.
        let told = match topic.told == Word::default() {
            true => None,
            false => Some(encode_word(topic.told.is_declared, &topic.told.names)),
        };
        if own != told {
            topic.owes_word = true;
            self.topics.owe(id);
        }
    }

    /// Has those declare a user who did before the engine lost it, until they had time to say it again.
    fn keep_declared(&mut self, id: &Rc<str>, before: Vec<Node>) {
        let Some(topic) = self.topics.get_mut(id) else {
            return;
        };
        let count = topic.declared_by.len();
        for node in before {
            if !topic.declared_by.contains(&node) {
                topic.declared_by.push(node);
            }
        }
        if topic.declared_by.len() > count {
            self.topics.doubt(id, self.now.monotonic);
        }
    }

    /// The newest position of a user, as the engine kept it.
    pub(super) fn read_last_known(&mut self, id: &Rc<str>, value: Value, is_alone: bool) {
        let kept = match value {
            Value::Blob(payload) => {
                match Envelope::read(payload, self.node, self.now.unix_ms as u64) {
                    Ok(envelope) if envelope.kind.is_kept() => Some(envelope),
                    Ok(_) | Err(_) => {
                        self.counts.ignore(Ignored::Malformed);
                        None
                    }
                }
            }
            _ => None,
        };
        let mut held = self.topics.take_held(id);
        let Some(topic) = self.topics.get_mut(id) else {
            return;
        };
        topic.reading = Reading::Done;
        let own = self.node;
        match kept {
            // Lost with the engine, or never there.
            None => topic.owes_position |= topic.newest.is_some(),
            Some(envelope) => {
                let is_after = |position: &Position| match (position.fix_ms, envelope.fix_ms) {
                    (Some(held_ms), Some(kept_ms)) => held_ms >= kept_ms,
                    _ => true,
                };
                held.retain(is_after);
                let age = since(self.now, envelope.stamp.received_ms);
                let is_news = envelope.kind == Kind::Position && held.is_empty();
                match topic.hear(envelope.stamp, self.now) {
                    Heard::Newer if is_news && age < self.forget_after => {
                        topic.owes_position = false;
                        self.told.push_back(Told::Position {
                            id: Rc::clone(id),
                            json: envelope.json.to_owned(),
                            age: Some(age).filter(|_| !std::mem::take(&mut topic.is_newcomer)),
                        });
                    }
                    Heard::Newer => {
                        topic.owes_position = false;
                        if envelope.kind == Kind::Goodbye && held.is_empty() {
                            self.told.push_back(Told::Goodbye(Rc::clone(id)));
                        }
                    }
                    Heard::Known => {}
                    Heard::Overwrote => topic.owes_position |= topic.is_newest_of(own),
                }
            }
        }
        if topic.owes_some() {
            self.topics.owe(id);
        }
        if !held.is_empty() {
            self.released.push((Rc::clone(id), held));
        }
        if is_alone {
            self.told.push_back(Told::Read(Rc::clone(id)));
        }
    }

    /// Points of a user's trail, as the engine kept them. They come behind the position.
    pub(super) fn read_trail(&mut self, id: &Rc<str>, value: Value) {
        let mut points = Vec::new();
        if let Value::List(list) = value {
            for item in list {
                match text(item).and_then(point) {
                    Some(point) => points.push(point),
                    None => self.counts.ignore(Ignored::Malformed),
                }
            }
        }
        self.told.push_back(Told::Trail(Rc::clone(id), points));
        self.told.push_back(Told::Read(Rc::clone(id)));
    }

    /// When each node said last that it is there, in unix seconds.
    pub(super) fn read_nodes(&mut self, value: Value) {
        let Value::Map(mut fields) = value else {
            return;
        };
        let now_s = self.now.unix_ms as u64 / 1000;
        while let (Some(node), Some(said_s)) = (fields.next(), fields.next()) {
            let said_s = text(said_s).and_then(|text| text.parse::<u64>().ok());
            match text(node).and_then(Node::new).zip(said_s) {
                Some((node, _)) if node == self.node => {}
                Some((node, said_s)) => {
                    let age = Duration::from_secs(now_s.saturating_sub(said_s));
                    self.peers.hear_of(node, age);
                }
                None => self.counts.ignore(Ignored::Malformed),
            }
        }
    }

    /// Users in a part of the index, each with when it was told last.
    pub(super) fn read_index(&mut self, value: Value, lost_after_s: u64) {
        let (Value::Map(mut fields), true) = (value, self.topics.have_everyone()) else {
            return;
        };
        let now_s = self.now.unix_ms as u64 / 1000;
        while let (Some(id), Some(told_s)) = (fields.next(), fields.next()) {
            let told_s = text(told_s).and_then(|text| text.parse::<u64>().ok());
            let Some(id) = text(id).filter(|id| is_id(id)) else {
                self.counts.ignore(Ignored::Malformed);
                continue;
            };
            let id = Rc::from(id);
            match told_s.is_none_or(|told_s| told_s.saturating_add(lost_after_s) < now_s) {
                true => self.lost.push(id),
                false => {
                    self.topics.get_or_new_of_everyone(&id, self.now.monotonic);
                }
            }
        }
    }
}

/// A point as it is kept.
fn point(text: &str) -> Option<TrailPoint> {
    let mut numbers = text.split(' ');
    let ms = numbers.next()?.parse().ok().filter(|ms| *ms <= MS_MAX)?;
    let lat_e6: i32 = numbers.next()?.parse().ok()?;
    let lng_e6: i32 = numbers.next()?.parse().ok()?;
    let altitude_cm = numbers.next().map(str::parse).transpose().ok()?;
    let is_on_earth = lat_e6.unsigned_abs() <= 90_000_000 && lng_e6.unsigned_abs() <= 180_000_000;
    (is_on_earth && numbers.next().is_none()).then_some(TrailPoint {
        lat_e6,
        lng_e6,
        ms,
        altitude_cm,
    })
}
