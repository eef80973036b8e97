//! The clock by which a runner's fixes are stamped: which of them is newer than all before it, and
//! whether that clock is another one by now. The time is handed in.

use std::time::{Duration, Instant};

use super::now::Now;

/// A fix this far ahead of our own clock, in milliseconds, counts as made now.
const AHEAD_MS_MAX: f64 = 60_000.0;

/// For this long nothing but late fixes may come before it is asked whether they are stamped by
/// another clock.
const LATE_MAX: Duration = Duration::from_secs(30);

/// The time of a fix that was made then by its sender's clock, in milliseconds: now, if that is too
/// far ahead.
pub(super) fn counts_as(made_at_ms: f64, now: Now) -> f64 {
    match made_at_ms > now.unix_ms + AHEAD_MS_MAX {
        true => now.unix_ms,
        false => made_at_ms,
    }
}

/// What is known of a sender's clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SenderClock {
    newest_ms: Option<f64>,
    /// When a row of late fixes began, and the first of them.
    late: Option<(Instant, f64)>,
}

impl SenderClock {
    /// Takes note of a fix made at this time, in milliseconds by the sender's clock, and says whether none before it is newer.
    ///
    /// One that is late is taken nevertheless, and its clock counts from then on, if late ones
    /// alone came for [`LATE_MAX`] and advanced about as fast as the time: so does a clock that is
    /// slow, and not a queue that is being emptied.
    pub(super) fn take(&mut self, made_at_ms: Option<f64>, now: Now) -> bool {
        let Some(made_at_ms) = made_at_ms else {
            self.late = None;
            return true;
        };
        let fix_ms = counts_as(made_at_ms, now);
        // Our own clock may have been set back since.
        let is_late = self
            .newest_ms
            .is_some_and(|newest_ms| fix_ms < counts_as(newest_ms, now));
        if is_late && !self.is_another_clock(fix_ms, now.monotonic) {
            return false;
        }
        *self = SenderClock {
            newest_ms: Some(fix_ms),
            late: None,
        };
        true
    }

    /// The clock of a sender whose newest fix was made at this time.
    pub(super) fn restored(newest_ms: Option<f64>) -> SenderClock {
        SenderClock {
            newest_ms,
            late: None,
        }
    }

    /// The timestamp of the newest fix, in milliseconds.
    pub(super) fn newest_ms(&self) -> Option<f64> {
        self.newest_ms
    }

