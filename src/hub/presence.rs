//! Who asked for presence, and whose presence changed since they were told.

use std::time::Instant;

use super::{Hub, RunnerKey};
use crate::position::Presence;

impl Hub {
    /// Begins or ends presence for what the connection follows; says whether it is new.
    pub fn ask_presence(&mut self, connection: u32, asks: bool) -> bool {
        let member = self.member(connection);
        if std::mem::replace(&mut member.asks_presence, asks) == asks {
            return false;
        }
        for follow in &self.members[connection as usize].following {
            let watchers = &mut self.runners[follow.runner as usize].watchers;
            *watchers = if asks { *watchers + 1 } else { *watchers - 1 };
        }
        asks
    }

    /// Whether the connection asked for presence.
    pub fn asks_presence(&self, connection: u32) -> bool {
        (self.members.get(connection as usize)).is_some_and(|member| member.asks_presence)
    }

    /// Presence of the runner in one slot of a connection, if the connection asked for it.
    pub fn presence(&self, connection: u32, slot: u32, now: Instant) -> Option<Presence<'_>> {
        let member = self.members.get(connection as usize)?;
        let follow = member.following.get(slot as usize)?;
        let runner = RunnerKey(follow.runner);
        member.asks_presence.then(|| Presence {
            user: self.id(runner),
            spelling: follow.spelling(),
            state: self.state(runner),
            is_connected: self.is_connected(runner),
            age_s: (self.last_known(runner, now)).map(|(_, age)| age.as_secs_f64()),
        })
    }

    /// Whether some connection declared this user.
    pub fn is_connected(&self, runner: RunnerKey) -> bool {
        (self.runners.get(runner.0 as usize)).is_some_and(|runner| runner.declared > 0)
    }

    /// Whether there is something in [`Hub::take_changed`] or to be told of an audience.
    pub fn has_changes(&self) -> bool {
        !self.changed.is_empty() || self.audiences.has_changes()
    }

    /// The runners whose presence changed since the last call, and whom somebody follows who
    /// asked for presence then.
    pub fn take_changed(&mut self) -> Vec<RunnerKey> {
        let mut changed = std::mem::take(&mut self.changed);
        // One that was forgotten is not named, whoever has its number now.
        changed.retain(|key| {
            let runner = self.runners.get_mut(*key as usize);
            runner.is_some_and(|runner| std::mem::take(&mut runner.has_changed))
        });
        changed.into_iter().map(RunnerKey).collect()
    }

    /// Notes that a runner's presence changed. Costs nothing to speak of where nobody asked.
    pub(super) fn note_change(&mut self, key: u32) {
        let runner = &mut self.runners[key as usize];
        if runner.watchers > 0 && !std::mem::replace(&mut runner.has_changed, true) {
            self.changed.push(key);
        }
    }
}
