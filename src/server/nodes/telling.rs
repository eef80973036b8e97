//! What this node tells the others: positions, who is here, that it is there. Must never know what
//! it is told.

use std::rc::Rc;

use super::topics::{Position, Question, Reading, Topic, Word};
use super::{HEARTBEAT_INTERVAL, Nodes, PENDING_BYTES_MAX, Scratch, TAG, Told};
use crate::bus::{Envelope, Kind, Link, Names, Newest, NotTaken, Of};
use crate::point::TrailPoint;
use crate::protocol::encode_word;
use crate::relay::{Now, Stake};

/// Users that are read with one command.
const READ_AT_ONCE_MAX: usize = 200;

/// How long a word of a node that died is kept, in seconds. Nobody believes it by then.
const WORD_S: &[u8] = b"604800";

/// Users at most who are asked for on behalf of requests, until they are left: more are answered with
/// what is known here.
const ASKED_MAX: usize = 64 * 1024;

/// How long a goodbye is kept, in milliseconds: whoever reads the key in the meantime knows that it
/// is newer than the position before it.
const GOODBYE_MS: u64 = 60_000;

impl Nodes {
    /// Notes the stake in a user, and our word of it.
    pub(in crate::server) fn sync(&mut self, id: &Rc<str>, stake: Stake, word: Word, now: Now) {
        let Some(topic) = (match stake.is_any() {
            true => Some(self.topics.get_or_new(id, now.monotonic)),
            false => self.topics.get_mut(id),
        }) else {
            return;
        };
        topic.word = word;
        topic.stake = stake;
        topic.owes_word = topic.word != topic.told;
        topic.owes_audience = stake.audience != topic.audience_told;
        let owes = topic.owes_some();
        let is_read = topic.reading == Reading::Done;
        let is_away = !self.engines[topic.engine].link.is_up();
        if owes {
            self.topics.owe(id);
        }
        self.topics.set_stake(id, stake, now.monotonic);
        if is_read {
            self.tell_again(id);
        }
        if is_read || is_away {
            self.told.push_back(Told::Read(Rc::clone(id)));
        }
    }

