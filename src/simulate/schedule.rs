//! When the positions of a run are due: how many, how fast and for how long. Knows no user, and
//! time only as an argument.

use std::time::{Duration, Instant};

/// Longest wait for the next position if its time is beyond what a clock can tell.
const RATE_WAIT_MAX: Duration = Duration::from_secs(3600);

/// How many positions are sent, how fast and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pace {
    /// No more than this many.
    pub(crate) positions: u64,
    /// So many a second; `None` for as fast as they are delivered.
    pub(crate) rate: Option<f64>,
    /// No longer than this.
    pub(crate) duration: Option<Duration>,
}

/// When positions are due.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// When the first is due.
    pub(crate) begun_at: Instant,
    /// When no more is sent, whether or not all were.
    pub(crate) ends_at: Option<Instant>,
    /// How many there are.
    pub(crate) positions: u64,
    rate: Option<f64>,
}

impl Schedule {
    /// This pace, from a moment on.
    pub(crate) fn new(pace: Pace, begun_at: Instant) -> Schedule {
        Schedule {
            begun_at,
            // A track can take longer than a clock can tell.
            ends_at: pace
                .duration
                .and_then(|duration| begun_at.checked_add(duration)),
            positions: pace.positions,
            rate: pace.rate,
        }
    }

    /// How many positions should be sent by now.
    pub(crate) fn due_by(&self, now: Instant) -> u64 {
        let Some(rate) = self.rate else {
            let over = self.ends_at.is_some_and(|end| now >= end);
            return if over { 0 } else { self.positions };
        };
        let until = self.ends_at.map_or(now, |end| now.min(end));
        let due = (until - self.begun_at).as_secs_f64() * rate;
        (due.ceil() as u64).min(self.positions)
    }

    /// When the position of this number is due; `now` if that is as soon as there is room.
    pub(crate) fn due_at(&self, number: u64, now: Instant) -> Instant {
        match self.rate {
            // A rate can be so low that the next one is due in no time that a clock can tell.
            Some(rate) => {
                let after = Duration::try_from_secs_f64(number as f64 / rate);
                let due_at = after
                    .ok()
                    .and_then(|after| self.begun_at.checked_add(after));
                due_at.unwrap_or(now + RATE_WAIT_MAX)
            }
            None => now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(rate: Option<f64>, duration_s: Option<u64>) -> Schedule {
        let begun_at = Instant::now();
        let ends_at = duration_s.map(|seconds| begun_at + Duration::from_secs(seconds));
        Schedule {
            begun_at,
            ends_at,
            positions: 1000,
            rate,
        }
    }

    #[test]
    fn a_rate_spreads_positions_evenly_up_to_the_end() {
        let schedule = schedule(Some(10.0), Some(2));
        let due = |ms| schedule.due_by(schedule.begun_at + Duration::from_millis(ms));
        assert_eq!(
            [
                due(0),
                due(1),
                due(100),
                due(101),
                due(1999),
                due(2000),
                due(9000)
            ],
            [0, 1, 1, 2, 20, 20, 20]
        );
        let due_at = schedule.due_at(15, schedule.begun_at);
        assert_eq!(due_at - schedule.begun_at, Duration::from_millis(1500));
    }

    #[test]
    fn without_a_rate_everything_is_due_until_the_end() {
        let schedule = schedule(None, Some(2));
        assert_eq!(schedule.due_by(schedule.begun_at), 1000);
        assert_eq!(
            schedule.due_by(schedule.begun_at + Duration::from_secs(2)),
            0
        );
    }

    #[test]
    fn a_rate_of_next_to_nothing_waits_and_does_not_panic() {
        let schedule = schedule(Some(f64::MIN_POSITIVE), None);
        assert_eq!(
            schedule.due_by(schedule.begun_at + Duration::from_secs(1)),
            1
        );
        assert!(schedule.due_at(1, schedule.begun_at) > schedule.begun_at);
    }
}
