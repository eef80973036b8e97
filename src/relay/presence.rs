//! Who asked for presence, and whose presence changed since they were told.

use std::time::Instant;

use super::hub::{Hub, Runner};
use super::keys::{MemberKey, RunnerKey};
use crate::user::{Presence, Spelling};

impl Hub {
    /// Begins or ends presence for what the member follows; says whether it is new.
    pub(super) fn ask_presence(&mut self, key: MemberKey, asks: bool) -> bool {
        let member = &mut self.members[key.index()];
        if std::mem::replace(&mut member.asks_presence, asks) == asks {
            return false;
        }
        if member.everyone.is_some() {
            self.everyone.count_watcher(asks);
        }
        for follow in &self.members[key.index()].following {
            let watchers = &mut self.runners[follow.runner as usize].watchers;
            *watchers = if asks { *watchers + 1 } else { *watchers - 1 };
        }
        asks
    }

    /// Whether the member asked for presence.
    pub(super) fn asks_presence(&self, key: MemberKey) -> bool {
        (self.members.get(key.index())).is_some_and(|member| member.asks_presence)
    }

    /// Whether the runner in one slot of a member has a last known position, is declared or is on the
    /// roster.
    pub(super) fn is_known_in(&self, key: MemberKey, slot: u32) -> bool {
        let runner = self.in_slot(key, slot);
        let runner = runner.and_then(|(runner, _)| self.runners.get(runner.0 as usize));
        runner.is_some_and(Runner::is_known)
    }

    /// Presence of a runner as those are told who follow everyone.
    pub(super) fn presence_of(&self, runner: RunnerKey, now: Instant) -> Presence<'_> {
        self.presence_as(runner, Spelling::String, now)
    }

    /// Presence of the runner in one slot of a member, if the member asked for it.
    pub(super) fn presence(&self, key: MemberKey, slot: u32, now: Instant) -> Option<Presence<'_>> {
        let (runner, spelling) = self.in_slot(key, slot)?;
        let is_there = self.runners.contains(runner.0 as usize);
        (is_there && self.asks_presence(key)).then(|| self.presence_as(runner, spelling, now))
    }

    fn presence_as(&self, runner: RunnerKey, spelling: Spelling, now: Instant) -> Presence<'_> {
        Presence {
            user: self.id(runner),
            called: self.called(runner),
            spelling,
            freshness: self.freshness(runner),
            is_connected: self.is_connected(runner),
            age: self.last_known(runner).map(|last| last.age(now)),
        }
    }

    /// Whether some member declared this user, here or elsewhere.
    pub(super) fn is_connected(&self, runner: RunnerKey) -> bool {
        (self.runners.get(runner.0 as usize)).is_some_and(Runner::is_connected)
    }

    /// The runners whose presence changed since it was told, and of whom something may be told now:
    /// as many as have so many followers together, and those that moved just now.
    pub(super) fn take_changed(&mut self, now: Instant, followers_max: usize) -> Vec<RunnerKey> {
        let mut changed = self.changes.take(now);
        let everyone = match self.everyone.are_watching() {
            true => self.everyone.members.len(),
            false => 0,
        };
        let (mut left, mut later) = (followers_max, Vec::new());
        changed.retain(|key| {
            // One that was forgotten is not named, whoever has its number now.
            let runner = self.runners.get_mut(*key as usize);
            let Some(runner) = runner.filter(|runner| runner.has_changed) else {
                return false;
            };
            // Its position is on its way already, and comes behind this.
            let moved = (runner.last.as_ref()).is_some_and(|last| last.received_at == now);
            if left == 0 && !moved {
                later.push(*key);
                return false;
            }
            left = left.saturating_sub(runner.followers.len() + everyone);
            runner.has_changed = false;
            self.changes.tell(*key, now);
            true
        });
        self.changes.put_back(later);
        changed.into_iter().map(RunnerKey).collect()
    }

    /// Whether a runner's presence changed since it was told, and may be told now. That counts as
    /// told.
    pub(super) fn take_change(&mut self, runner: RunnerKey, now: Instant) -> bool {
        let RunnerKey(key) = runner;
        let Some(runner) = self.runners.get_mut(key as usize) else {
            return false;
        };
        let is_due = runner.has_changed && self.changes.may_tell(key);
        if is_due {
            runner.has_changed = false;
            self.changes.tell(key, now);
        }
        is_due
    }

    /// Notes that a runner's presence changed. Costs nothing to speak of where nobody asked.
    pub(super) fn note_change(&mut self, key: u32) {
        if self.is_unread(RunnerKey(key)) {
            // It is told when it is known what other nodes know.
            return;
        }
        let runner = &mut self.runners[key as usize];
        let is_watched = runner.watchers > 0 || self.everyone.are_watching();
        if is_watched && !std::mem::replace(&mut runner.has_changed, true) {
            self.changes.add(key);
        }
    }
}
