//! The users that a node hears of through the bus, or tells of: what of each was read, what waits,
//! and in what order its positions came. Must never know an engine's socket.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use slab::Slab;

use super::topic::{Position, Reading, Topic, Word};
use crate::bus::{Node, bucket_of};
use crate::queue::SlotQueue;
use crate::relay::Stake;
use crate::server::memory::BUS_HELD_MAX;

/// A user in whom there is no stake any more is heard of for so long, as it may come back.
pub(super) const LINGER: Duration = Duration::from_secs(10);

/// What the engine knows of a user is waited for so long, before others are told what is known here.
const READ_MAX: Duration = Duration::from_millis(100);

/// Positions of one user that wait for what the engine knows of it; the oldest give way.
const HELD_MAX: usize = 64;

/// All of them.
#[derive(Debug)]
pub(super) struct Topics {
    pub(super) ids: HashMap<Rc<str>, usize>,
    pub(super) topics: Slab<Topic>,
    /// For each engine those that are to be read.
    pub(super) unread: Vec<SlotQueue>,
    /// For each engine those of whom the trail alone is to be read.
    pub(super) untrailed: Vec<SlotQueue>,
    /// For each engine those of whom something is owed to it.
    pub(super) owing: Vec<SlotQueue>,
    /// When it took too long to read each, the first first.
    pub(super) late_at: VecDeque<(Instant, Rc<str>)>,
    /// When the audience of each may be told again, the first first.
    pub(super) paced: VecDeque<(Instant, Rc<str>)>,
    /// When it is to be read again who declares each, the first first.
    pub(super) unsure: VecDeque<(Instant, Rc<str>)>,
    /// When each is left, the first first. One that has a stake again is not.
    pub(super) leaving: VecDeque<(Instant, Rc<str>)>,
    /// Whether everyone is heard of.
    have_everyone: bool,
    /// So many at most, of those whom others alone know.
    count_max: usize,
    /// Positions of all that wait.
    pub(super) held: usize,
}

impl Topics {
    /// Nobody yet, on so many engines.
    pub(super) fn new(engines: usize, count_max: usize) -> Topics {
        Topics {
            ids: HashMap::new(),
            topics: Slab::new(),
            unread: vec![SlotQueue::default(); engines],
            untrailed: vec![SlotQueue::default(); engines],
            owing: vec![SlotQueue::default(); engines],
            late_at: VecDeque::new(),
            paced: VecDeque::new(),
            unsure: VecDeque::new(),
            leaving: VecDeque::new(),
            have_everyone: false,
            count_max,
            held: 0,
        }
    }

    /// Keeps a position until it can be stamped: several of a user while the engine is `asked` what
    /// they come after, or else the newest.
    pub(super) fn hold(&mut self, id: &str, position: Position, is_asked: bool) {
        let kept_max = match is_asked && self.held < BUS_HELD_MAX {
            true => HELD_MAX,
            false => 1,
        };
        let topic = self.ids.get(id).and_then(|slot| self.topics.get_mut(*slot));
        if let Some(Topic { held, .. }) = topic {
            let too_many = (held.len() + 1).saturating_sub(kept_max);
            held.drain(..too_many);
            held.push(position);
            self.held = self.held + 1 - too_many;
        }
    }

    /// Takes the positions of a user that wait.
    pub(super) fn take_held(&mut self, id: &str) -> Vec<Position> {
        let held = self
            .get_mut(id)
            .map(|topic| std::mem::take(&mut topic.held));
        let held = held.unwrap_or_default();
        self.held -= held.len();
        held
    }

    /// How many are about to be left, or were.
    pub(super) fn lingering(&self) -> usize {
        self.leaving.len()
    }

