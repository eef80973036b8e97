//! The turns of a node on the bus: what is to be read is asked for, heartbeats are sent, and what waits
//! is written. Must never know what is said of users.

use std::rc::Rc;

use super::topic::{Question, Topic};
use super::{HEARTBEAT_INTERVAL, Nodes, PENDING_BYTES_MAX, TAG, Told};
use crate::bus::{Envelope, Kind, NotTaken, Of};
use crate::protocol::encode_heartbeat;
use crate::relay::Now;

/// Users that are read with one command: few enough for the least of buffers.
const READ_AT_ONCE_MAX: usize = 50;

/// An engine is asked and written to so often in one tick, each time as much as [`PENDING_BYTES_MAX`]:
/// when it comes back, all users at once are to be read.
const ROUNDS_MAX: usize = 4;

impl Nodes {
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
        engine.link.ask(&[b"GET", name.as_bytes()], TAG)?;
        engine.questions.push_back(Question::Life);
        Ok(())
    }

    /// Asks again who declares those of whom an engine that lost all did not know it.
    fn read_words_again(&mut self, now: Now) {
        while let Some((index, id)) = self.topics.next_unsure(now.monotonic) {
            let (name, engine) = (
                self.names.user(Of::Connected, &id),
                &mut self.engines[index],
            );
            match engine.link.ask(&[b"HGETALL", name.as_bytes()], TAG) {
                Ok(()) => engine.questions.push_back(Question::WordsAgain(id)),
                Err(NotTaken) => return self.topics.doubt(&id, now.monotonic),
            }
        }
    }

    fn beat(&mut self, now: Now) {
        self.heartbeat_at = now.monotonic + HEARTBEAT_INTERVAL;
        let engines = self.engines.len();
        self.tell_nodes(Kind::Heartbeat, now, |engine| {
            encode_heartbeat(env!("CARGO_PKG_VERSION"), (engine, engines))
        });
        if self.everyone != 0 {
            // For those who were not there when it was told.
            self.tell_everyone(now);
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
