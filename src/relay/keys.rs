//! The numbers that the relay gives out.

use crate::queue::SPARSE_FROM;

/// A user whom somebody follows, publishes for or is. Valid while one of these holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RunnerKey(pub(super) u32);

impl RunnerKey {
    /// The slot of this user with a member that follows everyone, and not this user by name.
    pub(super) fn covered_slot(self) -> u32 {
        SPARSE_FROM | self.0
    }

    /// The user of such a slot.
    pub(super) fn in_covered_slot(slot: u32) -> Option<RunnerKey> {
        (slot >= SPARSE_FROM).then_some(RunnerKey(slot & !SPARSE_FROM))
    }
}

/// Somebody who follows, publishes or is a user: a number that the relay gave out. Valid until it
/// leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MemberKey(pub(super) u32);

impl MemberKey {
    /// The number: small, and given out again when its member has left.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// One member's follow of one runner, seen from the runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Follower {
    /// The member that follows.
    pub member: MemberKey,
    /// Which of that member's follows this is: 0 up to how many it has.
    pub slot: u32,
}
