//! What is kept of runners where there are other nodes. Must never know which nodes those are, nor
//! who follows whom here.

use std::collections::HashMap;
use std::rc::Rc;

use crate::point::TrailPoint;

/// What is kept where there are other nodes.
#[derive(Debug, Default)]
pub(super) struct Stakes {
    /// Users in whom the stake of this node may have changed.
    pub(super) changed: Vec<Rc<str>>,
    /// Runners of whom it is not known yet what other nodes know, each with the earliest time of a
    /// point of its trail that is owed then.
    pub(super) unread: HashMap<u32, u64>,
    /// How many more members of other nodes follow a runner than follow everyone.
    pub(super) audiences: HashMap<u32, i64>,
    /// How many members of other nodes follow everyone.
    pub(super) everyone: i64,
    /// What runners are called by what was said here.
    pub(super) said: HashMap<u32, Said>,
    /// Points that came onto trails here.
    pub(super) points: Vec<(Rc<str>, TrailPoint)>,
}

/// What a user is called, by a token and by itself.
pub(crate) type Said = [Option<Box<str>>; 2];

impl Stakes {
    /// How many members of other nodes follow a runner.
    pub(super) fn audience_elsewhere(&self, key: u32) -> i64 {
        self.everyone + self.audiences.get(&key).copied().unwrap_or_default()
    }

    /// Forgets a runner, whose number another may have next.
    pub(super) fn forget(&mut self, key: u32) {
        self.unread.remove(&key);
        self.audiences.remove(&key);
        self.said.remove(&key);
    }
}
