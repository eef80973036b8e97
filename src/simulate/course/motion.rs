//! What simulated users send: at random all over the place, or on a course. Either is a function
//! of the user and the position's number, so that what was sent need not be stored to be
//! compared. Pure.

use std::fmt::Write;

use super::Course;
use super::wander::Wander;
use crate::client::message::Sighting;
use crate::fix::Extra;

/// Most positions of one user that are on their way, of 50 bytes each. Two users' worth is what
/// one follower can be behind by: well under 16 KiB, which neither its socket nor the server's
/// refuses to hold, so that the server has no reason to leave any out.
const IN_FLIGHT_PER_USER_MAX: usize = 64;
/// The same of 150 bytes each.
const IN_FLIGHT_ON_COURSE_MAX: usize = 24;

/// Most positions a second of one user on a course. They are told apart by their timestamps, in
/// whole milliseconds.
pub(crate) const RATE_ON_COURSE_MAX: f64 = 100.0;

/// How the users of one run move.
#[derive(Clone, Debug)]
pub(crate) enum Motion {
    /// The user whose turn it is, and where they are, are random.
    Random(Wander),
    /// The users take turns.
    Course(Race),
}

/// Users spread over a course, each as much of the time behind the next.
#[derive(Clone, Debug)]
pub(crate) struct Race {
    course: Course,
    users: usize,
    /// How many times faster they are than the course's own times.
    speed: f64,
    /// Positions of all users together.
    per_second: f64,
    /// Milliseconds since 1970 UTC.
    begun_at_ms: u64,
}

impl Race {
    /// Users on a course, so many times faster than its own times. All together send so many
    /// positions a second, at most [`RATE_ON_COURSE_MAX`] each.
    pub(crate) fn new(course: Course, users: usize, speed: f64, per_second: f64) -> Race {
        Race {
            course,
            users,
            speed,
            per_second,
            begun_at_ms: 0,
        }
    }

    fn fields(&self, user: usize, number: u64) -> WrittenPosition {
        let position = user as f64 + self.users as f64 * number as f64;
        let time_s = position / self.per_second;
        let head_start_s = self.course.period_s() * user as f64 / self.users as f64;
        let place = self.course.place(head_start_s + time_s * self.speed);
        let mut extras = Vec::with_capacity(4);
        if let Some(altitude) = place.altitude {
            extras.push((Extra::Altitude, format!("{altitude:.1}")));
        }
        if let Some(heading) = place.heading {
            extras.push((Extra::Heading, whole_degrees(heading).to_string()));
        }
        extras.push((Extra::Speed, format!("{:.2}", place.speed * self.speed)));
        let timestamp = self.begun_at_ms + (time_s * 1000.0).round() as u64;
        extras.push((Extra::Timestamp, timestamp.to_string()));
        WrittenPosition {
            lat: format!("{:.6}", place.lat),
            lng: format!("{:.6}", place.lng),
            extras,
        }
    }

    fn number(&self, user: usize, seen: &Sighting) -> Option<u64> {
        let mut extras = seen.extras();
        let (_, timestamp) = extras.find(|(extra, _)| *extra == Extra::Timestamp)?;
        let after_ms = timestamp
            .parse::<u64>()
            .ok()?
            .checked_sub(self.begun_at_ms)?;
        let position = after_ms as f64 / 1000.0 * self.per_second;
        let number = ((position - user as f64) / self.users as f64)
            .round()
            .max(0.0) as u64;
        let sent = self.fields(user, number);
        let sent_extras = sent
            .extras
            .iter()
            .map(|(extra, text)| (*extra, text.as_str()));
        let same = sent.lat == seen.lat && sent.lng == seen.lng && sent_extras.eq(seen.extras());
        same.then_some(number)
    }
}

/// A position's fields behind the user id, as they are written.
struct WrittenPosition {
    lat: String,
    lng: String,
    /// In the order in which they are relayed.
    extras: Vec<(Extra, String)>,
}

impl Motion {
    /// Random positions; the same seed leads to the same ones.
    pub(crate) fn random(seed: u64) -> Motion {
        Motion::Random(Wander::new(seed))
    }

    /// Random positions of which all are some on Earth.
    pub(crate) fn random_on_earth(seed: u64) -> Motion {
        Motion::Random(Wander::on_earth(seed))
    }

    /// Whether no latitude is beyond a pole.
    pub(crate) fn is_on_earth(&self) -> bool {
        match self {
            Motion::Random(wander) => wander.is_on_earth(),
            Motion::Course(_) => true,
        }
    }

    /// Whose turn it is to send the run's position of this number; `None` if it is anybody's.
    pub(crate) fn next_user(&self, position: u64) -> Option<usize> {
        match self {
            Motion::Random(_) => None,
            Motion::Course(race) => Some((position % race.users as u64) as usize),
        }
    }

    /// Says when the run begins, in milliseconds since 1970 UTC; before the first position.
    pub(crate) fn begin(&mut self, unix_ms: u64) {
        if let Motion::Course(race) = self {
            race.begun_at_ms = unix_ms;
        }
    }

