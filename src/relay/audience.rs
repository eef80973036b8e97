//! How many follow a runner, told to the members who are the runner and asked.

use std::time::{Duration, Instant};

use super::askers::{Asker, all_of};
use super::hub::Hub;
use super::keys::MemberKey;
use super::member::Member;

/// A member is told its audience at most once in this time.
const TELL_INTERVAL: Duration = Duration::from_secs(1);

impl Hub {
    /// Begins or ends telling a member how many follow the user that it declared; says
    /// whether it is to be told now. One that asks again is told when it may be.
    pub(super) fn ask_audience(&mut self, member: MemberKey, wants: bool) -> bool {
        let Some(key) = self.members.get(member.index()).and_then(Member::declared) else {
            return false;
        };
        if let Some(asker) = self.audiences.askers.get_mut(&(key, member)) {
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
            self.audiences.askers.insert((key, member), asker);
            self.runners[key as usize].has_askers = true;
            self.note_stake(key);
        }
        wants
    }

    /// How many members follow the user that the member declared, not counting members who are that
    /// user; `None` if it did not ask.
    pub(super) fn audience(&self, member: MemberKey) -> Option<usize> {
        let key = self.members.get(member.index())?.declared()?;
        let asker = self.audiences.askers.get(&(key, member))?;
        asker.wants.then(|| self.audience_of(key))
    }

    /// The same for a message that goes out now: what is told later goes by what this says.
    pub(super) fn tell_audience(&mut self, member: MemberKey, now: Instant) -> Option<usize> {
        let count = self.audience(member)?;
        let key = self.members.get(member.index())?.declared()?;
        let asker = self.audiences.askers.get_mut(&(key, member))?;
        (asker.told, asker.told_at) = (Some(count), Some(now));
        Some(count)
    }

    /// Members to be told their audience now, of so many runners at most.
    pub(super) fn due_audiences(&mut self, now: Instant, runners_max: usize) -> Vec<MemberKey> {
        if std::mem::take(&mut self.audiences.have_all_changed) {
            let mut runners: Vec<u32> = self.audiences.askers.keys().map(|(key, _)| *key).collect();
            runners.dedup();
            for key in runners {
                self.await_audience(key);
            }
        }
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
            let askers = self.audiences.askers.range_mut(all_of(key));
            let mut later: Option<Instant> = None;
            for ((_, member), asker) in askers {
                if !asker.wants || asker.told == Some(count) {
                    continue;
                }
                match asker.told_at.map(|time| time + TELL_INTERVAL) {
                    Some(time) if time > now => later = later.into_iter().chain([time]).min(),
                    _ => {
                        asker.told_at = Some(now);
                        due.push(*member);
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
    pub(super) fn audience_deadline(&self) -> Option<Instant> {
        self.audiences.waiting.first().map(|(time, _)| *time)
    }

    /// Notes that a runner's audience may have changed.
    pub(super) fn await_audience(&mut self, key: u32) {
        self.note_stake(key);
        let runner = &mut self.runners[key as usize];
        if runner.has_askers && !std::mem::replace(&mut runner.is_awaited, true) {
            self.audiences.changed.push(key);
        }
    }

    pub(super) fn forget_asker(&mut self, key: u32, member: MemberKey) {
        if self.runners[key as usize].has_askers {
            let askers = &mut self.audiences.askers;
            askers.remove(&(key, member));
            self.runners[key as usize].has_askers = askers.range(all_of(key)).next().is_some();
            self.note_stake(key);
        }
    }

    fn audience_of(&self, key: u32) -> usize {
        let here = self.everyone.members.len() as i64 + self.audience_by_name(key);
        let elsewhere = self.stakes.as_ref();
        let elsewhere = elsewhere.map_or(0, |stakes| stakes.audience_elsewhere(key));
        usize::try_from(here + elsewhere).unwrap_or(0)
    }

    /// How many more follow a runner here than follow everyone; fewer if more of those left it out.
    pub(super) fn audience_by_name(&self, key: u32) -> i64 {
        let runner = &self.runners[key as usize];
        runner.followers.len() as i64 - i64::from(runner.apart + runner.own_followers)
    }
}
