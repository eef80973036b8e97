//! Who asked for presence, and whose presence changed since they were told.

use std::time::Instant;

use super::hub::Hub;
use super::keys::{MemberKey, RunnerKey};
use crate::user::Presence;

impl Hub {
    /// Begins or ends presence for what the member follows; says whether it is new.
    pub(super) fn ask_presence(&mut self, key: MemberKey, asks: bool) -> bool {
        let member = &mut self.members[key.index()];
        if std::mem::replace(&mut member.asks_presence, asks) == asks {
            return false;
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

    /// Presence of the runner in one slot of a member, if the member asked for it.
    pub(super) fn presence(&self, key: MemberKey, slot: u32, now: Instant) -> Option<Presence<'_>> {
        let member = self.members.get(key.index())?;
        let follow = member.following.get(slot as usize)?;
        let runner = RunnerKey(follow.runner);
        member.asks_presence.then(|| Presence {
            user: self.id(runner),
            called: self.called(runner),
            spelling: follow.spelling(),
            freshness: self.freshness(runner),
            is_connected: self.is_connected(runner),
            age: self.last_known(runner).map(|last| last.age(now)),
        })
    }

    /// Whether some member declared this user.
    pub(super) fn is_connected(&self, runner: RunnerKey) -> bool {
        (self.runners.get(runner.0 as usize)).is_some_and(|runner| runner.declared > 0)
    }

    /// The runners whose presence changed since it was told, and of whom something may be told now:
    /// as many as have so many followers together, and those that moved just now.
    pub(super) fn take_changed(&mut self, now: Instant, followers_max: usize) -> Vec<RunnerKey> {
        let mut changed = self.changes.take(now);
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
            left = left.saturating_sub(runner.followers.len());
            runner.has_changed = false;
            self.changes.tell(*key, now);
            true
        });
        self.changes.put_back(later);
        changed.into_iter().map(RunnerKey).collect()
    }

    /// Notes that a runner's presence changed. Costs nothing to speak of where nobody asked.
    pub(super) fn note_change(&mut self, key: u32) {
        let runner = &mut self.runners[key as usize];
        if runner.watchers > 0 && !std::mem::replace(&mut runner.has_changed, true) {
            self.changes.add(key);
        }
    }
}
