//! Last known positions and the order in which they came: what they weigh, and which of them are
//! live. Knows nobody's followers.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::sender_clock::SenderClock;
use super::trail::Trail;
use crate::dialect::Dialect;
use crate::fix::Fix;
use crate::queue::SlotQueue;
use crate::user::Written;

/// What a last known position may weigh on average, in bytes: with more, fewer are kept.
const LAST_KNOWN_BYTES_MEAN_MAX: usize = 256;

/// The newest fix of a user, and when it came.
#[derive(Debug)]
pub(super) struct LastKnown {
    pub(super) fix: Fix,
    pub(super) written: Written,
    pub(super) received_at: Instant,
    pub(super) clock: SenderClock,
    pub(super) dialect: Dialect,
    /// The way that the user came.
    pub(super) trail: Option<Box<Trail>>,
    /// Whether that was given up for lack of room, or passed over when others were.
    pub(super) is_trail_past: bool,
    /// Whether it came through another node.
    pub(super) is_from_elsewhere: bool,
}

impl LastKnown {
    /// The fix.
    pub(super) fn fix(&self) -> &Fix {
        &self.fix
    }

    /// How its sender wrote the user's id.
    pub(super) fn written(&self) -> &Written {
        &self.written
    }

    /// How long ago it was received.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.received_at)
    }

    /// Room that it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<LastKnown>() + self.fix.heap_bytes() + self.written.heap_bytes()
    }
}

/// Runners with a last known position, in the order in which they were heard.
#[derive(Debug)]
pub(super) struct Heard {
    /// The longest unheard first.
    pub(super) queue: SlotQueue,
    /// The first of them that is live: those behind it are too, those before it are stale.
    pub(super) first_live: Option<u32>,
    /// The first of them that may have a trail: those before it have none.
    pub(super) first_with_trail: Option<u32>,
    pub(super) live: usize,
    pub(super) count: usize,
    pub(super) bytes: usize,
    pub(super) count_max: usize,
    /// Those that had an age when they came, whose time is before that of their place in the queue.
    pub(super) aged: Aged,
}

/// Runners by the time at which they were heard, which may not be true any more.
#[derive(Debug, Default)]
pub(super) struct Aged {
    /// Those that may be live.
    pub(super) live: BTreeSet<(Instant, u32)>,
    /// All of them.
    pub(super) all: BTreeSet<(Instant, u32)>,
}

impl Heard {
    pub(super) fn new(count_max: usize) -> Heard {
        Heard {
            queue: SlotQueue::default(),
            first_live: None,
            first_with_trail: None,
            live: 0,
            count: 0,
            bytes: 0,
            count_max,
            aged: Aged::default(),
        }
    }

    pub(super) fn shrink_to(&mut self, runners: usize) {
        self.queue.shrink_to(runners);
    }

    /// Takes a runner out of the queue.
    pub(super) fn unqueue(&mut self, key: u32) {
        if self.first_with_trail == Some(key) {
            self.first_with_trail = self.queue.after(key);
        }
        if self.first_live == Some(key) {
            self.first_live = self.queue.after(key);
        }
        self.queue.remove(key);
    }

    /// Whether more is kept than may be.
    pub(super) fn is_too_much(&self) -> bool {
        let bytes_max = self.count_max.saturating_mul(LAST_KNOWN_BYTES_MEAN_MAX);
        self.count > self.count_max || self.bytes > bytes_max
    }
}
