//! Everyone: whoever is known to the service. An index in the engines says who that is, and each node
//! tells who joins. Must never know who follows everyone.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::Nodes;
use super::questions::Question;
use crate::bus::{Envelope, INDEX_PARTS, Kind, NotTaken};
use crate::relay::Now;

/// Everyone is heard of for so long after somebody asked.
const LINGER: Duration = Duration::from_secs(10);

/// What the engines know of everyone is waited for so long.
const SEEK_MAX: Duration = Duration::from_millis(300);

/// The index is told again who is here in this time. Who was not for some of it is there no more.
const INDEX_INTERVAL: Duration = Duration::from_secs(3600);

/// What is known of who everyone is.
#[derive(Debug)]
pub(super) struct Seeking {
    /// Parts of each engine's index that are to be asked for.
    pub(super) parts: Vec<Vec<usize>>,
    /// Parts that were asked for and did not come yet.
    pub(super) asked: usize,
    /// Until when it is worth waiting for them.
    until: Instant,
    /// When somebody asked last who does not follow.
    asked_for_at: Option<Instant>,
    pub(super) index_again_at: Instant,
}

impl Seeking {
    pub(super) fn new(engines: usize, now: Instant) -> Seeking {
        Seeking {
            parts: vec![Vec::new(); engines],
            asked: 0,
            until: now,
            asked_for_at: None,
            index_again_at: now + INDEX_INTERVAL,
        }
    }

    /// Has an engine's index be read as a whole.
    pub(super) fn begin(&mut self, engine: usize) {
        self.parts[engine] = (0..INDEX_PARTS).collect();
    }
}

impl Nodes {
    /// Asks who everyone is, on behalf of a request; says whether answers are worth waiting for.
    pub(in crate::server) fn ask_everyone(&mut self, now: Now) -> bool {
        self.seeking.asked_for_at = Some(now.monotonic);
        self.look_after_everyone(now);
        self.is_seeking(now)
    }

    /// Whether more of who everyone is comes in a moment.
    pub(in crate::server) fn is_seeking(&self, now: Now) -> bool {
        let parts = self.seeking.parts.iter().zip(&self.engines);
        let is_asking =
            (parts.into_iter()).any(|(parts, engine)| engine.link.is_up() && !parts.is_empty());
        let is_waiting = is_asking || self.seeking.asked > 0 || self.topics.are_fresh();
        is_waiting && now.monotonic < self.seeking.until
    }

    /// Begins or ends hearing of everyone, if somebody wants to or nobody does any more.
    pub(super) fn look_after_everyone(&mut self, now: Now) {
        let seeking = &mut self.seeking;
        let is_over = |at: Instant| now.monotonic >= at + LINGER;
        seeking.asked_for_at = seeking.asked_for_at.filter(|at| !is_over(*at));
        let is_wanted = self.everyone > 0 || seeking.asked_for_at.is_some();
        if self.topics.set_everyone(is_wanted, now.monotonic) && is_wanted {
            seeking.until = now.monotonic + SEEK_MAX;
            (0..self.engines.len()).for_each(|engine| seeking.begin(engine));
        }
        if now.monotonic >= seeking.index_again_at {
            seeking.index_again_at = now.monotonic + INDEX_INTERVAL;
            self.topics.index_again();
        }
    }

    /// When that has something to do next.
    pub(super) fn everyone_deadline(&self, now: Instant) -> Instant {
        let seeking = &self.seeking;
        let asked = seeking.asked_for_at.map(|at| at + LINGER);
        let until = Some(seeking.until).filter(|until| *until > now);
        let deadlines = asked.into_iter().chain(until);
        deadlines.fold(seeking.index_again_at, Instant::min)
    }

    /// Asks an engine for parts of its index, as far as it takes more.
    pub(super) fn read_index(&mut self, index: usize) -> Result<(), NotTaken> {
        let engine = &mut self.engines[index];
        while engine.may_be_asked()
            && let Some(part) = self.seeking.parts[index].last()
        {
            let name = self.names.index(*part);
            engine.ask(&[b"HGETALL", name.as_bytes()], Question::Index)?;
            self.seeking.asked += 1;
            self.seeking.parts[index].pop();
        }
        Ok(())
    }

    /// Has a user be found by those who look for everyone, if that is owed.
    pub(super) fn tell_index(&mut self, id: &Rc<str>, now: Now) -> Result<(), NotTaken> {
        let stamp = self.next_stamp(now);
        let topic = self.topics.get_mut(id).filter(|topic| topic.owes_index());
        let Some(topic) = topic else {
            return Ok(());
        };
        let link = &mut self.engines[topic.engine].link;
        let (part, channel) = (self.names.index_of(id), self.names.nodes());
        let now_s = (now.unix_ms as u64 / 1000).to_string();
        link.command(&[b"HSET", part.as_bytes(), id.as_bytes(), now_s.as_bytes()])?;
        let envelope = Envelope {
            kind: Kind::Newcomer,
            stamp,
            fix_ms: None,
            json: id,
        };
        let mut payload = Vec::new();
        envelope.write(&mut payload);
        link.command(&[b"PUBLISH", channel.as_bytes(), &payload])?;
        topic.is_indexed = true;
        Ok(())
    }

    /// Takes users out of the index whom nobody told again.
    pub(super) fn forget_lost(&mut self, index: usize, ids: Vec<Rc<str>>) {
        for id in ids {
            let part = self.names.index_of(&id);
            // What is not taken is found again the next time.
            let command = [b"HDEL", part.as_bytes(), id.as_bytes()];
            let _ = self.engines[index].link.command(&command);
        }
    }

    /// In seconds, how old an entry of the index is that nobody told again.
    pub(super) fn lost_after_s(&self) -> u64 {
        self.forget_after.as_secs() + 2 * INDEX_INTERVAL.as_secs()
    }
}
