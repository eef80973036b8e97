//! How many follow a runner, told to the connections of the runner that asked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::Hub;

/// A connection is told its audience at most once in this time.
const TELL_INTERVAL: Duration = Duration::from_secs(1);

/// Who asked for an audience, and of which runners it changed.
#[derive(Debug, Default)]
pub(super) struct Audiences {
    /// By runner and connection.
    askers: BTreeMap<(u32, u32), Asker>,
    /// Runners whose audience changed.
    changed: Vec<u32>,
    /// Those of which somebody is to be told later, with the time.
    waiting: BTreeSet<(Instant, u32)>,
}

#[derive(Debug, Default)]
struct Asker {
    /// Whether it still wants to know. It is kept when it does not, so that asking again and
    /// again makes nothing faster.
    wants: bool,
    /// What it was told last; `None` if it is to be told in any case.
    told: Option<usize>,
    /// When it was told or to be told.
    told_at: Option<Instant>,
}

impl Audiences {
    pub(super) fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }

    /// The next runner of which somebody may have to be told now.
    fn next(&mut self, now: Instant) -> Option<u32> {
        self.changed.pop().or_else(|| {
            let (time, _) = self.waiting.first()?;
            if *time > now {
                return None;
            }
            self.waiting.pop_first().map(|(_, key)| key)
        })
    }
}

impl Hub {
    /// Begins or ends telling a connection how many follow the user that it declared; says
    /// whether it is to be told now. One that asks again is told when it may be.
    pub fn ask_audience(&mut self, connection: u32, wants: bool) -> bool {
        let member = self.members.get(connection as usize);
        let Some(key) = member.and_then(|member| member.declared()) else {
            return false;
        };
        if let Some(asker) = self.audiences.askers.get_mut(&(key, connection)) {
            asker.wants = wants;
            asker.told = None;
            self.await_audience(key);
            return false;
        }
        if wants {
            let asker = Asker {
                wants,
                ..Asker::default()
            };
            self.audiences.askers.insert((key, connection), asker);
            self.runners[key as usize].has_askers = true;
        }
        wants
    }

    /// How many connections follow the user that the connection declared, those not counted that
    /// declared it too; `None` if it did not ask.
    pub fn audience(&self, connection: u32) -> Option<usize> {
        let key = self.members.get(connection as usize)?.declared()?;
        let asker = self.audiences.askers.get(&(key, connection))?;
        asker.wants.then(|| self.audience_of(key))
    }

    /// The same for a message that goes out now: what is told later goes by what this says.
    pub fn tell_audience(&mut self, connection: u32, now: Instant) -> Option<usize> {
        let count = self.audience(connection)?;
        let key = self.members.get(connection as usize)?.declared()?;
        let asker = self.audiences.askers.get_mut(&(key, connection))?;
        (asker.told, asker.told_at) = (Some(count), Some(now));
        Some(count)
    }

    /// Connections to be told their audience now, of so many runners at most.
    pub fn due_audiences(&mut self, now: Instant, runners_max: usize) -> Vec<u32> {
        let mut due = Vec::new();
        for _ in 0..runners_max {
            let Some(key) = self.audiences.next(now) else {
                break;
            };
            // One that was forgotten is not waited for, whoever has its number now.
            let runner = self.runners.get_mut(key as usize);
            if !runner.is_some_and(|runner| std::mem::take(&mut runner.is_awaited)) {
                continue;
            }
            let count = self.audience_of(key);
            let askers = self.audiences.askers.range_mut((key, 0)..=(key, u32::MAX));
            let mut later: Option<Instant> = None;
            for ((_, connection), asker) in askers {
                if !asker.wants || asker.told == Some(count) {
                    continue;
                }
                match asker.told_at.map(|time| time + TELL_INTERVAL) {
                    Some(time) if time > now => later = later.into_iter().chain([time]).min(),
                    _ => {
                        asker.told_at = Some(now);
                        due.push(*connection);
                    }
                }
            }
            if let Some(time) = later {
                self.runners[key as usize].is_awaited = true;
                self.audiences.waiting.insert((time, key));
            }
        }
        due
    }

    /// When [`Hub::due_audiences`] next has something to say.
    pub fn audience_deadline(&self) -> Option<Instant> {
        self.audiences.waiting.first().map(|(time, _)| *time)
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