    /// Has nothing be said of anybody any more.
    pub(super) fn take_back_words(&mut self) {
        for (slot, topic) in &mut self.topics {
            (topic.word, topic.stake) = Default::default();
            topic.owes_word = topic.told != Word::default();
            topic.owes_audience = topic.audience_told != 0;
            topic.is_paced = false;
            if topic.owes_word || topic.owes_audience {
                self.owing[topic.engine].push(slot as u32);
            }
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.topics.len()
    }

    /// One of them.
    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Topic> {
        self.topics.get_mut(*self.ids.get(id)?)
    }

    /// One of them, who is to be read if it is new.
    pub(super) fn get_or_new(&mut self, id: &Rc<str>, now: Instant) -> &mut Topic {
        let slot = match self.ids.get(id) {
            Some(slot) => *slot,
            None => self.insert(id, now),
        };
        &mut self.topics[slot]
    }

    /// One whom nobody here follows by name, for those who follow everyone; nothing if there are too
    /// many already.
    pub(super) fn get_or_new_of_everyone(
        &mut self,
        id: &Rc<str>,
        now: Instant,
    ) -> Option<&mut Topic> {
        let is_full = self.topics.len() >= self.count_max && !self.ids.contains_key(id);
        (!is_full).then(|| self.get_or_new(id, now))
    }

    fn insert(&mut self, id: &Rc<str>, now: Instant) -> usize {
        let engine = bucket_of(id, self.unread.len());
        let slot = self.topics.insert(Topic {
            id: Rc::clone(id),
            engine,
            stake: Stake::default(),
            reading: Reading::Waits,
            newest: None,
            held: Vec::new(),
            owes_position: false,
            owes_word: false,
            word: Word::default(),
            told: Word::default(),
            declared_by: Vec::new(),
            audience_told: 0,
            owes_audience: false,
            is_paced: false,
            audiences: None,
            leaves_at: None,
            points: Vec::new(),
            is_indexed: false,
            is_newcomer: false,
            is_late: false,
            has_old_trail: false,
        });
        self.ids.insert(Rc::clone(id), slot);
        self.unread[engine].push(slot as u32);
        self.late_at.push_back((now + READ_MAX, Rc::clone(id)));
        slot
    }

    /// All whom a node declares.
    pub(super) fn declared_by(&self, node: Node) -> impl Iterator<Item = &Topic> {
        (self.topics.iter())
            .map(|(_, topic)| topic)
            .filter(move |topic| topic.declared_by.contains(&node))
    }

    /// Notes the stake in a user. One in whom there is none is left after a while.
    pub(super) fn set_stake(&mut self, id: &Rc<str>, stake: Stake, now: Instant) {
        let have_everyone = self.have_everyone;
        let Some(topic) = self.get_mut(id) else {
            return;
        };
        topic.stake = stake;
        if stake.is_any() || have_everyone {
            topic.leaves_at = None;
        } else if topic.leaves_at.is_none() {
            let at = now + LINGER;
            topic.leaves_at = Some(at);
            self.leaving.push_back((at, Rc::clone(id)));
        }
    }

    /// Whether everyone is heard of.
    pub(super) fn have_everyone(&self) -> bool {
        self.have_everyone
    }

    /// Has everyone be heard of from now on, or those alone in whom there is a stake; says whether
    /// that is new.
    pub(super) fn set_everyone(&mut self, is_wanted: bool, now: Instant) -> bool {
        if std::mem::replace(&mut self.have_everyone, is_wanted) == is_wanted {
            return false;
        }
        let at = now + LINGER;
        for (_, topic) in &mut self.topics {
            if is_wanted {
                topic.leaves_at = None;
            } else if !topic.stake.is_any() && topic.leaves_at.is_none() {
                topic.leaves_at = Some(at);
                self.leaving.push_back((at, Rc::clone(&topic.id)));
            }
        }
        true
    }

    /// Whether some that are new were not read yet, and it is worth waiting for them.
    pub(super) fn are_fresh(&self) -> bool {
        let mut fresh = self.late_at.iter().filter_map(|(_, id)| self.ids.get(id));
        fresh.any(|slot| self.topics[*slot].reading != Reading::Done)
    }

    /// Has the index be told again who is here.
    pub(super) fn index_again(&mut self) {
        for (slot, topic) in &mut self.topics {
            topic.is_indexed = false;
            if topic.owes_index() {
                self.owing[topic.engine].push(slot as u32);
            }
        }
    }

    /// Those of whom it is asked how many follow them.
    pub(super) fn asked_about(&self) -> impl Iterator<Item = &Topic> {
        (self.topics.iter())
            .map(|(_, topic)| topic)
            .filter(|topic| topic.audiences.is_some())
    }

    /// Has all of an engine be read, once more: it was away, or refused something. What is on its way
    /// to it may be lost.
    pub(super) fn lose(&mut self, engine: usize) {
        for (slot, topic) in &mut self.topics {
            if topic.engine == engine {
                topic.reading = Reading::Waits;
                let too_many = topic.held.len().saturating_sub(1);
                topic.held.drain(..too_many);
                self.held -= too_many;
                if let Some(newest) = &mut topic.newest {
                    newest.lost();
                }
                topic.owes_audience |= topic.audience_told != 0 || topic.stake.audience != 0;
                topic.audiences = None;
                topic.is_indexed = false;
                topic.points = Vec::new();
                topic.has_old_trail = topic.newest.is_some();
                self.unread[engine].push(slot as u32);
            }
        }
    }

    /// Those of an engine that wait longest to be read, so many at most.
    pub(super) fn unread(&self, engine: usize, count_max: usize) -> Vec<Rc<str>> {
        let queue = &self.unread[engine];
        let slots = std::iter::successors(queue.first(), |slot| queue.after(*slot));
        let ids = slots.map(|slot| Rc::clone(&self.topics[slot as usize].id));
        ids.take(count_max).collect()
    }

    /// Says that one was asked for.
    pub(super) fn asked(&mut self, id: &str) {
        if let Some(slot) = self.ids.get(id) {
            let topic = &mut self.topics[*slot];
            topic.reading = Reading::Asked;
            self.unread[topic.engine].remove(*slot as u32);
        }
    }

    /// Has a user's trail be read once all positions were.
    pub(super) fn await_trail(&mut self, id: &str) {
        if let Some(slot) = self.ids.get(id) {
            self.untrailed[self.topics[*slot].engine].push(*slot as u32);
        }
    }

    /// The next one whose trail is to be read.
    pub(super) fn next_untrailed(&mut self, engine: usize) -> Option<Rc<str>> {
        let slot = self.untrailed[engine].first()?;
        self.untrailed[engine].remove(slot);
        Some(Rc::clone(&self.topics.get(slot as usize)?.id))
    }

    /// Has the engine be given what is owed of a user.
    pub(super) fn owe(&mut self, id: &str) {
        if let Some(slot) = self.ids.get(id) {
            self.owing[self.topics[*slot].engine].push(*slot as u32);
        }
    }

    /// The one that has owed longest to this engine.
    pub(super) fn owing(&mut self, engine: usize) -> Option<&mut Topic> {
        let slot = self.owing[engine].first()?;
        self.topics.get_mut(slot as usize)
    }

    /// Says that one owes nothing any more, or nothing that could be given now.
    pub(super) fn paid(&mut self, id: &str) {
        if let Some(slot) = self.ids.get(id) {
            self.owing[self.topics[*slot].engine].remove(*slot as u32);
        }
    }

    /// Whether some of an engine's wait to be read.
    pub(super) fn is_unread(&self, engine: usize) -> bool {
        self.unread[engine].first().is_some() || self.untrailed[engine].first().is_some()
    }

    /// Whether something is owed to an engine.
    pub(super) fn is_owing(&self, engine: usize) -> bool {
        self.owing[engine].first().is_some()
    }
}
