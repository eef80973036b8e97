//! What of users has its time: who is left, who was not read in time, what may be told or read again.
//! Must never know an engine's socket.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::topic::{Reading, Topic};
use super::topics::{LINGER, Topics};

/// How many follow a user is told at most once in this time.
const AUDIENCE_INTERVAL: Duration = Duration::from_secs(1);

/// Once an engine has lost all, each node has said again after this time who is declared there.
const SAID_AGAIN_MAX: Duration = Duration::from_secs(5);

impl Topics {
    /// The next one that is to be left now. It is forgotten, and what it owed was given up.
    pub(super) fn next_left(&mut self, now: Instant) -> Option<Topic> {
        while let Some((at, _)) = self.leaving.front()
            && *at <= now
        {
            let (at, id) = self.leaving.pop_front()?;
            let slot = *self.ids.get(&id)?;
            let topic = &mut self.topics[slot];
            if topic.leaves_at != Some(at) {
                continue;
            }
            if topic.reading == Reading::Asked || topic.owes_some_word() {
                // The answer would be taken for one to a later question.
                let at = now + LINGER;
                topic.leaves_at = Some(at);
                self.leaving.push_back((at, id));
                continue;
            }
            let topic = self.topics.remove(slot);
            self.ids.remove(&id);
            self.unread[topic.engine].remove(slot as u32);
            self.untrailed[topic.engine].remove(slot as u32);
            self.owing[topic.engine].remove(slot as u32);
            self.held -= topic.held.len();
            return Some(topic);
        }
        None
    }

    /// The next one whose reading took too long.
    pub(super) fn next_late(&mut self, now: Instant) -> Option<Rc<str>> {
        while let Some((at, _)) = self.late_at.front()
            && *at <= now
        {
            let (_, id) = self.late_at.pop_front()?;
            let topic = self
                .get_mut(&id)
                .filter(|topic| topic.reading != Reading::Done);
            if let Some(topic) = topic {
                topic.is_late = true;
                return Some(id);
            }
        }
        None
    }

    /// Says that an engine was told how many follow a user.
    pub(super) fn pace(&mut self, id: &Rc<str>, now: Instant) {
        if let Some(topic) = self.get_mut(id) {
            topic.is_paced = true;
            self.paced
                .push_back((now + AUDIENCE_INTERVAL, Rc::clone(id)));
        }
    }

    /// Lets audiences be told again, by now.
    pub(super) fn end_pauses(&mut self, now: Instant) {
        while let Some((at, _)) = self.paced.front()
            && *at <= now
            && let Some((_, id)) = self.paced.pop_front()
        {
            if let Some(topic) = self.get_mut(&id) {
                topic.is_paced = false;
                if topic.owes_audience {
                    self.owe(&id);
                }
            }
        }
    }

    /// Has who declares a user be read again, once all nodes have had time to say so.
    pub(super) fn doubt(&mut self, id: &Rc<str>, now: Instant) {
        self.unsure.push_back((now + SAID_AGAIN_MAX, Rc::clone(id)));
    }

    /// The next one of whom that is to be read again, with its engine.
    pub(super) fn next_unsure(&mut self, now: Instant) -> Option<(usize, Rc<str>)> {
        while let Some((at, _)) = self.unsure.front()
            && *at <= now
        {
            let (_, id) = self.unsure.pop_front()?;
            // One that is to be read anyway has been lost in the meantime.
            let topic = self
                .get_mut(&id)
                .filter(|topic| topic.reading == Reading::Done);
            if let Some(topic) = topic {
                return Some((topic.engine, id));
            }
        }
        None
    }

    /// When [`Topics::next_left`] or [`Topics::next_late`] has something next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let late = self.late_at.front().map(|(at, _)| *at);
        let leaving = self.leaving.front().map(|(at, _)| *at);
        let paced = self.paced.front().map(|(at, _)| *at);
        let unsure = self.unsure.front().map(|(at, _)| *at);
        let deadlines = [late, leaving, paced, unsure];
        deadlines.into_iter().flatten().min()
    }
}
