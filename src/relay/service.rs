//! Who joins, who may do what, and what is owed for it.

use std::time::{Duration, Instant};

use super::authority::Authority;
use super::hub::Hub;
use super::keys::{MemberKey, RunnerKey};
use super::now::Now;
use super::paces::Paces;
use super::terms::{Debt, OtherUser, Owed, Published, Rules};
use super::trails::{Taken, Trails};
use crate::auth::Grant;
use crate::dialect::Dialect;
use crate::fix::Fix;
use crate::refusal::{Refusal, quote};
use crate::user::{UserId, Written};

/// Last known positions that turn stale in one step, so that a million of them delay nobody.
const STALE_PER_STEP_MAX: usize = 1000;

/// Last known positions forgotten in one step.
const FORGET_PER_STEP_MAX: usize = 10_000;

/// Runners whose audience is told in one step.
const AUDIENCES_PER_STEP_MAX: usize = 1000;

/// Followers looked at in one step, of runners whose presence changed: about so many are told.
const TOLD_PER_STEP_MAX: usize = 20_000;

/// How late a last known position may turn stale or be forgotten.
const AGEING_INTERVAL: Duration = Duration::from_secs(1);

/// Everybody, and what they are owed.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(super) hub: Hub,
    pub(super) rules: Rules,
    pub(super) paces: Paces,
    pub(super) debts: Vec<Debt>,
    /// Runners whose presence all are owed who follow everyone and asked for it.
    announced: Vec<RunnerKey>,
    advanced_at: Option<Instant>,
    /// Whether more last known positions have aged than one step takes.
    is_ageing: bool,
}

impl Relay {
    /// A relay without members.
    pub(crate) fn new(rules: Rules) -> Relay {
        Relay {
            hub: Hub::new(
                rules.last_known_max,
                Trails::new(rules.trail_points_max, rules.trail_bytes_max),
            ),
            rules,
            paces: Paces::default(),
            debts: Vec::new(),
            announced: Vec::new(),
            advanced_at: None,
            is_ageing: false,
        }
    }

    /// Takes somebody in, who is nobody and follows nobody yet.
    pub(crate) fn join(&mut self) -> MemberKey {
        self.hub.join()
    }

    /// Forgets a member, and what it is owed.
    pub(crate) fn leave(&mut self, member: MemberKey) {
        self.debts.retain(|debt| debt.member != member);
        self.hub.leave(member);
    }

    /// Lets an authority ask for something: a member is the user of its grant from now on, unless
    /// it is somebody already.
    ///
    /// # Errors
    /// It has no grant where one is needed.
    pub(crate) fn admit(&mut self, by: &Authority) -> Result<(), Refusal> {
        let Some(grant) = by.grant() else {
            return match self.rules.needs_grant {
                true => Err(Refusal::Unauthorized),
                false => Ok(()),
            };
        };
        if let Some(member) = by.member()
            && self.hub.declared(member).is_none()
        {
            let written = Written::as_string(&grant.user);
            self.hub.declare(member, &grant.user, written);
            self.call_as_granted(by);
        }
        Ok(())
    }

    /// Whether the authority may follow a user, known or not.
    pub(crate) fn may_follow(&self, by: &Authority, user: &str) -> bool {
        match by.grant() {
            Some(grant) => grant.may_follow(user),
            None => !self.rules.needs_grant,
        }
    }

    /// Gives an authority another grant, and ends the follows that it does not cover, which is
    /// then told as a refusal. One that `is_first` takes the place of any before it.
    ///
    /// # Errors
    /// The grant is for another user than the one before.
    pub(crate) fn renew(
        &mut self,
        by: &mut Authority,
        grant: Grant,
        is_first: bool,
    ) -> Result<Option<Refusal>, OtherUser> {
        let is_other = by.grant().is_some_and(|before| before.user != grant.user);
        if is_other && !is_first {
            return Err(OtherUser);
        }
        by.set_grant(grant);
        let Some(member) = by.member() else {
            return Ok(None);
        };
        if self.hub.declared(member).is_some() {
            self.call_as_granted(by);
        }
        let denies_everyone = !self.may_follow_everybody(by) && self.end_everyone(member);
        let denied: Vec<String> = (self.hub.followed(member))
            .filter(|user| !self.may_follow(by, user))
            .map(str::to_owned)
            .collect();
        for user in &denied {
            self.end_follow(member, user);
        }
        let first = match denies_everyone {
            true => Some("*"),
            false => denied.first().map(String::as_str),
        };
        Ok(first.map(|first| {
            let first = Written::as_string(first).json(first);
            let count = denied.len() + usize::from(denies_everyone);
            Refusal::MayNotFollow(count, quote(&first))
        }))
    }

