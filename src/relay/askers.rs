//! Who asked for an audience, what they were told, and when they may be told again.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Instant;

use super::keys::MemberKey;

/// Who asked for an audience, and of which runners it changed.
#[derive(Debug, Default)]
pub(super) struct Audiences {
    /// By runner and member.
    pub(super) askers: BTreeMap<(u32, MemberKey), Asker>,
    /// Runners whose audience changed.
    pub(super) changed: Vec<u32>,
    /// Those of which somebody is to be told later, with the time.
    pub(super) waiting: BTreeSet<(Instant, u32)>,
    /// Whether that of all runners changed: somebody follows everyone, or does no longer.
    pub(super) have_all_changed: bool,
}

/// Keys of all who asked for this runner's audience.
pub(super) fn all_of(key: u32) -> RangeInclusive<(u32, MemberKey)> {
    (key, MemberKey(0))..=(key, MemberKey(u32::MAX))
}

/// A member that asked for the audience of its user.
#[derive(Debug, Default)]
pub(super) struct Asker {
    /// Whether it still wants to know. It is kept when it does not, so that asking again and
    /// again makes nothing faster.
    pub(super) wants: bool,
    /// What it was told last; `None` if it is to be told in any case.
    pub(super) told: Option<usize>,
    /// When it was told or to be told.
    pub(super) told_at: Option<Instant>,
}

impl Audiences {
    /// Whether some audience changed since it was last looked at.
    pub(super) fn has_changes(&self) -> bool {
        !self.changed.is_empty() || self.have_all_changed && !self.askers.is_empty()
    }

    /// The next runner of which somebody may have to be told now.
    pub(super) fn next(&mut self, now: Instant) -> Option<u32> {
        self.changed.pop().or_else(|| {
            let (time, _) = self.waiting.first()?;
            if *time > now {
                return None;
            }
            self.waiting.pop_first().map(|(_, key)| key)
        })
    }
}
