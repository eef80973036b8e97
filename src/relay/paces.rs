//! How fast positions of each user come by requests, which have no connection to keep their pace.
//! Time is handed in.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::rate::Bucket;

/// How often those are looked for who have kept the pace since.
const FORGET_INTERVAL: Duration = Duration::from_secs(1);

/// Most users whose pace is kept; more keep what pace they like.
const USERS_MAX: usize = 100_000;

/// The buckets of all users of whom a report came within the last seconds.
#[derive(Debug, Default)]
pub(super) struct Paces {
    buckets: HashMap<Box<str>, Bucket>,
    forgot_at: Option<Instant>,
}

impl Paces {
    /// Takes the share of a request with so many positions of each of these users, at `rate` a
    /// second of each. A request is taken whole, so no bucket owes anything afterwards; `false` if
    /// all of them were empty before, and nothing is taken.
    pub(super) fn take(&mut self, counts: &HashMap<&str, u32>, rate: u32, now: Instant) -> bool {
        let mut has_any = counts.is_empty();
        for user in counts.keys() {
            has_any |= match self.buckets.get_mut(*user) {
                Some(bucket) => bucket.fill(rate, now),
                None => true,
            };
        }
        if !has_any {
            return false;
        }
        for (user, count) in counts {
            if self.buckets.len() >= USERS_MAX && !self.buckets.contains_key(*user) {
                continue;
            }
            (self.buckets.entry(Box::from(*user)))
                .or_insert_with(|| Bucket::new(rate, now))
                .take_up_to(*count);
        }
        true
    }

    /// Forgets those whose bucket is full again.
    pub(super) fn forget_idle(&mut self, now: Instant) {
        let is_due =
            (self.forgot_at).is_none_or(|at| now.saturating_duration_since(at) >= FORGET_INTERVAL);
        if is_due && !self.buckets.is_empty() {
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
            self.buckets.shrink_to(2 * self.buckets.len());
            self.forgot_at = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_taken_whole_unless_all_of_its_users_were_too_fast_before() {
        let start = Instant::now();
        let mut paces = Paces::default();
        let mut take = |counts: &[(&'static str, u32)], after_ms: u64| {
            let now = start + Duration::from_millis(after_ms);
            paces.take(&counts.iter().copied().collect(), 2, now)
        };
        assert!(take(&[("a", 1)], 0));
        assert!(take(&[("a", 200)], 0), "whole");
        assert!(!take(&[("a", 1)], 0));
        assert!(!take(&[("a", 1)], 400));
        assert!(take(&[("a", 1), ("b", 1)], 400), "b was not too fast");
        assert!(take(&[("a", 1)], 1000), "without a debt");
        assert!(!take(&[("a", 1)], 1000));
        assert!(take(&[("b", 1)], 1000));
    }

    #[test]
    fn who_kept_the_pace_takes_no_room() {
        let start = Instant::now();
        let mut paces = Paces::default();
        for number in 0..1000 {
            let user = number.to_string();
            assert!(paces.take(&HashMap::from([(user.as_str(), 1)]), 2, start));
        }
        paces.forget_idle(start);
        assert_eq!(paces.buckets.len(), 1000);
        paces.forget_idle(start + Duration::from_secs(2));
        assert_eq!((paces.buckets.len(), paces.buckets.capacity()), (0, 0));
    }
}