    fn is_another_clock(&mut self, fix_ms: f64, now: Instant) -> bool {
        let (began_at, first_ms) = *self.late.get_or_insert((now, fix_ms));
        let passed = now.saturating_duration_since(began_at);
        if passed < LATE_MAX {
            return false;
        }
        let passed_ms = passed.as_secs_f64() * 1000.0;
        let keeps_time = (passed_ms / 2.0..=passed_ms * 2.0).contains(&(fix_ms - first_ms));
        if !keeps_time {
            self.late = Some((now, fix_ms));
        }
        keeps_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Our own clock at the start of each test: some time in 2023.
    const START_MS: f64 = 1.7e12;

    const HOUR_MS: f64 = 3_600_000.0;

    /// A sender and the server, each with a clock that may be wrong.
    struct Run {
        clock: SenderClock,
        start: Instant,
        /// Time that really passed.
        passed: Duration,
        /// By how much our own clock is wrong.
        ours_ms: f64,
    }

    impl Run {
        fn new() -> Run {
            Run {
                clock: SenderClock::default(),
                start: Instant::now(),
                passed: Duration::ZERO,
                ours_ms: 0.0,
            }
        }

        /// The right time.
        fn true_ms(&self) -> f64 {
            START_MS + self.passed.as_secs_f64() * 1000.0
        }

        /// A fix comes so long after the one before.
        fn take_after(&mut self, pause: Duration, timestamp: impl Fn(f64) -> Option<f64>) -> bool {
            self.passed += pause;
            let now = Now {
                monotonic: self.start + self.passed,
                unix_ms: self.true_ms() + self.ours_ms,
            };
            self.clock.take(timestamp(self.true_ms()), now)
        }

        /// A fix a second for so long: after how many seconds the first of them is taken, and that
        /// all are from then on.
        fn first_taken(&mut self, seconds: u32, timestamp: impl Fn(f64) -> f64) -> Option<u32> {
            let taken: Vec<bool> = (0..seconds)
                .map(|_| self.take_after(Duration::from_secs(1), |now_ms| Some(timestamp(now_ms))))
                .collect();
            let first = taken.iter().position(|taken| *taken)?;
            assert!(taken[first..].iter().all(|taken| *taken), "{taken:?}");
            Some(first as u32)
        }
    }

    #[test]
    fn our_own_clock_set_back_or_forth_freezes_nobody() {
        for set_by_ms in [-2.0 * HOUR_MS, 2.0 * HOUR_MS, -48.0 * HOUR_MS] {
            let mut run = Run::new();
            assert_eq!(run.first_taken(10, |now_ms| now_ms), Some(0));
            run.ours_ms = set_by_ms;
            assert_eq!(
                run.first_taken(100, |now_ms| now_ms),
                Some(0),
                "{set_by_ms}"
            );
            run.ours_ms = 0.0;
            assert_eq!(
                run.first_taken(100, |now_ms| now_ms),
                Some(0),
                "and right again"
            );
        }
    }

    #[test]
    fn a_slow_clock_freezes_a_dot_for_30_seconds_at_most() {
        let week_ms = 1024.0 * 7.0 * 24.0 * HOUR_MS;
        for slow_by_ms in [2000.0, HOUR_MS, week_ms] {
            let mut run = Run::new();
            assert_eq!(run.first_taken(10, |now_ms| now_ms), Some(0));
            let frozen = run.first_taken(100, |now_ms| now_ms - slow_by_ms);
            assert!(
                frozen.is_some_and(|seconds| seconds <= 30),
                "{slow_by_ms}: {frozen:?}"
            );
            // And with the right time again nothing is lost.
            assert_eq!(run.first_taken(10, |now_ms| now_ms), Some(0));
        }
    }

    #[test]
    fn a_clock_in_the_far_future_counts_as_ours_and_may_be_mended() {
        let mut run = Run::new();
        assert_eq!(
            run.first_taken(10, |now_ms| now_ms + 1000.0 * HOUR_MS),
            Some(0)
        );
        assert_eq!(run.first_taken(10, |now_ms| now_ms - 500.0), Some(0));
        assert!(
            !run.take_after(Duration::ZERO, |now_ms| Some(now_ms - 600.0)),
            "late"
        );
    }

    #[test]
    fn a_queue_that_is_emptied_moves_no_dot_back() {
        for per_second in [3, 10, 100] {
            let mut run = Run::new();
            // A fix a second while there was no network for ten minutes, and then one that got
            // through first.
            let queued = 600;
            assert!(run.take_after(Duration::from_secs(queued), Some));
            let newest_ms = run.true_ms();
            for number in 0..queued {
                let made_at_ms = newest_ms - (queued - number) as f64 * 1000.0;
                let pause = Duration::from_secs(1) / per_second;
                assert!(
                    !run.take_after(pause, |_| Some(made_at_ms)),
                    "{number} at {per_second}"
                );
            }
            assert!(run.take_after(Duration::from_secs(1), Some));
        }
    }

    #[test]
    fn a_slow_clock_behind_a_queue_is_found_out_after_the_next_30_seconds() {
        let mut run = Run::new();
        assert!(run.take_after(Duration::ZERO, Some));
        for number in 0..100 {
            let made_at_ms = START_MS - 2.0 * HOUR_MS + f64::from(number) * 10_000.0;
            assert!(!run.take_after(Duration::from_millis(100), |_| Some(made_at_ms)));
        }
        let frozen = run.first_taken(100, |now_ms| now_ms - HOUR_MS);
        assert!(frozen.is_some_and(|seconds| seconds <= 60), "{frozen:?}");
    }

    #[test]
    fn fixes_without_a_timestamp_are_taken_and_begin_the_30_seconds_anew() {
        let mut run = Run::new();
        assert!(run.take_after(Duration::ZERO, Some));
        for _ in 0..10 {
            assert_eq!(run.first_taken(29, |now_ms| now_ms - HOUR_MS), None);
            assert!(run.take_after(Duration::from_secs(1), |_| None));
        }
        assert!(
            !run.take_after(Duration::ZERO, |_| Some(START_MS - 1.0)),
            "the newest is kept"
        );
    }

    #[test]
    fn a_fix_as_old_as_the_newest_is_taken() {
        let mut run = Run::new();
        for _ in 0..3 {
            assert!(run.take_after(Duration::ZERO, Some));
        }
    }
}
