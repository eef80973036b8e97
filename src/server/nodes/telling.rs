//! What this node tells the others of where users are, and in which order it pays what it owes. Must
//! never know what it is told.

use std::rc::Rc;
use std::time::Duration;

use super::engine::PENDING_BYTES_MAX;
use super::topic::{Position, Reading, Word};
use super::{Nodes, Scratch, Told};
use crate::bus::{Envelope, Kind, Link, Names, Newest, NotTaken, Of};
use crate::relay::{Now, Stake};
use crate::server::memory::BUS_ASKED_MAX;

/// A position that outlived a restart counts as older by so much: its age is that of a file, and what
/// an engine kept in the meantime is the truth.
const RESTORED_MARGIN: Duration = Duration::from_secs(1);

impl Nodes {
    /// Notes the stake in a user, and our word of it.
    pub(in crate::server) fn sync(&mut self, id: &Rc<str>, stake: Stake, word: Word, now: Now) {
        let Some(topic) = (match stake.is_any() {
            true => Some(self.topics.get_or_new(id, now.monotonic)),
            false => self.topics.get_mut(id),
        }) else {
            return;
        };
        // What it is called elsewhere did not count while it was here.
        let has_moved = topic.stake.is_declared && !stake.is_declared;
        let is_doubtful = has_moved && !topic.declared_by.is_empty();
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
        if is_doubtful {
            self.topics.doubt(id, now.monotonic);
        }
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
                if self.topics.lingering() >= BUS_ASKED_MAX {
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
        self.sign_off();
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
            let position = Position { fix_ms, json };
            return self.topics.hold(id, position, is_asked);
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

    /// Takes note of a position that outlived a restart of this node: an engine that has none, or an
    /// older one, is given it. One that it has from about that time is the same.
    pub(in crate::server) fn remember(&mut self, id: &Rc<str>, age: Duration, now: Now) {
        let age_ms = (age + RESTORED_MARGIN).as_millis() as u64;
        let mut stamp = self.next_stamp(now);
        stamp.received_ms = stamp.received_ms.saturating_sub(age_ms);
        let topic = self.topics.get_or_new(id, now.monotonic);
        topic.newest = Some(Newest::heard_first(stamp));
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
        self.topics.take_held(id);
        let topic = self.topics.get_or_new(id, now.monotonic);
        let stamp = topic.stamp(stamp);
        topic.newest = Some(Newest::heard_first(stamp));
        topic.owes_position = true;
        topic.points.clear();
        // Where there is no room it is owed, like a position.
        let _ = self.publish_again(id, None);
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
            // It said goodbye, or nobody remembers. That is kept as long as a position, of which it
            // says that it is over.
            None => (
                Kind::Goodbye,
                None,
                "",
                self.forget_after.as_millis() as u64,
            ),
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
                if kind == Kind::Goodbye {
                    let trail = self.names.user(Of::Trail, id);
                    // Empties it, with the rights that there are.
                    let _ = link.command(&[b"LTRIM", trail.as_bytes(), b"1", b"0"]);
                }
                Ok(())
            }
            Err(NotTaken) => {
                topic.owes_position = true;
                self.topics.owe(id);
                Err(NotTaken)
            }
        }
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
