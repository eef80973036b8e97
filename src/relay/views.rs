//! What there is to see in the relay: who follows whom, and what is true now about a user or about
//! what is owed.

use std::time::Instant;

use super::authority::Authority;
use super::heard::LastKnown;
use super::keys::{Follower, MemberKey, RunnerKey};
use super::service::Relay;
use crate::auth::Follow;
use crate::user::{Called, Freshness, Known, Presence};

impl Relay {
    /// The members that follow a runner: those to relay its newest position to.
    pub(crate) fn followers(&self, runner: RunnerKey) -> &[Follower] {
        self.hub.followers(runner)
    }

    /// The members that follow a runner by following everyone, each with this slot.
    pub(crate) fn covering(&self, runner: RunnerKey) -> (u32, impl Iterator<Item = MemberKey>) {
        (runner.covered_slot(), self.hub.covering(runner))
    }

    /// Those of them who asked for presence, and what they are told of the runner.
    pub(crate) fn watching(
        &self,
        runner: RunnerKey,
        now: Instant,
    ) -> (Presence<'_>, impl Iterator<Item = MemberKey>) {
        let watching = (self.hub.covering(runner)).filter(|it| self.hub.asks_presence(*it));
        (self.hub.presence_of(runner, now), watching)
    }

    /// How many follow everyone.
    pub(crate) fn followers_of_everyone(&self) -> usize {
        self.hub.everyone.members.len()
    }

    /// How many follow a member's user, if it asked. That counts as told.
    pub(crate) fn take_audience(&mut self, member: MemberKey, now: Instant) -> Option<usize> {
        self.hub.tell_audience(member, now)
    }

    /// Presence of the user in one slot of a member, if it asked.
    pub(crate) fn say_presence(
        &self,
        member: MemberKey,
        slot: u32,
        now: Instant,
    ) -> Option<Presence<'_>> {
        self.hub.presence(member, slot, now)
    }

    /// The same of a user who is one of everyone.
    pub(crate) fn introduce(
        &self,
        member: MemberKey,
        slot: u32,
        now: Instant,
    ) -> Option<Presence<'_>> {
        let is_known = self.hub.is_known_in(member, slot);
        self.say_presence(member, slot, now).filter(|_| is_known)
    }

    /// Where the user in one slot of a member is.
    pub(crate) fn say_position(
        &self,
        member: MemberKey,
        slot: u32,
        now: Instant,
    ) -> Option<Known<'_>> {
        let (runner, last) = self.hub.last_known_in(member, slot)?;
        Some(self.known_as(runner, last, now))
    }

    /// Whether what is last known of the user in a member's slot is told without its age: it is news,
    /// as nothing was known when the member followed everyone.
    pub(crate) fn is_news(&self, member: MemberKey, slot: u32) -> bool {
        self.hub.is_newcomer(member, slot)
    }

    /// Where a runner is.
    pub(crate) fn known(&self, runner: RunnerKey, now: Instant) -> Option<Known<'_>> {
        let last = self.hub.last_known(runner)?;
        Some(self.known_as(runner, last, now))
    }

    fn known_as<'a>(&'a self, runner: RunnerKey, last: &'a LastKnown, now: Instant) -> Known<'a> {
        Known {
            user: self.hub.id(runner),
            written: last.written(),
            fix: last.fix(),
            age: last.age(now),
            dialect: last.dialect,
        }
    }

    /// The runner of this id, if it is one whom the authority may follow.
    pub(crate) fn visible(&self, by: &Authority, user: &str) -> Option<RunnerKey> {
        let runner = self.hub.runner(user)?;
        self.may_follow(by, user).then_some(runner)
    }

    /// Whether everybody may be followed, whoever there is.
    pub(crate) fn may_follow_everybody(&self, by: &Authority) -> bool {
        match by.grant() {
            Some(grant) => grant.follow == Follow::Everybody,
            None => !self.rules.needs_grant && self.rules.follows_all,
        }
    }

    /// Everybody of whom it is known where they are.
    pub(crate) fn everybody_known(&self) -> impl Iterator<Item = RunnerKey> {
        self.hub.everybody_known()
    }

    /// What a runner is called.
    pub(crate) fn called(&self, runner: RunnerKey) -> Called<'_> {
        self.hub.called(runner)
    }

    /// How fresh a runner's last known position is.
    pub(crate) fn freshness(&self, runner: RunnerKey) -> Freshness {
        self.hub.freshness(runner)
    }

    /// Whether some member declared this user.
    pub(crate) fn is_connected(&self, runner: RunnerKey) -> bool {
        self.hub.is_connected(runner)
    }

    /// How many follows of a member there are.
    pub(crate) fn follows_of(&self, member: MemberKey) -> usize {
        self.hub.follows_of(member)
    }

    /// Of how many users a member is told: those that it follows, or everyone too.
    pub(crate) fn watched_by(&self, member: MemberKey) -> usize {
        let everyone = match self.hub.follows_everyone(member) {
            true => self.runners_total(),
            false => 0,
        };
        self.follows_of(member) + everyone
    }

    /// How many users are followed, declared, on the roster or remembered.
    pub(crate) fn runners_total(&self) -> usize {
        self.hub.runners_total()
    }

    /// How many follows there are, over all members.
    pub(crate) fn follows_total(&self) -> usize {
        self.hub.follows_total()
    }

    /// Of how many it is known where they are.
    pub(crate) fn known_total(&self) -> usize {
        self.hub.heard.count
    }

    /// Counts what changes in what a [`Snapshot`](super::Snapshot) has.
    pub(crate) fn revision(&self) -> u64 {
        self.hub.revision
    }

    /// How many users are live, stale and unknown.
    pub(crate) fn runners_by_freshness(&self) -> [(Freshness, usize); 3] {
        self.hub.runners_by_freshness()
    }
}
