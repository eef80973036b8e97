//! When the deadlines of all connections are looked at. The time is handed in.

use std::time::{Duration, Instant};

/// How often that is.
const INTERVAL: Duration = Duration::from_secs(1);

/// How much later it may be under load.
const POSTPONED_MAX: Duration = Duration::from_secs(4);

/// The next look at all deadlines.
#[derive(Debug)]
pub(super) struct Sweep {
    next: Instant,
}

impl Sweep {
    /// The first one after an interval.
    pub(super) fn new(now: Instant) -> Sweep {
        Sweep {
            next: now + INTERVAL,
        }
    }

    /// Whether it is time, and then the next one is after an interval. While batches of events
    /// are full it is postponed, for what a connection is judged by may be in the next batch.
    pub(super) fn is_due(&mut self, is_batch_full: bool, now: Instant) -> bool {
        let latest = self.next + POSTPONED_MAX;
        let is_due = now >= self.next && (!is_batch_full || now >= latest);
        if is_due {
            self.next = now + INTERVAL;
        }
        is_due
    }

    /// When to ask again.
    pub(super) fn next_deadline(&self) -> Instant {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_postpones_it_and_for_five_seconds_at_most() {
        let start = Instant::now();
        let mut sweep = Sweep::new(start);
        let mut due = Vec::new();
        for tenths in 1..=200 {
            let is_batch_full = tenths > 50;
            if sweep.is_due(is_batch_full, start + Duration::from_millis(100) * tenths) {
                due.push(tenths);
            }
        }
        assert_eq!(due, [10, 20, 30, 40, 50, 100, 150, 200]);
    }
}
