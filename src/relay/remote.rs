//! What other nodes have to do with the users of this one: in whom there is a stake here, what is
//! heard of them from elsewhere, and what waits for it. Knows no bus.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::heard::LastKnown;
use super::hub::{Hub, Runner};
use super::keys::{Follower, MemberKey, RunnerKey};
use super::names::NamedBy;
use super::now::Now;
use super::sender_clock::SenderClock;
use super::service::Relay;
use super::stakes::{Said, Stakes};
use super::terms::Owed;
use super::trail::Added;
use crate::dialect::Dialect;
use crate::fix::Fix;
use crate::point::TrailPoint;
use crate::user::UserId;

/// Why a node wants to hear of a user, and what the others are to hear of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stake {
    /// Whether somebody here follows it.
    pub(crate) is_followed: bool,
    /// Whether some member here declared it.
    pub(crate) is_declared: bool,
    /// Whether its last known position came through this node.
    pub(crate) has_position: bool,
    /// Whether somebody here asked how many follow it.
    pub(crate) asks_audience: bool,
    /// How many more follow it here than follow everyone.
    pub(crate) audience: i64,
}

impl Stake {
    /// Whether there is any.
    pub(crate) fn is_any(self) -> bool {
        self.is_followed || self.is_declared || self.has_position || self.audience != 0
    }
}

impl Relay {
    /// Has stakes be noted from now on, for there are other nodes. There is one in each user whose
    /// last known position outlived a restart: says who they are, and how old each is.
    pub(crate) fn share(&mut self, now: Instant) -> Vec<(Rc<str>, Duration)> {
        let known = self.hub.runners.iter().filter_map(|(_, runner)| {
            let age = runner.last.as_ref()?.age(now);
            Some((Rc::clone(&runner.id), age))
        });
        let known: Vec<(Rc<str>, Duration)> = known.collect();
        self.hub.stakes = Some(Stakes {
            changed: known.iter().map(|(id, _)| Rc::clone(id)).collect(),
            ..Stakes::default()
        });
        known
    }

    /// Users in whom the stake may have changed since the last call.
    pub(crate) fn take_stakes(&mut self) -> Vec<Rc<str>> {
        (self.hub.stakes.as_mut()).map_or(Vec::new(), |stakes| std::mem::take(&mut stakes.changed))
    }

    /// The stake in a user.
    pub(crate) fn stake(&self, user: &str) -> Stake {
        let Some(RunnerKey(key)) = self.hub.runner(user) else {
            return Stake::default();
        };
        Stake {
            audience: self.hub.audience_by_name(key),
            ..self.hub.runners[key as usize].stake()
        }
    }

    /// What a user is called by what was said here: by a token, and by itself.
    pub(crate) fn said_here(&self, user: &str) -> Said {
        let stakes = self.hub.stakes.as_ref().zip(self.hub.runner(user));
        let said = stakes.and_then(|(stakes, RunnerKey(key))| stakes.said.get(&key));
        said.cloned().unwrap_or_default()
    }

    /// Has a user be called so, by what was said on another node: where it is connected, what was said
    /// here counts, and elsewhere no more.
    pub(crate) fn call_from_elsewhere(&mut self, user: &str, said: &Said) {
        let Some(runner) = self.hub.runner(user) else {
            return;
        };
        let was_said = |said: &Said| said.iter().any(Option::is_some);
        if was_said(said) && was_said(&self.said_here(user)) {
            if self.hub.runners[runner.0 as usize].stake().is_declared {
                return;
            }
            self.hub.forget_said(runner.0);
            self.hub.note_stake(runner.0);
        }
        for (by, name) in [NamedBy::Token, NamedBy::Hello].into_iter().zip(said) {
            if name.is_some() {
                self.hub.set_name(runner, by, name.as_deref());
            }
        }
    }

    /// A user's id.
    pub(crate) fn id(&self, runner: RunnerKey) -> Rc<str> {
        let runner = self.hub.runners.get(runner.0 as usize);
        runner.map_or_else(|| Rc::from(""), |runner| Rc::clone(&runner.id))
    }

    /// The user, if it is known.
    pub(crate) fn runner(&self, user: &str) -> Option<RunnerKey> {
        self.hub.runner(user)
    }

    /// Says that all is told now that other nodes know of a user, or that it took too long: who has
    /// waited for it is owed what is known.
    pub(crate) fn read(&mut self, runner: RunnerKey) {
        let Some((from_ms, waiting)) = self.take_waiting(runner) else {
            return;
        };
        for Follower { member, slot } in waiting {
            let asks_presence = self.hub.asks_presence(member);
            self.owe_known(member, slot, asks_presence, from_ms);
        }
    }

    /// Says that a user has just moved: who has waited for where it was is told that it is there, and
    /// then where.
    pub(crate) fn read_by_move(&mut self, runner: RunnerKey) {
        let Some((from_ms, waiting)) = self.take_waiting(runner) else {
            return;
        };
        for Follower { member, slot } in waiting {
            if self.hub.asks_presence(member) {
                self.owe(member, Owed::Presence(slot));
            }
            if self.hub.trail_points(member) > 0 {
                self.owe(member, Owed::Trail { slot, from_ms });
            }
        }
    }

