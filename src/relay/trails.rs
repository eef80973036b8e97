//! What the trails of all users are together, under one ceiling. Knows nobody's last known position.

use std::time::Duration;

use super::changes::Changes;
use super::trail::{Added, Trail};
use crate::point::TrailPoint;

/// A trail is sent again at most once in this time.
const AGAIN_INTERVAL: Duration = Duration::from_secs(5);

/// What a position was for its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// The newest.
    Live,
    /// Older than that.
    Late,
    /// The same, and there is a point of its time on the trail already.
    Known,
}

/// What all trails together may be, and are.
#[derive(Debug)]
pub(super) struct Trails {
    /// Most points of one of them.
    pub(super) points_max: usize,
    /// Most bytes of all.
    bytes_max: usize,
    /// Points of all.
    pub(super) points: usize,
    /// What they take, with what the allocator adds.
    pub(super) bytes: usize,
    /// Members that asked for trails.
    pub(super) askers: usize,
    /// Runners whose trail has late points that were not told yet.
    pub(super) late: Changes,
}

impl Trails {
    /// No trail yet, and so many points of each and bytes of all at most.
    pub(super) fn new(points_max: usize, bytes_max: usize) -> Trails {
        Trails {
            points_max,
            bytes_max,
            points: 0,
            bytes: 0,
            askers: 0,
            late: Changes::every(AGAIN_INTERVAL),
        }
    }

    /// Takes a trail that goes off the sums.
    pub(super) fn discount(&mut self, trail: &Trail) {
        self.points -= trail.len();
        self.bytes -= trail.bytes();
    }

    /// Counts one that comes on.
    pub(super) fn count(&mut self, trail: &Trail) {
        self.points += trail.len();
        self.bytes += trail.bytes();
    }

    /// Adds a point to a trail, which it may begin.
    pub(super) fn add(&mut self, trail: &mut Option<Box<Trail>>, point: TrailPoint) -> Added {
        let Some(trail) = trail else {
            self.count(trail.insert(Box::new(Trail::new(point))));
            return Added::Behind;
        };
        self.discount(trail);
        let added = trail.add(point, self.points_max);
        self.count(trail);
        added
    }

    /// Whether they take more than they may.
    pub(super) fn are_too_much(&self) -> bool {
        self.bytes > self.bytes_max
    }
}
