//! The registry behind the relay: runners and members, each mirrored in the other, so that who
//! leaves costs what it followed and not what others follow. Judges nobody.

use std::rc::Rc;
use std::time::Duration;

use slab::Slab;

use super::askers::Audiences;
use super::changes::Changes;
use super::covering::Covering;
use super::heard::{Heard, LastKnown};
use super::ids::Ids;
use super::keys::{Follower, MemberKey, RunnerKey};
use super::member::{Followed, Member, SPARE_ENTRIES_MAX, give_back_spare};
use super::names::Names;
use super::stakes::Stakes;
use super::trails::Trails;
use crate::roster::Roster;
use crate::user::{Spelling, Written};

/// Presence of one user is told at most once in this time.
const PRESENCE_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Runner {
    pub(super) id: Rc<str>,
    pub(super) followers: Vec<Follower>,
    /// Members that declared this id.
    pub(super) declared: u32,
    /// Of those, the ones that follow it, be it by following everyone.
    pub(super) own_followers: u32,
    /// Members that follow everyone and left it out, or follow it by name.
    pub(super) apart: u32,
    /// Followers that asked for presence.
    pub(super) watchers: u32,
    /// How often everyone had been followed when its last known position was the first.
    pub(super) heard_after: u32,
    /// Whether it is on the roster.
    pub(super) is_listed: bool,
    /// Whether who follows everyone was ever told of it, or might have been.
    pub(super) was_known: bool,
    /// Whether its number is among those that are kept for a while.
    pub(super) is_gone: bool,
    /// Whether its last known position is a live one.
    pub(super) is_live: bool,
    /// Whether its presence changed, and the watchers are to be told.
    pub(super) has_changed: bool,
    /// Whether somebody asked for its audience.
    pub(super) has_askers: bool,
    /// Whether its audience changed, and they are to be told.
    pub(super) is_awaited: bool,
    /// Whether a member of another node declared it.
    pub(super) is_elsewhere: bool,
    /// Boxed, as most users that are followed and never heard have none.
    pub(super) last: Option<Box<LastKnown>>,
    /// What it is called where no roster says it.
    pub(super) names: Option<Box<Names>>,
}

impl Runner {
    /// Whether somebody or something needs it.
    pub(super) fn is_used(&self) -> bool {
        !self.followers.is_empty() || self.apart > 0 || self.is_known()
    }

    /// Whether a member declared it, here or elsewhere.
    pub(super) fn is_connected(&self) -> bool {
        self.declared > 0 || self.is_elsewhere
    }

    /// Whether it is one of everyone.
    pub(super) fn is_known(&self) -> bool {
        self.last.is_some() || self.is_connected() || self.is_listed
    }
}

/// The registry of members, follows and last known positions.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) roster: Roster,
    ids: Ids,
    pub(super) runners: Slab<Runner>,
    pub(super) members: Slab<Member>,
    pub(super) heard: Heard,
    pub(super) changes: Changes,
    pub(super) audiences: Audiences,
    pub(super) trails: Trails,
    pub(super) everyone: Covering,
    pub(super) follows: usize,
    /// What other nodes may have to hear of, if there are some.
    pub(super) stakes: Option<Stakes>,
    /// Counts what changes in what a snapshot has.
    pub(super) revision: u64,
}

impl Hub {
    /// An empty hub that keeps at most `last_known_max` last known positions, and these trails.
    pub(super) fn new(last_known_max: usize, trails: Trails) -> Hub {
        Hub {
            roster: Roster::default(),
            ids: Ids::default(),
            runners: Slab::new(),
            members: Slab::new(),
            heard: Heard::new(last_known_max),
            changes: Changes::every(PRESENCE_INTERVAL),
            audiences: Audiences::default(),
            trails,
            everyone: Covering::default(),
            follows: 0,
            stakes: None,
            revision: 0,
        }
    }

    /// Adds a member, who is nobody and follows nobody yet.
    pub(super) fn join(&mut self) -> MemberKey {
        MemberKey(self.members.insert(Member::default()) as u32)
    }

    /// Adds a follow and says its slot, or `None` if the member follows the user by name already.
    /// How the id is written here is how presence messages write it. Who was left out no longer is.
    pub(super) fn follow(&mut self, key: MemberKey, user: &str, spelling: Spelling) -> Option<u32> {
        let runner_key = self.key_or_new(user);
        let member = &mut self.members[key.index()];
        if member.slot(runner_key).is_some() {
            return None;
        }
        let slot = member.following.len() as u32;
        let was_covered = member.covers(runner_key);
        let was_left_out = (member.everyone.as_mut())
            .is_some_and(|everyone| everyone.left_out.remove(&runner_key));
        self.follows -= usize::from(was_left_out);
        let (is_own, asks_presence) = (member.declared() == Some(runner_key), member.asks_presence);
        let runner = &mut self.runners[runner_key as usize];
        let at = runner.followers.len() as u32;
        runner.followers.push(Follower { member: key, slot });
        runner.own_followers += u32::from(is_own && !was_covered);
        runner.apart += u32::from(was_covered);
        runner.watchers += u32::from(asks_presence);
        member.push(Followed::new(runner_key, at, spelling));
        self.follows += 1;
        self.await_audience(runner_key);
        Some(slot)
    }