    /// Ends the wait for what other nodes know of a user; says who has waited, and from which time on
    /// trails are owed to them. `None` if nobody waits.
    fn take_waiting(&mut self, runner: RunnerKey) -> Option<(u64, Vec<Follower>)> {
        let from_ms = self.hub.stakes.as_mut()?.unread.remove(&runner.0)?;
        self.announce_if_watched(runner);
        Some((from_ms, self.hub.followers(runner).to_vec()))
    }

    /// Takes a position that another node judged to be the user's newest. One with an age is where
    /// the user was last; those who follow it are owed that, as nobody told them.
    pub(crate) fn hear(
        &mut self,
        user: &UserId,
        fix: Fix,
        age: Option<Duration>,
        now: Now,
    ) -> RunnerKey {
        let runner = self.hub.runner_or_new(user.text());
        let is_live = age.is_none_or(|age| age < self.rules.stale_after);
        // After a restart it may be known already, and told.
        let is_new = (self.hub.last_known(runner)).is_none_or(|last| last.fix != fix);
        self.hub.hear(runner, user, fix, age, is_live, now);
        if age.is_some() && is_new && !self.hub.is_unread(runner) {
            let followers = self.hub.followers(runner).to_vec();
            for follower in followers {
                self.owe_known(follower.member, follower.slot, false, 0);
            }
        }
        if age.is_some() && is_new {
            let slot = runner.covered_slot();
            let covering: Vec<MemberKey> = self.hub.covering(runner).collect();
            for member in covering {
                self.owe(member, Owed::LastKnown { slot, runner });
            }
        }
        runner
    }

    /// Says whether a member of another node declared a user.
    pub(crate) fn set_elsewhere(&mut self, user: &str, is_elsewhere: bool) {
        self.hub.set_elsewhere(user, is_elsewhere);
    }

    /// Says how many members of other nodes follow everyone.
    pub(crate) fn set_everyone_elsewhere(&mut self, count: i64) {
        if let Some(stakes) = &mut self.hub.stakes
            && std::mem::replace(&mut stakes.everyone, count) != count
        {
            self.hub.audiences.have_all_changed = true;
        }
    }

    /// Says how many more members of other nodes follow a user than follow everyone.
    pub(crate) fn set_audience_elsewhere(&mut self, user: &str, count: i64) {
        if let (Some(RunnerKey(key)), Some(stakes)) = (self.hub.runner(user), &mut self.hub.stakes)
            && stakes.audiences.insert(key, count).unwrap_or_default() != count
        {
            self.hub.await_audience(key);
        }
    }

    /// Points that came onto trails here since the last call.
    pub(crate) fn take_points(&mut self) -> Vec<(Rc<str>, TrailPoint)> {
        (self.hub.stakes.as_mut()).map_or(Vec::new(), |stakes| std::mem::take(&mut stakes.points))
    }

    /// Puts points that other nodes kept onto a user's trail, beside those that are there.
    pub(crate) fn restore_trail(&mut self, user: &str, points: Vec<TrailPoint>) {
        if let Some(runner) = self.hub.runner(user) {
            let there: Vec<TrailPoint> =
                (self.hub.trail(runner)).map_or(Vec::new(), |trail| trail.points().collect());
            let all = points
                .into_iter()
                .chain(there)
                .map(|point| (point.ms, point));
            let all: BTreeMap<u64, TrailPoint> = all.collect();
            self.hub.restore_trail(runner, all.into_values());
        }
    }

    /// Forgets of a user what came from other nodes: nobody tells any more when it is different.
    pub(crate) fn forget_elsewhere(&mut self, user: &str) {
        self.set_audience_elsewhere(user, 0);
        if let Some(runner) = self.hub.runner(user)
            && (self.hub.last_known(runner)).is_some_and(|last| last.is_from_elsewhere)
        {
            self.hub.forget_last_known(runner);
        }
        self.hub.set_elsewhere(user, false);
    }
}

impl Runner {
    fn stake(&self) -> Stake {
        let last = self.last.as_ref();
        Stake {
            is_followed: !self.followers.is_empty(),
            is_declared: self.declared > 0,
            has_position: last.is_some_and(|last| !last.is_from_elsewhere),
            asks_audience: self.has_askers,
            audience: 0,
        }
    }
}

impl Hub {
    /// Notes that the stake in a user may have changed. Costs nothing to speak of where there are
    /// no other nodes.
    pub(super) fn note_stake(&mut self, key: u32) {
        if let Some(stakes) = &mut self.stakes {
            stakes
                .changed
                .push(Rc::clone(&self.runners[key as usize].id));
        }
    }

