//! How fast somebody may send positions: a bucket of tokens. Time is handed in.

use std::time::{Duration, Instant};

/// Errors about the rate go out at most this often.
const TELL_INTERVAL: Duration = Duration::from_secs(1);

/// Excess with no pause of a second for this long ends the connection.
const EXCESS_MAX: Duration = Duration::from_secs(10);

/// A position is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Excess {
    /// The sender is to be told that it may send so many a second.
    Tell(u32),
    /// The sender has been told a moment ago.
    Drop,
    /// It was too much for too long.
    Close,
}

/// A bucket of as many tokens as it gets in a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    tokens: f64,
    filled_at: Instant,
    told_at: Option<Instant>,
    /// The first and the last of a row of excesses without a pause of a second.
    excess: Option<(Instant, Instant)>,
}

impl Bucket {
    /// A full bucket for this many positions a second.
    pub(super) fn new(rate: u32, now: Instant) -> Bucket {
        Bucket {
            tokens: f64::from(rate),
            filled_at: now,
            told_at: None,
            excess: None,
        }
    }

    /// Fills it with what it got since the last time, and says whether that is enough for one.
    pub(super) fn fill(&mut self, rate: u32, now: Instant) -> bool {
        let per_second = f64::from(rate);
        let filled = now.saturating_duration_since(self.filled_at).as_secs_f64() * per_second;
        self.tokens = (self.tokens + filled).min(per_second);
        self.filled_at = now;
        self.tokens >= 1.0
    }

    /// Takes so many tokens, or those that there are.
    pub(super) fn take_up_to(&mut self, count: u32) {
        self.tokens = (self.tokens - f64::from(count)).max(0.0);
    }

    /// Whether it is as good as a new one by now.
    pub(super) fn is_full(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.filled_at) >= Duration::from_secs(1)
    }

    /// Takes a token for a position, if there is one.
    pub(super) fn take(&mut self, rate: u32, now: Instant) -> Result<(), Excess> {
        if self.fill(rate, now) {
            self.take_up_to(1);
            return Ok(());
        }
        let first = match self.excess {
            Some((first, last)) if now.saturating_duration_since(last) < Duration::from_secs(1) => {
                first
            }
            _ => now,
        };
        self.excess = Some((first, now));
        if now.saturating_duration_since(first) >= EXCESS_MAX {
            return Err(Excess::Close);
        }
        match self.told_at {
            Some(told_at) if now.saturating_duration_since(told_at) < TELL_INTERVAL => {
                Err(Excess::Drop)
            }
            _ => {
                self.told_at = Some(now);
                Err(Excess::Tell(rate))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the bucket said to positions at an even pace over some seconds: taken, told, dropped,
    /// and whether it came to an end.
    fn pace(rate: u32, per_second: u32, seconds: u32) -> (u32, u32, u32, bool) {
        let start = Instant::now();
        let mut bucket = Bucket::new(rate, start);
        let (mut taken, mut told, mut dropped) = (0, 0, 0);
        for number in 0..per_second * seconds {
            match bucket.take(rate, start + Duration::from_secs(1) * number / per_second) {
                Ok(()) => taken += 1,
                Err(Excess::Tell(_)) => told += 1,
                Err(Excess::Drop) => dropped += 1,
                Err(Excess::Close) => return (taken, told, dropped, true),
            }
        }
        (taken, told, dropped, false)
    }

    #[test]
    fn positions_within_the_rate_are_all_taken() {
        assert_eq!(pace(5, 5, 60), (300, 0, 0, false));
        assert_eq!(pace(1, 1, 60), (60, 0, 0, false));
    }

    #[test]
    fn excess_is_told_once_a_second_and_ends_after_ten() {
        let (taken, told, dropped, ended) = pace(5, 20, 60);
        assert!(ended);
        assert!((50..=56).contains(&taken), "{taken}");
        assert!((10..=11).contains(&told), "{told}");
        assert!(dropped > 100, "{dropped}");
    }

    #[test]
    fn a_pause_of_a_second_starts_the_ten_anew() {
        let start = Instant::now();
        let mut bucket = Bucket::new(2, start);
        for burst in 0..30 {
            let now = start + Duration::from_millis(1500) * burst;
            let verdicts = [(); 4].map(|()| bucket.take(2, now));
            assert_eq!(
                verdicts,
                [Ok(()), Ok(()), Err(Excess::Tell(2)), Err(Excess::Drop)],
                "burst {burst}"
            );
        }
    }
}
