//! Of whom something changed, and when it may be told again of each: presence, or a trail.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// A list's room that is kept, in entries.
const SPARE_ENTRIES_MAX: usize = 1024;

/// Runners of whom something changed, and those of whom it was told a moment ago.
#[derive(Debug)]
pub(super) struct Changes {
    /// What one user has to say is told at most once in this time.
    interval: Duration,
    /// Runners that changed, and of whom nothing was told a moment ago.
    changed: Vec<u32>,
    /// When each was told last who may not be told again yet.
    told_at: HashMap<u32, Instant>,
    /// The same in the order of time. One whose time is not in `told_at` has been forgotten.
    told: VecDeque<(Instant, u32)>,
}

impl Changes {
    /// Nobody yet. Of each it is told at most once in so much time.
    pub(super) fn every(interval: Duration) -> Changes {
        Changes {
            interval,
            changed: Vec::new(),
            told_at: HashMap::new(),
            told: VecDeque::new(),
        }
    }

    /// Notes that a runner changed.
    pub(super) fn add(&mut self, key: u32) {
        if !self.told_at.contains_key(&key) {
            self.changed.push(key);
        }
    }

    /// Whether something may be told of a runner now.
    pub(super) fn may_tell(&self, key: u32) -> bool {
        !self.told_at.contains_key(&key)
    }

    /// Notes that a runner was told of.
    pub(super) fn tell(&mut self, key: u32, now: Instant) {
        self.told_at.insert(key, now);
        self.told.push_back((now, key));
    }

    /// Forgets a runner, whose number another may have next.
    pub(super) fn forget(&mut self, key: u32) {
        self.told_at.remove(&key);
    }

    /// Those that changed, and of whom something may be told now. Some may have changed no more
    /// since something was told of them.
    pub(super) fn take(&mut self, now: Instant) -> Vec<u32> {
        while let Some((told_at, key)) = self.told.front().copied()
            && told_at + self.interval <= now
        {
            self.told.pop_front();
            if self.told_at.get(&key) == Some(&told_at) {
                self.told_at.remove(&key);
                self.changed.push(key);
            }
        }
        if self.told.capacity() > 4 * self.told.len() + SPARE_ENTRIES_MAX {
            self.told.shrink_to(2 * self.told.len());
            self.told_at.shrink_to(2 * self.told.len());
        }
        std::mem::take(&mut self.changed)
    }

    /// Puts those back who were taken and not told of.
    pub(super) fn put_back(&mut self, mut keys: Vec<u32>) {
        keys.append(&mut self.changed);
        self.changed = keys;
    }

    /// When [`Changes::take`] next has something.
    pub(super) fn next_deadline(&self, now: Instant) -> Option<Instant> {
        if !self.changed.is_empty() {
            return Some(now);
        }
        (self.told.front()).map(|(told_at, _)| *told_at + self.interval)
    }
}