    /// Ends a follow by name; `None` if there was none. Who follows everyone has left the user out
    /// from now on. Slots stay dense: says the slot that became free,
    /// and which one answers to its number from now on.
    pub(super) fn unfollow(&mut self, key: MemberKey, user: &str) -> Option<(u32, u32)> {
        let slot = self.slot(key, user)?;
        let member = &mut self.members[key.index()];
        let follow = member.swap_remove(slot);
        let (declared, asks_presence) = (member.declared(), member.asks_presence);
        if let Some(everyone) = &mut member.everyone {
            everyone.left_out.insert(follow.runner);
            self.follows += 1;
        }
        let renumbered = member.following.len() as u32;
        if let Some(moved) = member.following.get(slot as usize) {
            self.runners[moved.runner as usize].followers[moved.at() as usize].slot = slot;
        }
        self.detach(follow, declared, asks_presence);
        Some((slot, renumbered))
    }

    /// Which of the member's follows the user is; `None` if it does not follow the user.
    pub(super) fn slot(&self, key: MemberKey, user: &str) -> Option<u32> {
        let runner = self.ids.get(user)?;
        self.members.get(key.index())?.slot(runner)
    }

    /// The user, if anybody follows, declared or published it.
    pub(super) fn runner(&self, user: &str) -> Option<RunnerKey> {
        self.ids.get(user).map(RunnerKey)
    }

    /// How many users the member follows by name.
    pub(super) fn following(&self, key: MemberKey) -> usize {
        self.members
            .get(key.index())
            .map_or(0, |member| member.following.len())
    }

    /// The users that the member follows by name.
    pub(super) fn followed(&self, key: MemberKey) -> impl Iterator<Item = &str> {
        self.members
            .get(key.index())
            .map_or(&[][..], |member| &member.following)
            .iter()
            .map(|follow| &*self.runners[follow.runner as usize].id)
    }

    /// Binds the member to a user id for good; `false` if it is bound to another one.
    pub(super) fn declare(&mut self, key: MemberKey, user: &str, written: Written) -> bool {
        if let Some(declared) = self.members[key.index()].declared() {
            let is_same = *self.runners[declared as usize].id == *user;
            if is_same {
                self.members[key.index()].declare(declared, written);
            }
            return is_same;
        }
        let runner_key = self.key_or_new(user);
        let member = &mut self.members[key.index()];
        member.declare(runner_key, written);
        let is_follower = member.follows(runner_key);
        let runner = &mut self.runners[runner_key as usize];
        runner.was_known = true;
        runner.declared += 1;
        runner.own_followers += u32::from(is_follower);
        let is_first = runner.declared == 1;
        if is_first {
            self.note_change(runner_key);
            self.note_stake(runner_key);
        }
        if is_follower {
            self.await_audience(runner_key);
        }
        true
    }

    /// The user that the member declared.
    pub(super) fn declared(&self, key: MemberKey) -> Option<RunnerKey> {
        self.members.get(key.index())?.declared().map(RunnerKey)
    }

    /// How the member wrote the id that it declared.
    pub(super) fn written(&self, key: MemberKey) -> Written {
        let member = self.members.get(key.index());
        member.map_or(Written::Quoted, |member| member.written().clone())
    }

    /// The JSON of the id that the member declared, as it wrote it; empty if it declared none.
    pub(super) fn declaration(&self, key: MemberKey) -> String {
        let runner = self.declared(key);
        runner.map_or(String::new(), |runner| {
            self.written(key).json(self.id(runner))
        })
    }

    /// The last known position of the runner in one of the member's slots.
    pub(super) fn last_known_in(
        &self,
        key: MemberKey,
        slot: u32,
    ) -> Option<(RunnerKey, &LastKnown)> {
        let (runner, _) = self.in_slot(key, slot)?;
        Some((runner, self.last_known(runner)?))
    }

    /// The user in one of the member's slots, and how it was written there first.
    pub(super) fn in_slot(&self, key: MemberKey, slot: u32) -> Option<(RunnerKey, Spelling)> {
        let member = self.members.get(key.index())?;
        match RunnerKey::in_covered_slot(slot) {
            Some(runner) => (member.covers(runner.0)).then_some((runner, Spelling::String)),
            None => {
                let follow = member.following.get(slot as usize)?;
                Some((RunnerKey(follow.runner), follow.spelling()))
            }
        }
    }

