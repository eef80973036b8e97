//! How many follow a runner, told to the connections of the runner that asked.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::Hub;

/// A change is told this long after it, with all others of the runner by then: so that a
/// connection is told at most once in this time.
const TELL_INTERVAL: Duration = Duration::from_secs(1);

/// Who asked for an audience, and of which runners it changed.
#[derive(Debug, Default)]
pub(super) struct Audiences {
    /// By runner and connection.
    askers: BTreeMap<(u32, u32), Asker>,
    /// Runners whose audience changed since the last call of [`Hub::due_audiences`].
    changed: Vec<u32>,
    /// Those of earlier calls, with the time from which on they are to be told.
    waiting: VecDeque<(Instant, u32)>,
}

#[derive(Debug)]
struct Asker {
    /// Whether it still wants to know. It is kept when it does not, so that asking again and
    /// again makes nothing faster.
    wants: bool,
    /// What it was told last; `None` if it is to be told in any case.
    told: Option<usize>,
}

impl Audiences {
    pub(super) fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }
}

impl Hub {
    /// Begins or ends telling a connection how many follow the user that it declared; says
    /// whether it is to be told now. One that asks again is told with the next changes.
    pub fn ask_audience(&mut self, connection: u32, wants: bool) -> bool {
        let member = self.members.get(connection as usize);
        let Some(key) = member.and_then(|member| member.declared()) else {
            return false;
        };
        let count = self.audience_of(key);
        let Some(asker) = self.audiences.askers.get_mut(&(key, connection)) else {
            if wants {
                let told = Some(count);
                let asker = Asker { wants, told };
                self.audiences.askers.insert((key, connection), asker);
                self.runners[key as usize].has_askers = true;
            }
            return wants;
        };
        asker.wants = wants;
        asker.told = None;
        self.await_audience(key);
        false
    }

    /// How many connections follow the user that the connection declared, those not counted that
    /// declared it too; `None` if it did not ask.
    pub fn audience(&self, connection: u32) -> Option<usize> {
        let key = self.members.get(connection as usize)?.declared()?;
        let asker = self.audiences.askers.get(&(key, connection))?;
        asker.wants.then(|| self.audience_of(key))
    }

    /// Connections to be told their audience now, of so many runners at most.
    pub fn due_audiences(&mut self, now: Instant, runners_max: usize) -> Vec<u32> {
        let audiences = &mut self.audiences;
        let changed = audiences.changed.drain(..);
        (audiences.waiting).extend(changed.map(|key| (now + TELL_INTERVAL, key)));
        let mut due = Vec::new();
        for _ in 0..runners_max {
            let Some((_, key)) =
                (self.audiences.waiting.front().copied()).filter(|(time, _)| *time <= now)
            else {
                break;
            };
            self.audiences.waiting.pop_front();
            // One that was forgotten is not waited for, whoever has its number now.
            let runner = self.runners.get_mut(key as usize);
            if !runner.is_some_and(|runner| std::mem::take(&mut runner.is_awaited)) {
                continue;
            }
            let count = self.audience_of(key);
            let askers = self.audiences.askers.range_mut((key, 0)..=(key, u32::MAX));
            for ((_, connection), asker) in askers {
                if asker.wants && asker.told.replace(count) != Some(count) {
                    due.push(*connection);
                }
            }
        }
        due
    }

    /// When [`Hub::due_audiences`] next has something to say.
    pub fn audience_deadline(&self) -> Option<Instant> {
        self.audiences.waiting.front().map(|(time, _)| *time)
    }

    /// Notes that a runner's audience may have changed.
    pub(super) fn await_audience(&mut self, key: u32) {
        let runner = &mut self.runners[key as usize];
        if runner.has_askers && !std::mem::replace(&mut runner.is_awaited, true) {
            self.audiences.changed.push(key);
        }
    }

    pub(super) fn forget_asker(&mut self, key: u32, connection: u32) {
        if self.runners[key as usize].has_askers {
            let askers = &mut self.audiences.askers;
            askers.remove(&(key, connection));
            self.runners[key as usize].has_askers =
                askers.range((key, 0)..=(key, u32::MAX)).next().is_some();
        }
    }

    fn audience_of(&self, key: u32) -> usize {
        let runner = &self.runners[key as usize];
        runner.followers.len() - runner.own_followers as usize
    }
}
