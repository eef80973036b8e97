//! What was recorded last of each user, so that a last known position is not recorded twice.
//! Takes some 100 bytes for each user.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::client::message::Sighting;
use crate::fix::Extra;

/// How much two times of the same reception may differ, in milliseconds: by a server's rounding of
/// ages, and by the way that the messages had.
const TOLERANCE_MS: u64 = 2000;

/// The newest line of each user, by the text of the id.
#[derive(Debug, Default)]
pub(in crate::client) struct Newest(HashMap<Box<str>, Last>);

#[derive(Clone, Copy, Debug)]
struct Last {
    received_ms: u64,
    /// Of all numbers.
    hash: u64,
}

impl Newest {
    /// Takes a line as the newest of its user.
    pub(in crate::client) fn note(&mut self, user: &str, seen: &Sighting, received_ms: u64) {
        let last = Last {
            received_ms,
            hash: hash(seen),
        };
        match self.0.get_mut(user) {
            Some(kept) => *kept = last,
            None => drop(self.0.insert(user.into(), last)),
        }
    }

    /// Whether a last known position is another one than that recorded last, and no older. With a
    /// timestamp the same numbers are the same position; without one a runner who stands still is
    /// told from what is recorded by the time.
    pub(in crate::client) fn is_news(&self, user: &str, seen: &Sighting, received_ms: u64) -> bool {
        let Some(last) = self.0.get(user) else {
            return true;
        };
        match last.hash == hash(seen) {
            true if has_timestamp(seen) => false,
            true => received_ms > last.received_ms.saturating_add(TOLERANCE_MS),
            false => received_ms.saturating_add(TOLERANCE_MS) >= last.received_ms,
        }
    }
}

fn has_timestamp(seen: &Sighting) -> bool {
    seen.extras().any(|(extra, _)| extra == Extra::Timestamp)
}

fn hash(seen: &Sighting) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seen.lat, seen.lng).hash(&mut hasher);
    for (extra, number) in seen.extras() {
        (extra.name(), number).hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::message::{ServerMessage, decode};

    fn with(text: &str, then: impl FnOnce(&Sighting)) {
        let ServerMessage::Position(seen) = decode(text) else {
            panic!("a position: {text}")
        };
        then(&seen);
    }

    #[test]
    fn only_another_or_a_later_position_is_news() {
        let still = r#"{"userId":5,"lat":1,"lng":2}"#;
        let timed = r#"{"userId":5,"lat":1,"lng":2,"timestamp":9}"#;
        let moved = r#"{"userId":5,"lat":1,"lng":3}"#;
        for (recorded, text, after_ms, is_news) in [
            (still, still, 0, false),
            (still, still, -60_000, false),
            (still, still, 1000, false),
            (still, still, 60_000, true),
            (timed, timed, 60_000, false),
            (still, timed, 60_000, true),
            (still, moved, 0, true),
            (still, moved, -500, true),
            // A server that was restarted with an older state.
            (still, moved, -60_000, false),
        ] {
            let mut newest = Newest::default();
            with(recorded, |seen| newest.note("5", seen, 1_000_000));
            with(text, |seen| {
                let received_ms = 1_000_000i64 + after_ms;
                let told = newest.is_news("5", seen, received_ms as u64);
                assert_eq!(told, is_news, "{recorded} {text} {after_ms}");
                assert!(newest.is_news("6", seen, received_ms as u64));
            });
        }
    }
}
