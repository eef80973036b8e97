//! The turns of a node on the bus: what is to be read is asked for, heartbeats are sent, and what waits
//! is written. Must never know what is said of users.

use std::rc::Rc;

use super::engine::Engine;
use super::peers::HEARTBEAT_INTERVAL;
use super::questions::Question;
use super::topic::Topic;
use super::words::WORD_S;
use super::{Nodes, Told};
use crate::bus::{Envelope, Kind, Names, NotTaken, Of};
use crate::protocol::{Heartbeat, encode_heartbeat};
use crate::relay::Now;

/// Users that are read with one command: few enough for the least of buffers.
const READ_AT_ONCE_MAX: usize = 50;

/// An engine is asked and written to so often in one tick, each time with a piece of what is to be read:
/// when it comes back, all users at once are to be read.
const ROUNDS_MAX: usize = 4;

impl Nodes {
    /// Asks an engine for those that are to be read, as far as it takes more.
    fn read_topics(&mut self, index: usize) -> Result<(), NotTaken> {
        let engine = &mut self.engines[index];
        while engine.may_be_asked() {
            let ids = self.topics.unread(index, READ_AT_ONCE_MAX);
            if ids.is_empty() {
                break;
            }
            let channels: Vec<String> = (ids.iter())
                .map(|id| self.names.user(Of::Positions, id))
                .collect();
            let channels: Vec<&str> = channels.iter().map(String::as_str).collect();
            engine.link.subscribe(&channels)?;
            for id in ids {
                let name = self.names.user(Of::Connected, &id);
                let question = Question::Words(Rc::clone(&id));
                engine.ask(&[b"HGETALL", name.as_bytes()], question)?;
                let old = self.topics.get_mut(&id);
                let is_old = old.is_some_and(|topic| topic.has_old_trail);
                let is_alone = self.trail_max == 0 || is_old;
                let name = self.names.user(Of::LastKnown, &id);
                let question = Question::LastKnown(Rc::clone(&id), is_alone);
                engine.ask(&[b"GET", name.as_bytes()], question)?;
                if !is_alone {
                    ask_trail(engine, &self.names, &id, self.trail_max)?;
                } else if is_old && self.trail_max > 0 {
                    self.topics.await_trail(&id);
                }
                self.topics.asked(&id);
            }
        }
        while engine.may_be_asked()
            && let Some(id) = self.topics.next_untrailed(index)
        {
            let asked = ask_trail(engine, &self.names, &id, self.trail_max);
            asked.inspect_err(|NotTaken| self.topics.await_trail(&id))?;
        }
        Ok(())
    }

    /// Says that this node is there, on a link that is up, and hears of the others.
    pub(super) fn begin(&mut self, index: usize, now: Now) {
        let channel = self.names.nodes();
        // A link that has just come up has room.
        let _ = self.engines[index].link.subscribe(&[&channel]);
        let question = [&b"HGETALL"[..], channel.as_bytes()];
        let _ = self.engines[index].ask(&question, Question::Nodes);
        let _ = self.read_life(index, now);
        self.heartbeat_at = now.monotonic;
    }

    /// Asks whether the engine lost what it had. Of several nodes that find nothing there the first one
    /// leaves its mark.
    fn read_life(&mut self, index: usize, now: Now) -> Result<(), NotTaken> {
        let stamp = self.next_stamp(now);
        let mark = format!("{}-{}", stamp.node.name(), stamp.sequence);
        let (name, engine) = (self.names.life(), &mut self.engines[index]);
        engine
            .link
            .command(&[b"SET", name.as_bytes(), mark.as_bytes(), b"NX"])?;
        engine.ask(&[b"GET", name.as_bytes()], Question::Life)
    }

    /// Asks again who declares those of whom an engine that lost all did not know it.
    fn read_words_again(&mut self, now: Now) {
        while let Some((index, id)) = self.topics.next_unsure(now.monotonic) {
            let engine = &mut self.engines[index];
            let name = self.names.user(Of::Connected, &id);
            let question = Question::WordsAgain(Rc::clone(&id));
            if !engine.may_be_asked()
                || engine
                    .ask(&[b"HGETALL", name.as_bytes()], question)
                    .is_err()
            {
                return self.topics.doubt(&id, now.monotonic);
            }
        }
    }

    fn beat(&mut self, now: Now) {
        self.heartbeat_at = now.monotonic + HEARTBEAT_INTERVAL;
        let (engines, everyone) = (self.engines.len(), self.everyone);
        self.tell_nodes(Kind::Heartbeat, now, |engine| {
            let place = (engine, engines);
            encode_heartbeat(env!("CARGO_PKG_VERSION"), Heartbeat { place, everyone })
        });
        self.sign(now);
    }

    /// Leaves word in each engine that this node is there, for those who come later.
    fn sign(&mut self, now: Now) {
        let (name, node) = (self.names.nodes(), self.node);
        let now_s = (now.unix_ms as u64 / 1000).to_string();
        let sign = [
            b"HSET",
            name.as_bytes(),
            node.name().as_bytes(),
            now_s.as_bytes(),
        ];
        for engine in &mut self.engines {
            // Where there is no room the next one does it.
            let _ = engine.link.command(&sign);
            let _ = engine.link.command(&[b"EXPIRE", name.as_bytes(), WORD_S]);
        }
    }

    /// Takes that back.
    pub(super) fn sign_off(&mut self) {
        let (name, node) = (self.names.nodes(), self.node);
        for engine in &mut self.engines {
            let _ = (engine.link).command(&[b"HDEL", name.as_bytes(), node.name().as_bytes()]);
        }
    }

    /// Tells the other nodes something, through each engine.
    pub(super) fn tell_nodes(&mut self, kind: Kind, now: Now, json: impl Fn(usize) -> String) {
        let stamp = self.next_stamp(now);
        let channel = self.names.nodes();
        for (index, engine) in self.engines.iter_mut().enumerate() {
            let mut payload = Vec::new();
            let envelope = Envelope {
                kind,
                stamp,
                fix_ms: None,
                json: &json(index),
            };
            envelope.write(&mut payload);
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
        self.read_words_again(now);
        for index in 0..self.engines.len() {
            for _ in 0..ROUNDS_MAX {
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

/// Asks for so many points of a user's trail, the newest.
fn ask_trail(
    engine: &mut Engine,
    names: &Names,
    id: &Rc<str>,
    points_max: usize,
) -> Result<(), NotTaken> {
    let (name, first) = (names.user(Of::Trail, id), format!("-{points_max}"));
    let question = Question::Trail(Rc::clone(id), points_max);
    engine.ask(
        &[b"LRANGE", name.as_bytes(), first.as_bytes(), b"-1"],
        question,
    )
}