    /// Has the engines be asked for users in whom nobody here needs to have a stake; says whether some
    /// answers are worth waiting for.
    pub(in crate::server) fn ask<'a>(
        &mut self,
        ids: impl Iterator<Item = &'a Rc<str>>,
        now: Now,
    ) -> bool {
        let mut waits = false;
        for id in ids {
            if self.topics.get_mut(id).is_none() {
                if self.topics.lingering() >= ASKED_MAX {
                    continue;
                }
                self.topics.get_or_new(id, now.monotonic);
                self.topics.set_stake(id, Stake::default(), now.monotonic);
            }
            if let Some(topic) = self.topics.get_mut(id) {
                let is_there = self.engines[topic.engine].link.is_up();
                waits |= is_there && topic.reading != Reading::Done && !topic.is_late;
            }
        }
        waits
    }

    /// Takes back our words of all users, for this node is about to end.
    pub(in crate::server) fn end(&mut self) {
        self.topics.take_back_words();
    }

    /// Publishes a position that was received here.
    pub(in crate::server) fn publish(
        &mut self,
        id: &Rc<str>,
        fix_ms: Option<f64>,
        json: &[u8],
        now: Now,
    ) {
        let Ok(json) = str::from_utf8(json) else {
            return;
        };
        let stamp = self.next_stamp(now);
        let topic = self.topics.get_or_new(id, now.monotonic);
        if topic.newest.is_none() && topic.reading != Reading::Done {
            let json = json.to_owned();
            let is_asked = self.engines[topic.engine].link.is_up();
            return topic.hold(Position { fix_ms, json }, is_asked);
        }
        let stamp = topic.stamp(stamp);
        let link = &mut self.engines[topic.engine].link;
        let is_first = !topic.owes_position && topic.reading == Reading::Done;
        let envelope = Envelope {
            kind: Kind::Position,
            stamp,
            fix_ms,
            json,
        };
        let ttl_ms = self.forget_after.as_millis() as u64;
        let scratch = &mut self.scratch;
        if is_first && keep(link, &self.names, scratch, id, envelope, ttl_ms).is_ok() {
            topic.newest = Some(Newest::published(stamp));
            self.counts.published += 1;
            return;
        }
        self.counts.conflated += u64::from(topic.owes_position);
        topic.newest = Some(Newest::heard_first(stamp));
        topic.owes_position = true;
        if topic.reading == Reading::Done {
            self.topics.owe(id);
        }
    }

    /// Publishes positions that were held until it was known what they come after.
    pub(super) fn release(&mut self, id: &Rc<str>, held: Vec<Position>, now: Now) {
        for position in held {
            self.publish(id, position.fix_ms, position.json.as_bytes(), now);
        }
    }

    /// Says that a user said goodbye here.
    pub(in crate::server) fn say_goodbye(&mut self, id: &Rc<str>, now: Now) {
        let stamp = self.next_stamp(now);
        let topic = self.topics.get_or_new(id, now.monotonic);
        topic.held.clear();
        topic.owes_position = false;
        let stamp = topic.stamp(stamp);
        let envelope = Envelope {
            kind: Kind::Goodbye,
            stamp,
            fix_ms: None,
            json: "",
        };
        topic.newest = Some(Newest::published(stamp));
        let link = &mut self.engines[topic.engine].link;
        let scratch = &mut self.scratch;
        let _ = keep(link, &self.names, scratch, id, envelope, GOODBYE_MS);
        topic.points.clear();
        let trail = self.names.user(Of::Trail, id);
        // Empties it, with the rights that there are.
        let _ = link.command(&[b"LTRIM", trail.as_bytes(), b"1", b"0"]);
    }

    /// The next user whose newest position is owed to an engine that takes it. It is to be given
    /// with [`Nodes::publish_again`].
    pub(in crate::server) fn next_owed(&mut self, now: Now) -> Option<Rc<str>> {
        for index in 0..self.engines.len() {
            loop {
                let link = &mut self.engines[index].link;
                if !link.is_up() || link.pending_bytes() > PENDING_BYTES_MAX {
                    break;
                }
                let Some(topic) = self.topics.owing(index) else {
                    break;
                };
                let id = Rc::clone(&topic.id);
                if std::mem::take(&mut topic.owes_word) {
                    self.tell_word(&id, now);
                }
                let is_told = (self.tell_audience(&id, now))
                    .and_then(|()| self.listen(&id))
                    .and_then(|()| self.tell_points(&id))
                    .and_then(|()| self.tell_index(&id, now));
                let topic = self.topics.get_mut(&id)?;
                if topic.owes_position && topic.reading == Reading::Done {
                    return Some(id);
                }
                if topic.owes_word || is_told.is_err() {
                    break;
                }
                self.topics.paid(&id);
            }
        }
        None
    }

    /// Gives an engine the newest position of a user as the relay has it, which is so old; or the
    /// word that there is none.
    ///
    /// # Errors
    /// It takes nothing more for now.
    pub(in crate::server) fn publish_again(
        &mut self,
        id: &Rc<str>,
        known: Option<(Option<f64>, &[u8], u64)>,
    ) -> Result<(), NotTaken> {
        self.topics.paid(id);
        let Some(topic) = self.topics.get_mut(id) else {
            return Ok(());
        };
        topic.owes_position = false;
        let Some(newest) = topic.newest.as_mut() else {
            return Ok(());
        };
        let (kind, fix_ms, json, ttl_ms) = match known {
            Some((fix_ms, json, age_ms)) => {
                let ttl_ms = (self.forget_after.as_millis() as u64).saturating_sub(age_ms);
                let Some(json) = str::from_utf8(json).ok().filter(|_| ttl_ms > 0) else {
                    return Ok(());
                };
                (Kind::Position, fix_ms, json, ttl_ms)
            }
            // It said goodbye, or nobody remembers.
            None => (Kind::Goodbye, None, "", GOODBYE_MS),
        };
        let envelope = Envelope {
            kind,
            stamp: newest.stamp(),
            fix_ms,
            json,
        };
        let link = &mut self.engines[topic.engine].link;
        match keep(link, &self.names, &mut self.scratch, id, envelope, ttl_ms) {
            Ok(()) => {
                newest.set_again();
                self.counts.published += u64::from(kind == Kind::Position);
                Ok(())
            }
            Err(NotTaken) => {
                topic.owes_position = true;
                self.topics.owe(id);
                Err(NotTaken)
            }
        }
    }

    /// Tells our word of a user.
    fn tell_word(&mut self, id: &Rc<str>, now: Now) {
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
    fn tell_audience(&mut self, id: &Rc<str>, now: Now) -> Result<(), NotTaken> {
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

    /// Keeps points of a user's trail that are from here.
    pub(in crate::server) fn append(
        &mut self,
        id: &Rc<str>,
        points: impl Iterator<Item = TrailPoint>,
    ) {
        let points_max = self.trail_max;
        let Some(topic) = self.topics.get_mut(id) else {
            return;
        };
        topic.points.extend(points);
        let excess = topic.points.len().saturating_sub(points_max);
        topic.points.drain(..excess);
        self.topics.owe(id);
    }

    fn tell_points(&mut self, id: &Rc<str>) -> Result<(), NotTaken> {
        let topic = self.topics.get_mut(id);
        let Some(topic) = topic.filter(|topic| !topic.points.is_empty()) else {
            return Ok(());
        };
        let link = &mut self.engines[topic.engine].link;
        let name = self.names.user(Of::Trail, id);
        let name = name.as_bytes();
        let points: Vec<String> = topic.points.iter().map(written).collect();
        let mut push: Vec<&[u8]> = vec![b"RPUSH", name];
        push.extend(points.iter().map(String::as_bytes));
        link.command(&push)?;
        topic.points.clear();
        let first = format!("-{}", self.trail_max);
        let kept_s = self.forget_after.as_secs().max(1).to_string();
        // Where there is no room, the next point does it.
        let _ = link.command(&[b"LTRIM", name, first.as_bytes(), b"-1"]);
        let _ = link.command(&[b"EXPIRE", name, kept_s.as_bytes()]);
        Ok(())
    }

    /// Begins or ends hearing how many follow a user elsewhere, if somebody here asks for it or
    /// nobody does any more.
    fn listen(&mut self, id: &Rc<str>) -> Result<(), NotTaken> {
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
        engine.link.ask(&[b"HGETALL", channel.as_bytes()], TAG)?;
        engine
            .questions
            .push_back(Question::Audiences(Rc::clone(id)));
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

    fn tell_everyone(&mut self, now: Now) {
        let stamp = self.next_stamp(now);
        let count = self.everyone.to_string();
        self.tell_nodes(Envelope {
            kind: Kind::Audience,
            stamp,
            fix_ms: None,
            json: &count,
        });
    }

    /// Asks an engine for those that are to be read, as far as it takes more.
    fn read_topics(&mut self, index: usize) -> Result<(), NotTaken> {
        let engine = &mut self.engines[index];
        while engine.link.is_up() && engine.link.pending_bytes() <= PENDING_BYTES_MAX {
            let ids = self.topics.unread(index, READ_AT_ONCE_MAX);
            if ids.is_empty() {
                return Ok(());
            }
            let channels: Vec<String> = (ids.iter())
                .map(|id| self.names.user(Of::Positions, id))
                .collect();
            let channels: Vec<&str> = channels.iter().map(String::as_str).collect();
            engine.link.subscribe(&channels)?;
            for id in ids {
                let mut ask = |word: &[u8], of: Of, rest: &[&[u8]], question: Question| {
                    let name = self.names.user(of, &id);
                    let arguments = [&[word, name.as_bytes()], rest].concat();
                    engine.link.ask(&arguments, TAG)?;
                    engine.questions.push_back(question);
                    Ok(())
                };
                ask(
                    b"HGETALL",
                    Of::Connected,
                    &[],
                    Question::Words(Rc::clone(&id)),
                )?;
                ask(
                    b"GET",
                    Of::LastKnown,
                    &[],
                    Question::LastKnown(Rc::clone(&id)),
                )?;
                if self.trail_max > 0 {
                    let question = Question::Trail(Rc::clone(&id));
                    ask(b"LRANGE", Of::Trail, &[b"0", b"-1"], question)?;
                }
                self.topics.asked(&id);
            }
        }
        Ok(())
    }

    /// Says that this node is there, on a link that is up, and hears of the others.
    pub(super) fn begin(&mut self, index: usize, now: Now) {
        let channel = self.names.nodes();
        // A link that has just come up has room.
        let _ = self.engines[index].link.subscribe(&[&channel]);
        self.heartbeat_at = now.monotonic;
    }

    fn beat(&mut self, now: Now) {
        self.heartbeat_at = now.monotonic + HEARTBEAT_INTERVAL;
        let stamp = self.next_stamp(now);
        let envelope = Envelope {
            kind: Kind::Heartbeat,
            stamp,
            fix_ms: None,
            json: concat!("{\"version\":\"", env!("CARGO_PKG_VERSION"), "\"}"),
        };
        self.tell_nodes(envelope);
        if self.everyone != 0 {
            // For those who were not there when it was told.
            self.tell_everyone(now);
        }
    }

    fn tell_nodes(&mut self, envelope: Envelope) {
        let mut payload = Vec::new();
        envelope.write(&mut payload);
        let channel = self.names.nodes();
        for engine in &mut self.engines {
            // One that is not taken is missed no more than one that comes late.
            let command = [b"PUBLISH", channel.as_bytes(), &payload];
            let _ = engine.link.command(&command);
        }
    }

    /// Ends the subscription to a user in whom there is no stake any more.
    pub(super) fn leave(&mut self, topic: &Topic) {
        let mut channels = vec![self.names.user(Of::Positions, &topic.id)];
        if topic.audiences.is_some() {
            channels.push(self.names.user(Of::Audience, &topic.id));
        }
        let channels: Vec<&str> = channels.iter().map(String::as_str).collect();
        // Where there is no room, messages come for nothing until the link is a new one.
        let _ = self.engines[topic.engine].link.unsubscribe(&channels);
        self.told.push_back(Told::Left(Rc::clone(&topic.id)));
    }

    /// Writes what waits to all engines.
    pub(in crate::server) fn write(&mut self, now: Now) {
        if now.monotonic >= self.heartbeat_at {
            self.beat(now);
        }
        for index in 0..self.engines.len() {
            loop {
                // What finds no room now does in the next round, or the next tick.
                let _ = self.read_index(index);
                let _ = self.read_topics(index);
                let engine = &mut self.engines[index];
                engine.write(now.monotonic);
                if engine.link.pending_bytes() > 0 || !engine.link.is_up() {
                    break;
                }
                if !self.topics.is_unread(index) && self.seeking.parts[index].is_empty() {
                    break;
                }
            }
            self.look_after(index, now);
        }
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

/// Keeps something of a user and tells it.
fn keep(
    link: &mut Link,
    names: &Names,
    scratch: &mut Scratch,
    id: &str,
    envelope: Envelope,
    ttl_ms: u64,
) -> Result<(), NotTaken> {
    let Scratch {
        key,
        channel,
        payload,
    } = scratch;
    names.write_user(Of::LastKnown, id, key);
    names.write_user(Of::Positions, id, channel);
    payload.clear();
    envelope.write(payload);
    link.publish(key, channel, payload, ttl_ms)
}
