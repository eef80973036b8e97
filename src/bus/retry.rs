//! How long to wait before the next attempt to connect: longer each time, and not at the same time
//! as everybody else. Must never know a clock or chance: the time and a seed come in.

use std::time::{Duration, Instant};

use super::trouble::Trouble;

/// The first pause, at most.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// The longest, and each one where something is to be mended.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// A connection that was up for so long was a good one.
const GOOD_AFTER: Duration = Duration::from_secs(2);

/// The attempts of one link.
#[derive(Debug)]
pub(super) struct Retry {
    pause_max: Duration,
    up_at: Option<Instant>,
    seed: u64,
}

impl Retry {
    /// No attempt was made so far.
    pub(super) fn new(seed: u64) -> Retry {
        Retry {
            pause_max: PAUSE_MIN,
            up_at: None,
            seed,
        }
    }

    /// An attempt was successful.
    pub(super) fn up(&mut self, now: Instant) {
        self.up_at = Some(now);
    }

    /// When to try again after this: after half of the pause, or up to all of it.
    pub(super) fn after(&mut self, trouble: &Trouble, now: Instant) -> Instant {
        let is_good = |up_at: Instant| now.saturating_duration_since(up_at) >= GOOD_AFTER;
        if self.up_at.take().is_some_and(is_good) {
            self.pause_max = PAUSE_MIN;
        }
        if trouble.is_to_be_mended() {
            return now + PAUSE_MAX;
        }
        let pause = self.pause_max.mul_f64(0.5 + 0.5 * self.chance());
        self.pause_max = (2 * self.pause_max).min(PAUSE_MAX);
        now + pause
    }

    /// A number from 0 to below 1 (SplitMix64, by Sebastiano Vigna).
    fn chance(&mut self) -> f64 {
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost() -> Trouble {
        Trouble::Lost("refused".to_owned())
    }

    #[test]
    fn pauses_double_from_a_tenth_of_a_second_to_two_and_differ_from_those_of_others() {
        let now = Instant::now();
        let pauses = |seed| {
            let mut retry = Retry::new(seed);
            [100, 200, 400, 800, 1600, 2000, 2000].map(|ms| {
                let longest = Duration::from_millis(ms);
                let pause = retry.after(&lost(), now) - now;
                assert!(
                    pause >= longest / 2 && pause <= longest,
                    "{pause:?} of {longest:?}"
                );
                pause
            })
        };
        assert_ne!(pauses(1), pauses(2));
        assert_eq!(pauses(1), pauses(1));
    }

    #[test]
    fn the_first_pause_is_short_again_after_a_good_connection_and_only_then() {
        let start = Instant::now();
        for (up_ms, is_short) in [(GOOD_AFTER.as_millis() as u64 - 1, false), (2000, true)] {
            let mut retry = Retry::new(7);
            for _ in 0..6 {
                retry.after(&lost(), start);
            }
            retry.up(start);
            let down_at = start + Duration::from_millis(up_ms);
            let pause = retry.after(&lost(), down_at) - down_at;
            assert_eq!(pause <= PAUSE_MIN, is_short, "{up_ms}");
        }
    }

    #[test]
    fn what_is_to_be_mended_is_looked_at_every_two_seconds() {
        let now = Instant::now();
        let mut retry = Retry::new(7);
        for _ in 0..3 {
            assert_eq!(retry.after(&Trouble::Cluster, now), now + PAUSE_MAX);
        }
    }
}
