//! How simulated users move. Here: a way through the world as a function of time: points, straight
//! lines between them, and what comes after the last. Pure. The room must never know connections,
//! nor whether anybody checks what was sent.
//!
//! | file | what it is for |
//! |---|---|
//! | `track` | a GPX file to its points and their times; the only one that reads files |
//! | `recording` | those to a [`Course`]: which times are believed |
//! | `motion` | who is where on a course when, and which position a delivery is of |
//! | `wander` | the same of random positions, without a course |

pub(crate) mod motion;
pub(crate) mod recording;
pub(crate) mod track;
pub(crate) mod wander;

/// Metres in a degree of latitude, on a sphere of the earth's mean radius (6,371,009 m).
pub(crate) const METRES_PER_DEGREE: f64 = 111_195.08;

/// How near its beginning a way must end to be taken for a loop, in metres ...
const LOOP_GAP_M_MAX: f64 = 100.0;
/// ... and as a part of its length.
const LOOP_GAP_MAX: f64 = 0.1;

/// Shortest way that there is anything to see of, in metres.
const LENGTH_M_MIN: f64 = 1.0;

/// A point of a way, and when it is passed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Waypoint {
    /// Degrees north.
    pub(crate) lat: f64,
    /// Degrees east.
    pub(crate) lng: f64,
    /// Metres above the sea, if known.
    pub(crate) altitude: Option<f64>,
    /// Seconds since any moment that is the same for all points of a way.
    pub(crate) at_s: f64,
}

/// Where somebody is, and how they move there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    /// Degrees north.
    pub(crate) lat: f64,
    /// Degrees east, from -180 up to 180.
    pub(crate) lng: f64,
    /// Metres above the sea, if known.
    pub(crate) altitude: Option<f64>,
    /// Metres a second.
    pub(crate) speed: f64,
    /// Degrees clockwise from north; `None` while they stand.
    pub(crate) heading: Option<f64>,
}

/// A way that goes on for ever: a loop is begun again, and at the ends of any other they turn
/// round and come back at the same pace.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    /// At least two, each later than the one before; the first is passed at 0.
    waypoints: Vec<Waypoint>,
    is_loop: bool,
    once_s: f64,
}

impl Course {
    /// A way with its times. Points that are not later than the one before are left out.
    ///
    /// # Errors
    /// What is wrong, when it leads nowhere.
    pub(crate) fn recorded(mut waypoints: Vec<Waypoint>) -> Result<Course, &'static str> {
        if waypoints.is_empty() {
            return Err("there is no point on it");
        }
        if length_m(&waypoints) < LENGTH_M_MIN {
            return Err("all of it is in one place");
        }
        let mut newest_s = f64::NEG_INFINITY;
        waypoints.retain(|waypoint| {
            let is_later = waypoint.at_s > newest_s;
            newest_s = newest_s.max(waypoint.at_s);
            is_later
        });
        let length_m = length_m(&waypoints);
        let (first, last) = (waypoints[0], waypoints[waypoints.len() - 1]);
        if length_m < LENGTH_M_MIN {
            return Err("its times do not advance");
        }
        for waypoint in &mut waypoints {
            waypoint.at_s -= first.at_s;
        }
        let once_s = last.at_s - first.at_s;
        let gap_m = distance_m(last, first);
        let is_loop = gap_m <= LOOP_GAP_M_MAX && gap_m <= length_m * LOOP_GAP_MAX;
        if is_loop && gap_m > 0.0 {
            let at_s = once_s + gap_m * once_s / length_m;
            waypoints.push(Waypoint { at_s, ..first });
        }
        Ok(Course {
            waypoints,
            is_loop,
            once_s,
        })
    }

    /// A way at the same pace everywhere, in metres a second; the points' times do not count.
    ///
    /// # Errors
    /// As [`recorded`](Self::recorded).
    pub(crate) fn at_pace(
        mut waypoints: Vec<Waypoint>,
        speed: f64,
    ) -> Result<Course, &'static str> {
        waypoints.dedup_by(|next, before| distance_m(*before, *next) == 0.0);
        let mut at_s = 0.0;
        for index in 0..waypoints.len() {
            if index > 0 {
                at_s += distance_m(waypoints[index - 1], waypoints[index]) / speed;
            }
            waypoints[index].at_s = at_s;
        }
        Course::recorded(waypoints)
    }

    /// How long it takes from the first point to the last, in seconds.
    pub(crate) fn once_s(&self) -> f64 {
        self.once_s
    }

    /// How long it takes until everything begins again, in seconds.
    pub(crate) fn period_s(&self) -> f64 {
        let last = self.waypoints[self.waypoints.len() - 1];
        if self.is_loop {
            last.at_s
        } else {
            2.0 * last.at_s
        }
    }

    /// Where they are so many seconds after the first point was passed for the first time.
    pub(crate) fn place(&self, time_s: f64) -> Place {
        let last_s = self.waypoints[self.waypoints.len() - 1].at_s;
        let time_s = time_s.rem_euclid(self.period_s());
        if time_s <= last_s {
            return self.on_the_way(time_s);
        }
        let way_out = self.on_the_way(2.0 * last_s - time_s);
        Place {
            heading: way_out.heading.map(|heading| (heading + 180.0) % 360.0),
            ..way_out
        }
    }

    fn on_the_way(&self, time_s: f64) -> Place {
        let behind = self
            .waypoints
            .partition_point(|waypoint| waypoint.at_s <= time_s);
        let next = behind.clamp(1, self.waypoints.len() - 1);
        let (from, to) = (self.waypoints[next - 1], self.waypoints[next]);
        let leg_s = to.at_s - from.at_s;
        let part = ((time_s - from.at_s) / leg_s).clamp(0.0, 1.0);
        let between = |from: f64, to: f64| from + (to - from) * part;
        let (north_m, east_m) = offset_m(from, to);
        let distance_m = north_m.hypot(east_m);
        let heading = east_m.atan2(north_m).to_degrees().rem_euclid(360.0);
        Place {
            lat: between(from.lat, to.lat),
            lng: wrap_degrees(from.lng + wrap_degrees(to.lng - from.lng) * part),
            altitude: from
                .altitude
                .zip(to.altitude)
                .map(|(from, to)| between(from, to)),
            speed: distance_m / leg_s,
            heading: (distance_m > 0.0).then_some(heading),
        }
    }
}