    /// The message that publishes a user's position of this number, under this id.
    pub(crate) fn text(&self, user: usize, id: usize, number: u64) -> String {
        match self {
            Motion::Random(wander) => wander.text(user, id, number),
            Motion::Course(race) => {
                let WrittenPosition { lat, lng, extras } = race.fields(user, number);
                let mut text = format!(r#"{{"userId":{id},"lat":{lat},"lng":{lng}"#);
                for (extra, value) in extras {
                    // A write into a String cannot fail.
                    let _ = write!(text, r#","{}":{value}"#, extra.name());
                }
                text.push('}');
                text
            }
        }
    }

    /// Which of the user's positions this is, to the last digit of every field.
    pub(crate) fn number(&self, user: usize, seen: &Sighting) -> Option<u64> {
        match self {
            Motion::Random(_) if seen.extras().next().is_some() => None,
            Motion::Random(wander) => wander.number(user, seen.lat, seen.lng),
            Motion::Course(race) => race.number(user, seen),
        }
    }

    /// How many positions of one user may be on their way.
    pub(crate) fn in_flight_per_user_max(&self) -> usize {
        match self {
            Motion::Random(_) => IN_FLIGHT_PER_USER_MAX,
            Motion::Course(_) => IN_FLIGHT_ON_COURSE_MAX,
        }
    }
}

/// A heading from 0 to 359.
pub(crate) fn whole_degrees(heading: f64) -> u16 {
    heading.round() as u16 % 360
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::message::{ServerMessage, decode};
    use crate::simulate::course::Waypoint;

    fn race(users: usize, per_second: f64) -> Motion {
        let waypoint = |lat, at_s| Waypoint {
            lat,
            lng: 8.5,
            altitude: Some(100.0),
            at_s,
        };
        let course = Course::recorded(vec![waypoint(50.0, 0.0), waypoint(50.02, 600.0)]);
        let race = Race::new(course.expect("a way"), users, 2.0, per_second);
        let mut motion = Motion::Course(race);
        motion.begin(1_795_262_400_000);
        motion
    }

    fn number(motion: &Motion, user: usize, text: &str) -> Option<u64> {
        match decode(text) {
            ServerMessage::Position(seen) => motion.number(user, &seen),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_position_on_a_course_has_all_that_is_known() {
        assert_eq!(
            race(1, 1.0).text(0, 0, 150),
            r#"{"userId":0,"lat":50.010000,"lng":8.500000,"altitude":100.0,"heading":0,"speed":7.41,"timestamp":1795262550000}"#
        );
    }

    #[test]
    fn users_take_turns_and_are_spread_over_the_course() {
        let motion = race(4, 4.0);
        let turns: Vec<_> = (0..6).map(|position| motion.next_user(position)).collect();
        assert_eq!(turns, [0, 1, 2, 3, 0, 1].map(Some));
        // A quarter of there and back each, and a quarter of a second later each.
        let text = motion.text(1, 11, 0);
        assert!(text.contains(r#"{"userId":11,"lat":50.010017,"#), "{text}");
        assert!(text.contains(r#""timestamp":1795262400250"#), "{text}");
    }

    #[test]
    fn a_position_tells_its_number_and_a_changed_one_tells_none() {
        for (users, per_second) in [(1, 1.0), (3, 0.7), (7, 700.0), (1, 100.0)] {
            let motion = race(users, per_second);
            for of in (0..2000).chain([1_000_000, 9_999_999_999]) {
                let text = motion.text(users - 1, users, of);
                assert_eq!(number(&motion, users - 1, &text), Some(of), "{text}");
            }
        }
        let motion = race(2, 2.0);
        let text = motion.text(1, 1, 5);
        assert_eq!(number(&motion, 0, &text), None);
        for (from, to) in [
            ("lat\":5", "lat\":4"),
            ("\"lng\":8.5", "\"lng\":8.6"),
            ("heading\":18", "heading\":19"),
            ("speed\":7", "speed\":8"),
            ("timestamp\":1", "timestamp\":2"),
            ("timestamp\":1795262405500", "timestamp\":1795262406500"),
            (",\"altitude\":100.0", ""),
            ("}", ",\"battery\":1}"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text, "{from}");
            assert_eq!(number(&motion, 1, &changed), None, "{changed}");
        }
    }

    #[test]
    fn a_random_position_has_no_further_fields() {
        let motion = Motion::random(7);
        let text = motion.text(3, 3, 5);
        assert_eq!(number(&motion, 3, &text), Some(5));
        let more = text.replace('}', ",\"speed\":3}");
        assert_eq!(number(&motion, 3, &more), None);
        assert_eq!(motion.next_user(3), None);
    }

    #[test]
    fn a_heading_of_nearly_360_is_north() {
        assert_eq!(whole_degrees(359.7), 0);
        assert_eq!(whole_degrees(359.2), 359);
    }
}