    /// Notes that a name was said here, or is not any more.
    pub(super) fn note_said(&mut self, runner: RunnerKey, by: NamedBy, name: Option<&str>) {
        let Some(stakes) = &mut self.stakes else {
            return;
        };
        if name.is_none() && !stakes.said.contains_key(&runner.0) {
            return;
        }
        let said = stakes.said.entry(runner.0).or_default();
        said[usize::from(by == NamedBy::Hello)] = name.map(Box::from);
        self.note_stake(runner.0);
    }

    /// Notes that nothing that was said here of a runner's name counts any more.
    pub(super) fn forget_said(&mut self, key: u32) {
        if let Some(stakes) = &mut self.stakes {
            stakes.said.remove(&key);
        }
    }

    /// Whether what is known of the user in a member's slot is told later, as other nodes may know
    /// more. That is so of whom nobody had a stake in before.
    pub(super) fn waits_for_others(&mut self, member: MemberKey, slot: u32, from_ms: u64) -> bool {
        let runner = self.in_slot(member, slot);
        let (Some((RunnerKey(key), _)), Some(stakes)) = (runner, &mut self.stakes) else {
            return false;
        };
        let runner = &self.runners[key as usize];
        let stake = runner.stake();
        let is_first = runner.followers.len() == 1 && !stake.is_declared && !stake.has_position;
        match stakes.unread.get_mut(&key) {
            Some(unread_from_ms) => *unread_from_ms = from_ms.min(*unread_from_ms),
            None if is_first => {
                stakes.unread.insert(key, from_ms);
            }
            None => return false,
        }
        true
    }

    pub(super) fn is_unread(&self, runner: RunnerKey) -> bool {
        (self.stakes.as_ref()).is_some_and(|stakes| stakes.unread.contains_key(&runner.0))
    }

    fn hear(
        &mut self,
        runner: RunnerKey,
        user: &UserId,
        fix: Fix,
        age: Option<Duration>,
        is_live: bool,
        now: Now,
    ) {
        let RunnerKey(key) = runner;
        let made_at_ms = fix.made_at_ms();
        let mut clock = (self.last_known(runner)).map_or(SenderClock::default(), |last| last.clock);
        if !clock.take(made_at_ms, now) {
            // The nodes agree on the order in which positions came, whatever their senders' clocks.
            clock = SenderClock::default();
            clock.take(made_at_ms, now);
        }
        let received_at = age.and_then(|age| now.monotonic.checked_sub(age));
        let received_at = received_at.unwrap_or(now.monotonic);
        let last = LastKnown {
            fix,
            written: user.written(),
            received_at,
            clock,
            dialect: Dialect::WebSocket,
            trail: None,
            is_trail_past: false,
            is_from_elsewhere: true,
        };
        self.keep(key, last, is_live);
        if age.is_some() {
            let aged = &mut self.heard.aged;
            aged.all.insert((received_at, key));
            if is_live {
                aged.live.insert((received_at, key));
            }
        }
        let made_at = made_at_ms.or(age.map(|age| now.unix_ms - age.as_secs_f64() * 1000.0));
        self.put_on_trail(key, made_at, now);
    }

    /// Notes that a point came onto a runner's trail. What is from elsewhere is told by the node that
    /// it came through.
    pub(super) fn note_point(&mut self, key: u32, added: Added, point: TrailPoint) {
        let runner = &self.runners[key as usize];
        let is_from_here = runner.stake().has_position;
        if let (Added::Between | Added::Behind, true, Some(stakes)) =
            (added, is_from_here, &mut self.stakes)
        {
            stakes.points.push((Rc::clone(&runner.id), point));
        }
    }

    fn set_elsewhere(&mut self, user: &str, is_elsewhere: bool) {
        let runner = match is_elsewhere {
            true => self.runner_or_new(user),
            false => match self.runner(user) {
                Some(runner) => runner,
                None => return,
            },
        };
        let RunnerKey(key) = runner;
        let it = &mut self.runners[key as usize];
        let was_connected = it.is_connected();
        it.is_elsewhere = is_elsewhere;
        it.was_known |= is_elsewhere;
        if it.is_connected() != was_connected {
            self.note_change(key);
            self.forget_names(key);
        }
        self.forget_unused(runner);
    }

    /// As [`Hub::stale_before`] of those that had an age when they came.
    pub(super) fn stale_aged_before(&mut self, time: Instant) {
        while let Some(key) = take_before(&mut self.heard.aged.live, time) {
            if self.received_at(key).is_some_and(|at| at < time) {
                self.turn_stale(key);
            }
        }
    }

    /// As [`Hub::forget_before`] of those that had an age when they came.
    pub(super) fn forget_aged_before(&mut self, time: Instant) {
        while let Some(key) = take_before(&mut self.heard.aged.all, time) {
            if self.received_at(key).is_some_and(|at| at < time) {
                self.forget_last_known(RunnerKey(key));
            }
        }
    }
}

fn take_before(aged: &mut BTreeSet<(Instant, u32)>, time: Instant) -> Option<u32> {
    let (at, _) = aged.first()?;
    if *at >= time {
        return None;
    }
    aged.pop_first().map(|(_, key)| key)
}
