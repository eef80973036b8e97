//! Saying goodbye to everybody, spread over time so that they do not all come back at once.
//! Knows no sockets; time is handed in.

use std::time::{Duration, Instant};

use super::connections::ConnectionId;

/// How often a drain looks whom to close next.
const STEP: Duration = Duration::from_millis(20);

/// How long those are waited for who have connected and asked for nothing yet.
const NEWCOMERS_TIMEOUT: Duration = Duration::from_secs(1);

/// A drain under way.
#[derive(Debug)]
pub(super) struct Drain {
    ids: Vec<ConnectionId>,
    told: usize,
    began_at: Instant,
    longest: Duration,
    next_step: Instant,
}

impl Drain {
    /// Closes these connections over the first half of `longest`.
    pub(super) fn new(ids: Vec<ConnectionId>, now: Instant, longest: Duration) -> Drain {
        Drain {
            ids,
            told: 0,
            began_at: now,
            longest,
            next_step: now,
        }
    }

    /// Closes one more, a late comer.
    pub(super) fn add(&mut self, id: ConnectionId) {
        self.ids.push(id);
    }

    /// The connections to close by now that were not named before.
    pub(super) fn due(&mut self, now: Instant) -> Vec<ConnectionId> {
        self.next_step = now + STEP;
        let share = match self.longest / 2 {
            Duration::ZERO => 1.0,
            spread => now
                .saturating_duration_since(self.began_at)
                .div_duration_f64(spread)
                .min(1.0),
        };
        // The first of them goes at once.
        let due = ((share * self.ids.len() as f64) as usize + 1).min(self.ids.len());
        let ids = self.ids.get(self.told..due).unwrap_or_default().to_vec();
        self.told = due.max(self.told);
        ids
    }

    /// When to ask again.
    pub(super) fn next_deadline(&self) -> Instant {
        self.next_step.min(self.began_at + self.longest)
    }

    /// Whether those who have asked for nothing yet may still do it.
    pub(super) fn waits_for_newcomers(&self, now: Instant) -> bool {
        now < self.began_at + NEWCOMERS_TIMEOUT
    }

    /// Whether the time is up.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        now >= self.began_at + self.longest
    }
}