    /// A user's id.
    pub(super) fn id(&self, runner: RunnerKey) -> &str {
        self.runners
            .get(runner.0 as usize)
            .map_or("", |runner| &runner.id)
    }

    /// Forgets everything about a member. Costs what it followed, not what others follow.
    pub(super) fn leave(&mut self, key: MemberKey) {
        self.unfollow_everyone(key);
        let Some(member) = self.members.try_remove(key.index()) else {
            return;
        };
        self.trails.askers -= usize::from(member.trail_points > 0);
        let declared = member.declared();
        for follow in member.following {
            self.detach(follow, declared, member.asks_presence);
        }
        if let Some(runner_key) = declared {
            self.forget_asker(runner_key, key);
            let runner = &mut self.runners[runner_key as usize];
            runner.declared -= 1;
            if runner.declared == 0 {
                self.note_change(runner_key);
                self.forget_names(runner_key);
                self.note_stake(runner_key);
            }
            self.forget_unused(RunnerKey(runner_key));
        }
    }

    /// The user of this id. One that is new stays only if it is published for, and must be
    /// forgotten with [`Hub::forget_unused`] otherwise.
    pub(super) fn runner_or_new(&mut self, user: &str) -> RunnerKey {
        RunnerKey(self.key_or_new(user))
    }

    /// The members that follow a runner.
    pub(super) fn followers(&self, runner: RunnerKey) -> &[Follower] {
        self.runners
            .get(runner.0 as usize)
            .map_or(&[], |runner| &runner.followers)
    }

    /// How many follows there are, over all members.
    pub(super) fn follows_total(&self) -> usize {
        self.follows
    }

    /// How many users are followed, declared, on the roster or remembered.
    pub(super) fn runners_total(&self) -> usize {
        self.runners.len()
    }

    pub(super) fn key_or_new(&mut self, user: &str) -> u32 {
        if let Some(key) = self.ids.get(user) {
            return key;
        }
        let id: Rc<str> = Rc::from(user);
        let runner = Runner {
            id: Rc::clone(&id),
            followers: Vec::new(),
            declared: 0,
            own_followers: 0,
            apart: 0,
            heard_after: 0,
            watchers: 0,
            is_listed: false,
            was_known: false,
            is_gone: false,
            is_live: false,
            has_changed: false,
            has_askers: false,
            is_awaited: false,
            is_elsewhere: false,
            last: None,
            names: None,
        };
        let key = self.runners.insert(runner) as u32;
        self.ids.insert(id, key);
        key
    }

    /// Takes a follow out of its runner's list: that of a member which declared this user, and
    /// asked for presence or not.
    fn detach(&mut self, follow: Followed, declared: Option<u32>, asks_presence: bool) {
        let runner = &mut self.runners[follow.runner as usize];
        runner.own_followers -= u32::from(declared == Some(follow.runner));
        runner.watchers -= u32::from(asks_presence);
        let followers = &mut runner.followers;
        followers.swap_remove(follow.at() as usize);
        give_back_spare(followers);
        if let Some(moved) = followers.get(follow.at() as usize) {
            self.members[moved.member.index()].following[moved.slot as usize].move_to(follow.at());
        }
        self.follows -= 1;
        self.await_audience(follow.runner);
        self.forget_unused(RunnerKey(follow.runner));
    }

    /// Forgets a user whom nobody follows, left out, declared or published for, and who is not on
    /// the roster. One of whom those were told who follow everyone is kept for a while.
    pub(super) fn forget_unused(&mut self, runner: RunnerKey) {
        let RunnerKey(key) = runner;
        let Some(runner) = self.runners.get_mut(key as usize) else {
            return;
        };
        if runner.is_used() || runner.is_gone {
            return;
        }
        if !runner.was_known || self.everyone.is_empty() {
            self.remove_runner(key);
        } else {
            runner.is_gone = true;
            self.keep_gone(key);
        }
    }

    pub(super) fn remove_runner(&mut self, key: u32) {
        let runner = self.runners.remove(key as usize);
        self.ids.remove(&runner.id);
        self.changes.forget(key);
        if let Some(stakes) = &mut self.stakes {
            stakes.forget(key);
        }
        self.trails.late.forget(key);
    }

    /// Gives back the room that a crowd needed which is gone.
    pub(super) fn give_back_room(&mut self) {
        if self.ids.give_back_room() {
            self.runners.shrink_to_fit();
            self.heard.shrink_to(self.runners.capacity());
        }
        if self.members.capacity() > 4 * self.members.len() + SPARE_ENTRIES_MAX {
            self.members.shrink_to_fit();
        }
    }
}
