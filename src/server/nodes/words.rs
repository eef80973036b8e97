//! What this node tells the others of users besides where they are: who is declared here, what they are
//! called, how many follow them, and points of their trails. Must never know what it is told.

use std::rc::Rc;

use super::Nodes;
use super::questions::Question;
use super::topic::{Reading, Word};
use crate::bus::{Envelope, Kind, NotTaken, Of};
use crate::point::TrailPoint;
use crate::protocol::encode_word;
use crate::relay::Now;

/// How long a word of a node that died is kept, in seconds. Nobody believes it by then.
pub(super) const WORD_S: &[u8] = b"604800";

/// Points of a trail in one command: few enough for the least of buffers.
const POINTS_AT_ONCE_MAX: usize = 100;

impl Nodes {
    /// Tells our word of a user.
    pub(super) fn tell_word(&mut self, id: &Rc<str>, now: Now) {
        let stamp = self.next_stamp(now);
        let Some(topic) = self.topics.get_mut(id) else {
            return;
        };
        let json = encode_word(topic.word.is_declared, &topic.word.names);
        let envelope = Envelope {
            kind: Kind::Connected,
            stamp,
            fix_ms: None,
            json: &json,
        };
        let link = &mut self.engines[topic.engine].link;
        let (key, node) = (self.names.user(Of::Connected, id), self.node);
        let (key, node) = (key.as_bytes(), node.name().as_bytes());
        let kept = match topic.word == Word::default() {
            true => link.command(&[b"HDEL", key, node]),
            false => link.command(&[b"HSET", key, node, json.as_bytes()]),
        };
        let channel = self.names.user(Of::Positions, id);
        let mut payload = Vec::new();
        envelope.write(&mut payload);
        let told = kept
            .and_then(|()| link.command(&[b"EXPIRE", key, WORD_S]))
            .and_then(|()| link.command(&[b"PUBLISH", channel.as_bytes(), &payload]));
        match told {
            Ok(()) => topic.told = topic.word.clone(),
            // All of it is told again.
            Err(NotTaken) => topic.owes_word = true,
        }
    }

    /// Tells how many follow a user here, if that is owed.
    pub(super) fn tell_audience(&mut self, id: &Rc<str>, now: Now) -> Result<(), NotTaken> {
        let stamp = self.next_stamp(now);
        let topic = self.topics.get_mut(id);
        let Some(topic) = topic.filter(|topic| topic.owes_audience_now()) else {
            return Ok(());
        };
        let count = topic.stake.audience.to_string();
        let envelope = Envelope {
            kind: Kind::Audience,
            stamp,
            fix_ms: None,
            json: &count,
        };
        let mut payload = Vec::new();
        envelope.write(&mut payload);
        let name = self.names.user(Of::Audience, id);
        let (name, node) = (name.as_bytes(), self.node.name().as_bytes());
        let link = &mut self.engines[topic.engine].link;
        match topic.stake.audience {
            0 => link.command(&[b"HDEL", name, node])?,
            _ => link.command(&[b"HSET", name, node, count.as_bytes()])?,
        }
        link.command(&[b"EXPIRE", name, WORD_S])?;
        link.command(&[b"PUBLISH", name, &payload])?;
        topic.audience_told = topic.stake.audience;
        topic.owes_audience = false;
        self.topics.pace(id, now.monotonic);
        Ok(())
    }

    /// Keeps points of a user's trail that are from here until they are told. Where the engine is
    /// away the relay has them, and it is given what it lacks once it was read.
    pub(in crate::server) fn append(
        &mut self,
        id: &Rc<str>,
        points: impl Iterator<Item = TrailPoint>,
    ) {
        let points_max = self.trail_max;
        let topic = self.topics.get_mut(id);
        let Some(topic) = topic.filter(|topic| topic.reading == Reading::Done) else {
            return;
        };
        topic.points.extend(points);
        let excess = topic.points.len().saturating_sub(points_max);
        topic.points.drain(..excess);
        self.topics.owe(id);
    }

    pub(super) fn tell_points(&mut self, id: &Rc<str>) -> Result<(), NotTaken> {
        let topic = self.topics.get_mut(id);
        let Some(topic) = topic.filter(|topic| !topic.points.is_empty()) else {
            return Ok(());
        };
        let link = &mut self.engines[topic.engine].link;
        let name = self.names.user(Of::Trail, id);
        let name = name.as_bytes();
        while !topic.points.is_empty() {
            let count = topic.points.len().min(POINTS_AT_ONCE_MAX);
            let points: Vec<String> = topic.points[..count].iter().map(written).collect();
            let mut push: Vec<&[u8]> = vec![b"RPUSH", name];
            push.extend(points.iter().map(String::as_bytes));
            link.command(&push)?;
            topic.points.drain(..count);
        }
        let first = format!("-{}", self.trail_max);
        let kept_s = self.forget_after.as_secs().max(1).to_string();
        // Where there is no room, the next point does it.
        let _ = link.command(&[b"LTRIM", name, first.as_bytes(), b"-1"]);
        let _ = link.command(&[b"EXPIRE", name, kept_s.as_bytes()]);
        Ok(())
    }

    /// Begins or ends hearing how many follow a user elsewhere, if somebody here asks for it or
    /// nobody does any more.
    pub(super) fn listen(&mut self, id: &Rc<str>) -> Result<(), NotTaken> {
        let topic = self.topics.get_mut(id);
        let Some(topic) = topic.filter(|topic| topic.owes_listening()) else {
            return Ok(());
        };
        let channel = self.names.user(Of::Audience, id);
        let engine = &mut self.engines[topic.engine];
        if topic.audiences.is_some() {
            engine.link.unsubscribe(&[&channel])?;
            topic.audiences = None;
            return Ok(());
        }
        engine.link.subscribe(&[&channel])?;
        let question = Question::Audiences(Rc::clone(id));
        engine.ask(&[b"HGETALL", channel.as_bytes()], question)?;
        topic.audiences = Some(Vec::new());
        Ok(())
    }

    /// Tells how many follow everyone here.
    pub(in crate::server) fn set_everyone(&mut self, count: usize, now: Now) {
        let count = count as i64;
        if self.everyone != count {
            self.everyone = count;
            self.tell_everyone(now);
            self.look_after_everyone(now);
        }
    }

    pub(super) fn tell_everyone(&mut self, now: Now) {
        let count = self.everyone.to_string();
        self.tell_nodes(Kind::Audience, now, |_| count.clone());
    }
}

/// A point as the engine keeps it: when, where in millionths of a degree, and how high in centimetres.
fn written(point: &TrailPoint) -> String {
    let TrailPoint {
        lat_e6,
        lng_e6,
        ms,
        altitude_cm,
    } = point;
    match altitude_cm {
        Some(cm) => format!("{ms} {lat_e6} {lng_e6} {cm}"),
        None => format!("{ms} {lat_e6} {lng_e6}"),
    }
}
