//! Messages in a row of which each brought an error: too many end a connection, but not those that
//! come every now and then. The time is handed in.

use std::time::Duration;

/// So many end the connection.
const COUNT_MAX: u8 = 100;

/// In this time one of them is forgotten.
const FORGET_ONE_S: u32 = 10;

/// The row of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BadRow {
    count: u8,
    /// Up to when they were forgotten, in seconds since the connection was accepted.
    forgotten_s: u32,
}

impl BadRow {
    /// A message that brought no error ends the row.
    pub(super) fn end(&mut self) {
        self.count = 0;
    }

    /// Counts a message that brought an error, so long after the connection was accepted. Says
    /// whether it was one too many.
    #[must_use]
    pub(super) fn add(&mut self, open_for: Duration) -> bool {
        let now_s = u32::try_from(open_for.as_secs()).unwrap_or(u32::MAX);
        let forgotten = now_s.saturating_sub(self.forgotten_s) / FORGET_ONE_S;
        if u32::from(self.count) <= forgotten {
            (self.count, self.forgotten_s) = (0, now_s);
        } else {
            self.count -= forgotten as u8;
            self.forgotten_s += forgotten * FORGET_ONE_S;
        }
        self.count += 1;
        self.count >= COUNT_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many come at this pace until it is too many, if it ever is in a day.
    fn too_many_at(pause: Duration) -> Option<u32> {
        let mut row = BadRow::default();
        (1..)
            .take_while(|count| pause * *count < Duration::from_secs(24 * 3600))
            .find(|count| row.add(pause * *count))
    }

    #[test]
    fn a_hundred_at_once_are_too_many_and_one_every_ten_seconds_never_is() {
        assert_eq!(too_many_at(Duration::from_millis(1)), Some(100));
        assert_eq!(too_many_at(Duration::from_secs(10)), None);
        assert_eq!(too_many_at(Duration::from_secs(25)), None);
        let twice_a_second =
            too_many_at(Duration::from_millis(500)).expect("faster than it forgets");
        assert!((100..110).contains(&twice_a_second), "{twice_a_second}");
        let a_little_too_fast =
            too_many_at(Duration::from_secs(9)).expect("faster than it forgets");
        assert!(
            (900..1100).contains(&a_little_too_fast),
            "{a_little_too_fast}"
        );
    }

    #[test]
    fn a_good_one_begins_the_row_anew() {
        let mut row = BadRow::default();
        for _ in 0..10 {
            for _ in 0..99 {
                assert!(!row.add(Duration::ZERO));
            }
            row.end();
        }
    }
}