    /// Binds a member to a user for good.
    ///
    /// # Errors
    /// It is another one already.
    pub(crate) fn declare(&mut self, by: &Authority, user: &UserId) -> Result<(), Refusal> {
        self.admit(by)?;
        let Some(member) = by.member() else {
            return Ok(());
        };
        if self.hub.declare(member, user.text(), user.written()) {
            return Ok(());
        }
        Err(Refusal::WrongUser(self.hub.declaration(member)))
    }

    /// Takes a position, of the user that the member declared if it names none.
    ///
    /// # Errors
    /// Why it is not for the authority to send.
    pub(crate) fn publish(
        &mut self,
        by: &mut Authority,
        user: Option<&UserId>,
        fix: Fix,
        now: Now,
    ) -> Result<Published, Refusal> {
        let (runner, written) = self.publisher(by, user)?;
        if let Some(rate) = self.rules.rate_max
            && let Err(excess) = by.take(rate, now.monotonic)
        {
            self.hub.forget_unused(runner);
            return Ok(Published::TooFast(excess));
        }
        match (self.hub).publish(runner, written, fix, Dialect::WebSocket, now) {
            Taken::Live => Ok(Published::Live(runner)),
            Taken::Late | Taken::Known => Ok(Published::Late),
        }
    }

    /// Whose position it is, and how that is written.
    fn publisher(
        &mut self,
        by: &Authority,
        user: Option<&UserId>,
    ) -> Result<(RunnerKey, Written), Refusal> {
        self.admit(by)?;
        let member = by.member();
        let declared = member.and_then(|member| self.hub.declared(member));
        let (runner, written) = match (user, declared, member) {
            (None, Some(runner), Some(member)) => (runner, self.hub.written(member)),
            (None, ..) => match by.grant() {
                Some(grant) => (
                    self.hub.runner_or_new(&grant.user),
                    Written::as_string(&grant.user),
                ),
                None => return Err(Refusal::MissingUser),
            },
            (Some(user), Some(runner), _) if self.hub.id(runner) == user.text() => {
                (runner, user.written())
            }
            // Where there are tokens, they decide.
            (Some(_), Some(_), Some(member)) if by.grant().is_none() => {
                return Err(Refusal::WrongUser(self.hub.declaration(member)));
            }
            (Some(user), ..) => (self.hub.runner_or_new(user.text()), user.written()),
        };
        let user = self.hub.id(runner);
        if by.grant().is_some_and(|grant| !grant.may_publish(user)) {
            let json = written.json(user);
            self.hub.forget_unused(runner);
            return Err(Refusal::MayNotPublish(quote(&json)));
        }
        Ok((runner, written))
    }

    /// Begins or ends presence for what a member follows.
    ///
    /// # Errors
    /// It has no grant where one is needed.
    pub(crate) fn ask_presence(&mut self, by: &Authority, asks: bool) -> Result<(), Refusal> {
        self.admit(by)?;
        if let Some(member) = by.member()
            && self.hub.ask_presence(member, asks)
        {
            for slot in 0..self.hub.following(member) as u32 {
                self.owe(member, Owed::Presence(slot));
            }
            if self.hub.follows_everyone(member) {
                self.owe(member, Owed::EveryonesPresence(self.hub.covered_end()));
            }
        }
        Ok(())
    }

