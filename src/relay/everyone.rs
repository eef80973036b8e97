//! Following everyone: one follow, whatever it covers, but for those whom its member left out.

use super::hub::Hub;
use super::keys::{MemberKey, RunnerKey};

impl Hub {
    /// Whether the member follows everyone.
    pub(super) fn follows_everyone(&self, key: MemberKey) -> bool {
        (self.members.get(key.index())).is_some_and(|member| member.everyone.is_some())
    }

    /// How many follows of the member there are: by name, of everyone, and whom that leaves out.
    pub(super) fn follows_of(&self, key: MemberKey) -> usize {
        self.members.get(key.index()).map_or(0, |member| {
            let everyone = (member.everyone.as_deref()).map_or(0, |it| 1 + it.left_out.len());
            member.following.len() + everyone
        })
    }

    /// The members that follow a runner by following everyone.
    pub(super) fn covering(&self, runner: RunnerKey) -> impl Iterator<Item = MemberKey> {
        let RunnerKey(key) = runner;
        let is_plain = (self.runners.get(key as usize)).is_some_and(|runner| runner.apart == 0);
        let members = self.everyone.members.iter().copied();
        members.filter(move |member| is_plain || self.members[member.index()].covers(key))
    }

    /// Whether the member follows the user without having named it.
    pub(super) fn covers(&self, key: MemberKey, user: &str) -> bool {
        let runner = self.runner(user);
        (self.members.get(key.index())).is_some_and(|member| match runner {
            Some(RunnerKey(runner)) => member.covers(runner),
            None => member.everyone.is_some(),
        })
    }

    /// Whether nobody knew where the user in a slot is when the member followed everyone, by which it
    /// follows the user.
    pub(super) fn is_newcomer(&self, key: MemberKey, slot: u32) -> bool {
        let runner =
            RunnerKey::in_covered_slot(slot).and_then(|it| self.runners.get(it.0 as usize));
        let everyone = (self.members.get(key.index())).and_then(|it| it.everyone.as_deref());
        (runner.zip(everyone)).is_some_and(|(runner, it)| runner.heard_after >= it.turn)
    }

    /// Whether the member follows everyone but this user.
    pub(super) fn leaves_out(&self, key: MemberKey, user: &str) -> bool {
        let everyone = (self.members.get(key.index())).and_then(|it| it.everyone.as_deref());
        (everyone.zip(self.runner(user)))
            .is_some_and(|(it, runner)| it.left_out.contains(&runner.0))
    }

    /// Above the slots of all users that there are, with a member whose follow of everyone covers them.
    pub(super) fn covered_end(&self) -> u32 {
        let last = self.runners.iter().next_back();
        let end = RunnerKey(last.map_or(0, |(key, _)| key as u32 + 1));
        end.covered_slot()
    }

    /// Follows everyone from now on; `false` if the member does already.
    pub(super) fn follow_everyone(&mut self, key: MemberKey) -> bool {
        let member = &mut self.members[key.index()];
        if member.everyone.is_some() {
            return false;
        }
        let everyone = member.everyone.insert(Box::default());
        everyone.at = self.everyone.members.len() as u32;
        everyone.turn = self.everyone.next_turn();
        self.everyone.members.push(key);
        if member.asks_presence {
            self.everyone.count_watcher(true);
        }
        for follow in &member.following {
            self.runners[follow.runner as usize].apart += 1;
        }
        if let Some(own) = member.declared().filter(|own| member.covers(*own)) {
            self.runners[own as usize].own_followers += 1;
        }
        self.follows += 1;
        self.audiences.have_all_changed = true;
        true
    }

    /// Ends the member's follow of everyone, and none by name; `false` if there was none.
    pub(super) fn unfollow_everyone(&mut self, key: MemberKey) -> bool {
        let Some(member) = self.members.get_mut(key.index()) else {
            return false;
        };
        let own = member.declared().filter(|own| member.covers(*own));
        let Some(everyone) = member.everyone.take() else {
            return false;
        };
        if member.asks_presence {
            self.everyone.count_watcher(false);
        }
        for follow in &member.following {
            self.runners[follow.runner as usize].apart -= 1;
        }
        if let Some(own) = own {
            self.runners[own as usize].own_followers -= 1;
        }
        let members = &mut self.everyone.members;
        members.swap_remove(everyone.at as usize);
        if let Some(moved) = members.get(everyone.at as usize)
            && let Some(it) = &mut self.members[moved.index()].everyone
        {
            it.at = everyone.at;
        }
        self.follows -= 1 + everyone.left_out.len();
        for key in everyone.left_out {
            self.runners[key as usize].apart -= 1;
            self.forget_unused(RunnerKey(key));
        }
        self.audiences.have_all_changed = true;
        if self.everyone.is_empty() {
            while self.forget_gone() {}
            self.everyone.shrink();
        }
        true
    }

    /// Leaves a user out of the member's follow of everyone, which covers it; says its slot so far.
    pub(super) fn leave_out(&mut self, key: MemberKey, user: &str) -> u32 {
        let runner_key = self.key_or_new(user);
        let member = &mut self.members[key.index()];
        let is_own = member.declared() == Some(runner_key);
        if let Some(everyone) = &mut member.everyone {
            everyone.left_out.insert(runner_key);
        }
        let runner = &mut self.runners[runner_key as usize];
        runner.apart += 1;
        runner.own_followers -= u32::from(is_own);
        self.follows += 1;
        self.await_audience(runner_key);
        RunnerKey(runner_key).covered_slot()
    }

    /// Has the member's follow of everyone cover those again whom it left out; says who they are.
    pub(super) fn take_back(&mut self, key: MemberKey) -> Vec<RunnerKey> {
        let member = &mut self.members[key.index()];
        let declared = member.declared();
        let Some(everyone) = &mut member.everyone else {
            return Vec::new();
        };
        let left_out = std::mem::take(&mut everyone.left_out);
        self.follows -= left_out.len();
        for &key in &left_out {
            let runner = &mut self.runners[key as usize];
            runner.apart -= 1;
            runner.own_followers += u32::from(declared == Some(key));
            self.await_audience(key);
            self.forget_unused(RunnerKey(key));
        }
        left_out.into_iter().map(RunnerKey).collect()
    }

    /// Keeps the number of a user who is gone, in the place of the one that is gone longest.
    pub(super) fn keep_gone(&mut self, key: u32) {
        if self.everyone.keep_gone(key) {
            self.forget_gone();
        }
    }

    fn forget_gone(&mut self) -> bool {
        let Some(key) = self.everyone.next_gone() else {
            return false;
        };
        let runner = &mut self.runners[key as usize];
        runner.is_gone = false;
        if !runner.is_used() {
            self.remove_runner(key);
        }
        true
    }
}
