//! Who follows everyone, and the numbers of users who are gone: each is kept for a while, so that
//! what is on its way of one goes, and is not said of another. Knows nobody's other follows.

use std::collections::VecDeque;

use super::keys::MemberKey;

/// Users that are kept after they are gone. A number that another user has next is one that as many
/// others had to leave alone before.
const GONE_MAX: usize = 16 * 1024;

/// Those who follow everyone.
#[derive(Debug, Default)]
pub(super) struct Covering {
    pub(super) members: Vec<MemberKey>,
    /// How often everyone was followed until now.
    pub(super) turns: u32,
    /// Those who asked for presence.
    watchers: usize,
    /// Users whom nothing needs any more but what is on its way of them, the longest gone first.
    gone: VecDeque<u32>,
}

impl Covering {
    /// Whether nobody follows everyone.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether somebody does, and asked for presence.
    pub(super) fn are_watching(&self) -> bool {
        self.watchers > 0
    }

    /// Notes that one of them asks for presence from now on, or no longer.
    pub(super) fn count_watcher(&mut self, asks: bool) {
        self.watchers = match asks {
            true => self.watchers + 1,
            false => self.watchers - 1,
        };
    }

    /// The number of the next follow of everyone.
    pub(super) fn next_turn(&mut self) -> u32 {
        self.turns = self.turns.wrapping_add(1);
        self.turns
    }

    /// Gives back all room, when nobody is left.
    pub(super) fn shrink(&mut self) {
        (self.members, self.gone) = Default::default();
    }

    /// Keeps a user who is gone; says whether the one that is gone longest is to be forgotten for it.
    pub(super) fn keep_gone(&mut self, key: u32) -> bool {
        self.gone.push_back(key);
        self.gone.len() > GONE_MAX
    }

    /// The user that is gone longest, who is kept no longer.
    pub(super) fn next_gone(&mut self) -> Option<u32> {
        self.gone.pop_front()
    }
}