    /// Begins or ends telling a member how many follow its user.
    ///
    /// # Errors
    /// It is nobody, or has no grant where one is needed.
    pub(crate) fn ask_audience(&mut self, by: &Authority, wants: bool) -> Result<(), Refusal> {
        self.admit(by)?;
        let member = by.member();
        let is_somebody = member.is_some_and(|member| self.hub.declared(member).is_some());
        if wants && !is_somebody {
            return Err(Refusal::AudienceOfNobody);
        }
        if let Some(member) = member
            && self.hub.ask_audience(member, wants)
        {
            self.owe(member, Owed::Audience);
        }
        Ok(())
    }

    /// Lets time pass: last known positions grow stale and are forgotten, so many at a time.
    pub(crate) fn advance(&mut self, now: Instant) {
        self.advanced_at = Some(now);
        self.paces.forget_idle(now);
        let turns_stale = (now.checked_sub(self.rules.stale_after))
            .is_some_and(|time| self.hub.stale_before(time, STALE_PER_STEP_MAX));
        let forgets = (now.checked_sub(self.rules.forget_after))
            .is_some_and(|time| self.hub.forget_before(time, FORGET_PER_STEP_MAX));
        self.is_ageing = turns_stale || forgets;
        if !self.is_ageing {
            self.hub.give_back_room();
        }
    }

    /// Owes presence and audiences that changed to those who asked for them. To be called before
    /// anything is written, so that the word of a runner who became live goes out before the
    /// position that made it so.
    pub(crate) fn owe_changes(&mut self, now: Instant) {
        for runner in self.hub.take_changed(now, TOLD_PER_STEP_MAX) {
            self.owe_change(runner);
        }
        for member in self.hub.due_audiences(now, AUDIENCES_PER_STEP_MAX) {
            self.owe(member, Owed::Audience);
        }
        self.owe_late_trails(now);
    }

    /// Owes a runner's presence to those who asked for it, if it changed and may be told now. To be
    /// called when its newest position is about to go out.
    pub(crate) fn owe_change_of(&mut self, runner: RunnerKey, now: Instant) {
        if self.hub.take_change(runner, now) {
            self.owe_change(runner);
        }
    }

    fn owe_change(&mut self, runner: RunnerKey) {
        for follower in self.hub.followers(runner) {
            if self.hub.asks_presence(follower.member) {
                self.debts.push(Debt {
                    member: follower.member,
                    owed: Owed::Presence(follower.slot),
                });
            }
        }
        self.announce_if_watched(runner);
    }

    /// Owes a runner's presence to those who follow everyone and asked for it.
    pub(super) fn announce_if_watched(&mut self, runner: RunnerKey) {
        if self.hub.everyone.are_watching() {
            self.announced.push(runner);
        }
    }

    /// Runners whose presence those are owed who follow everyone and asked for it, since the last call.
    pub(crate) fn take_announced(&mut self) -> Vec<RunnerKey> {
        std::mem::take(&mut self.announced)
    }

    pub(super) fn owe(&mut self, member: MemberKey, owed: Owed) {
        self.debts.push(Debt { member, owed });
    }

    /// Whether somebody is owed something that was not taken yet.
    pub(crate) fn has_debts(&self) -> bool {
        !self.debts.is_empty()
    }

    /// What became due since the last call, in order.
    pub(crate) fn take_debts(&mut self) -> Vec<Debt> {
        std::mem::take(&mut self.debts)
    }

    /// When [`Relay::advance`] or [`Relay::owe_changes`] next has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let advanced_at = self.advanced_at?;
        if self.is_ageing || self.hub.audiences.has_changes() || self.has_debts() {
            return Some(advanced_at);
        }
        let (first_live, first) = self.hub.longest_unheard();
        let ageing = [
            first_live.map(|at| at + self.rules.stale_after),
            first.map(|at| at + self.rules.forget_after),
        ];
        let ageing = ageing.into_iter().flatten().min();
        ageing
            .map(|at| at.max(advanced_at + AGEING_INTERVAL))
            .into_iter()
            .chain(self.hub.audience_deadline())
            .chain(self.hub.changes.next_deadline(advanced_at))
            .chain(self.hub.trails.late.next_deadline(advanced_at))
            .min()
    }
}