/// An angle in degrees, from -180 up to 180.
fn wrap_degrees(degrees: f64) -> f64 {
    (degrees + 180.0).rem_euclid(360.0) - 180.0
}

/// How far north and east one point lies of another, in metres: on a plane, which is near enough
/// to the truth for as far as anybody gets from one fix to the next.
fn offset_m(from: Waypoint, to: Waypoint) -> (f64, f64) {
    let middle = ((from.lat + to.lat) / 2.0).to_radians();
    let north_m = (to.lat - from.lat) * METRES_PER_DEGREE;
    let east_m = wrap_degrees(to.lng - from.lng) * METRES_PER_DEGREE * middle.cos();
    (north_m, east_m)
}

/// How far it is from one point straight to another, in metres.
pub(crate) fn distance_m(from: Waypoint, to: Waypoint) -> f64 {
    let (north_m, east_m) = offset_m(from, to);
    north_m.hypot(east_m)
}

fn length_m(waypoints: &[Waypoint]) -> f64 {
    let legs = waypoints.windows(2);
    legs.map(|leg| distance_m(leg[0], leg[1])).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waypoint(lat: f64, lng: f64, at_s: f64) -> Waypoint {
        Waypoint {
            lat,
            lng,
            altitude: None,
            at_s,
        }
    }

    fn near(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-9
    }

    /// North for 100 s, then 100 s of rest, then east for 200 s.
    fn corner() -> Course {
        let waypoints = vec![
            Waypoint {
                altitude: Some(10.0),
                ..waypoint(0.0, 0.0, 1000.0)
            },
            Waypoint {
                altitude: Some(30.0),
                ..waypoint(0.01, 0.0, 1100.0)
            },
            waypoint(0.01, 0.0, 1200.0),
            waypoint(0.01, 0.02, 1400.0),
        ];
        Course::recorded(waypoints).expect("a way")
    }

    #[test]
    fn between_two_points_they_go_straight_at_the_recorded_pace() {
        let place = corner().place(25.0);
        assert!(near(place.lat, 0.0025) && near(place.lng, 0.0), "{place:?}");
        assert_eq!(place.altitude, Some(15.0));
        assert!(near(place.speed, METRES_PER_DEGREE / 10_000.0), "{place:?}");
        assert_eq!(place.heading, Some(0.0));
        let place = corner().place(300.0);
        assert!(near(place.lat, 0.01) && near(place.lng, 0.01), "{place:?}");
        assert_eq!(place.altitude, None);
        assert_eq!(place.heading.map(f64::round), Some(90.0));
    }

    #[test]
    fn where_they_stand_there_is_no_heading_and_no_speed() {
        let place = corner().place(150.0);
        assert_eq!((place.speed, place.heading), (0.0, None));
    }

    #[test]
    fn at_the_end_of_a_way_that_is_no_loop_they_turn_round() {
        let course = corner();
        assert_eq!((course.once_s(), course.period_s()), (400.0, 800.0));
        for (late_s, early_s) in [(401.0, 399.0), (500.0, 300.0), (799.0, 1.0), (801.0, 1.0)] {
            let (late, early) = (course.place(late_s), course.place(early_s));
            assert!(near(late.lat, early.lat) && near(late.lng, early.lng));
            assert!(near(late.speed, early.speed));
        }
        assert_eq!(course.place(500.0).heading.map(f64::round), Some(270.0));
        assert_eq!(course.place(801.0).heading, Some(0.0));
    }

    #[test]
    fn a_way_that_ends_where_it_began_is_a_loop_and_never_jumps() {
        let square = vec![
            waypoint(50.0, 8.0, 0.0),
            waypoint(50.01, 8.0, 300.0),
            waypoint(50.01, 8.01, 600.0),
            waypoint(50.0, 8.01, 900.0),
            waypoint(50.0, 8.0005, 1200.0),
        ];
        let course = Course::recorded(square).expect("a way");
        assert_eq!(course.once_s(), 1200.0);
        assert!((1200.0..1220.0).contains(&course.period_s()));
        let mut before = course.place(0.0);
        for time_s in 1..3000 {
            let place = course.place(f64::from(time_s));
            let step_m = distance_m(
                waypoint(before.lat, before.lng, 0.0),
                waypoint(place.lat, place.lng, 0.0),
            );
            assert!(step_m < 4.0, "{step_m} m in second {time_s}");
            before = place;
        }
        assert_eq!(course.place(100.0), course.place(100.0 + course.period_s()));
    }

    #[test]
    fn at_a_pace_every_leg_takes_as_long_as_it_is() {
        let waypoints = [(0.0, 0.0), (0.01, 0.0), (0.01, 0.0), (0.01, 0.05)];
        let waypoints = waypoints.map(|(lat, lng)| waypoint(lat, lng, 7.0)).to_vec();
        let course = Course::at_pace(waypoints, 3.0).expect("a way");
        for time_s in [0.0, 1.0, 500.0, 2000.0] {
            assert!(near(course.place(time_s).speed, 3.0));
        }
        let once_s = 0.06 * METRES_PER_DEGREE / 3.0;
        assert!((course.once_s() - once_s).abs() < 0.1);
    }

    #[test]
    fn over_the_antimeridian_they_take_the_short_way() {
        let course = Course::recorded(vec![
            waypoint(-17.0, 179.99, 0.0),
            waypoint(-17.0, -179.99, 100.0),
        ]);
        let course = course.expect("a way");
        assert!(near(course.place(25.0).lng, 179.995));
        assert!(near(course.place(75.0).lng, -179.995));
        assert!(course.place(50.0).speed < 25.0);
    }

    #[test]
    fn points_that_are_not_later_are_left_out() {
        let course = Course::recorded(vec![
            waypoint(0.0, 0.0, 0.0),
            waypoint(5.0, 5.0, 0.0),
            waypoint(0.01, 0.0, 100.0),
            waypoint(9.0, 9.0, 50.0),
        ]);
        assert!(near(course.expect("a way").place(100.0).lat, 0.01));
    }

    #[test]
    fn a_way_that_leads_nowhere_is_refused() {
        assert!(Course::recorded(Vec::new()).is_err());
        let once = vec![waypoint(1.0, 1.0, 0.0)];
        assert!(Course::recorded(once.clone()).is_err());
        assert!(Course::at_pace(once, 3.0).is_err());
        let still = vec![waypoint(1.0, 1.0, 0.0), waypoint(1.0, 1.0, 60.0)];
        assert!(Course::recorded(still.clone()).is_err());
        assert!(Course::at_pace(still, 3.0).is_err());
        for at_s in [0.0, -60.0] {
            let backwards = vec![waypoint(1.0, 1.0, 0.0), waypoint(1.05, 1.0, at_s)];
            let refused = Course::recorded(backwards).err();
            assert_eq!(refused, Some("its times do not advance"));
        }
    }
}
