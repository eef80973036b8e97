//! What the times of a recorded way are worth: which of them are believed, and when the points
//! between those were passed. Pure.

use std::fmt;
use std::iter::successors;

use super::{Course, Waypoint, distance_m};

/// The pace on a way without times, in metres a second: a kilometre in 5:33.
pub(crate) const PACE_WITHOUT_TIMES: f64 = 3.0;

/// Longest pause at either end of a recording that is longer than all of the rest, in seconds. A
/// receiver that has just been switched on may take it for another year.
const PAUSE_AT_END_S_MAX: f64 = 86_400.0;

/// Why the times of a way do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Untimed {
    /// There are none.
    All,
    /// Most points have none.
    Most {
        /// How many have one.
        timed: usize,
        /// How many points there are.
        points: usize,
    },
    /// Most of them are not later than those before them.
    Still,
}

impl fmt::Display for Untimed {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Untimed::All => f.write_str("there are no times in it"),
            Untimed::Most { timed, points } => {
                write!(f, "only {timed} of its {points} points have a time")
            }
            Untimed::Still => f.write_str("its times do not advance"),
        }
    }
}

/// The course through these points, each with its time in seconds if it has one. The recorded
/// times count if most points have one and most of those are in order; points whose times are
/// missing or out of order are passed in between, by distance. Otherwise it is
/// [`PACE_WITHOUT_TIMES`] everywhere, and the second value says why.
///
/// # Errors
/// What is wrong, when it leads nowhere.
pub(crate) fn course(
    mut points: Vec<Waypoint>,
    times: &[Option<f64>],
) -> Result<(Course, Option<Untimed>), &'static str> {
    match set_times(&mut points, times) {
        Ok(()) => Ok((Course::recorded(points)?, None)),
        Err(untimed) => {
            let course = Course::at_pace(points, PACE_WITHOUT_TIMES)?;
            Ok((course, Some(untimed)))
        }
    }
}

fn set_times(points: &mut [Waypoint], times: &[Option<f64>]) -> Result<(), Untimed> {
    let timed = times.iter().flatten().count();
    if timed == 0 {
        return Err(Untimed::All);
    }
    if timed * 2 <= points.len() {
        let points = points.len();
        return Err(Untimed::Most { timed, points });
    }
    let in_order = longest_in_order(times);
    if in_order.len() * 2 <= timed {
        return Err(Untimed::Still);
    }
    let believed = believed(in_order);
    let (&[(first, begin_s), ..], &[.., (last, end_s)]) = (&believed[..], &believed[..]) else {
        return Err(Untimed::Still);
    };
    if end_s <= begin_s {
        return Err(Untimed::Still);
    }
    let along_m = along_m(points);
    let pace = match along_m[last] - along_m[first] {
        0.0 => PACE_WITHOUT_TIMES,
        length_m => length_m / (end_s - begin_s),
    };
    for index in 0..first {
        points[index].at_s = begin_s - (along_m[first] - along_m[index]) / pace;
    }
    for pair in believed.windows(2) {
        let ((from, from_s), (to, to_s)) = (pair[0], pair[1]);
        for index in from..to {
            let part = match along_m[to] - along_m[from] {
                0.0 => (index - from) as f64 / (to - from) as f64,
                length_m => (along_m[index] - along_m[from]) / length_m,
            };
            points[index].at_s = from_s + part * (to_s - from_s);
        }
    }
    for index in last..points.len() {
        points[index].at_s = end_s + (along_m[index] - along_m[last]) / pace;
    }
    Ok(())
}

/// The most points whose times never fall from one to the next, with these: whatever else has a
/// time is an outlier.
fn longest_in_order(times: &[Option<f64>]) -> Vec<(usize, f64)> {
    // By length, less one: of all rows that long, the one that ends earliest.
    let mut ends: Vec<(usize, f64)> = Vec::new();
    let mut before: Vec<Option<(usize, f64)>> = vec![None; times.len()];
    for (index, time) in times.iter().enumerate() {
        let Some(at_s) = *time else {
            continue;
        };
        let length = ends.partition_point(|&(_, end_s)| end_s <= at_s);
        before[index] = length.checked_sub(1).map(|shorter| ends[shorter]);
        match ends.get_mut(length) {
            Some(end) => *end = (index, at_s),
            None => ends.push((index, at_s)),
        }
    }
    let mut row: Vec<_> = successors(ends.last().copied(), |&(index, _)| before[index]).collect();
    row.reverse();
    row
}

/// Of points with the same time the first, and neither a first nor a last one that is days away
/// from the others.
fn believed(mut row: Vec<(usize, f64)>) -> Vec<(usize, f64)> {
    row.dedup_by(|next, before| next.1 == before.1);
    if let &[.., (_, before_s), (_, end_s)] = &row[..]
        && end_s - before_s > PAUSE_AT_END_S_MAX.max(before_s - row[0].1)
        && row.len() > 2
    {
        row.pop();
    }
    if let &[(_, begin_s), (_, next_s), ..] = &row[..]
        && next_s - begin_s > PAUSE_AT_END_S_MAX.max(row[row.len() - 1].1 - next_s)
        && row.len() > 2
    {
        row.remove(0);
    }
    row
}

/// How far along the way each point is, in metres.
fn along_m(points: &[Waypoint]) -> Vec<f64> {
    let mut along_m = 0.0;
    let mut before = points.first().copied();
    points
        .iter()
        .map(|&point| {
            along_m += before
                .replace(point)
                .map_or(0.0, |before| distance_m(before, point));
            along_m
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::course::METRES_PER_DEGREE;

    /// North at 1 m/s, a point in every 100 s, with these times in the place of the right ones.
    fn north(points: usize, changed: impl Fn(usize, f64) -> Option<f64>) -> Course {
        let (course, untimed) = judged(points, changed);
        assert_eq!(untimed, None);
        course
    }

    fn judged(
        points: usize,
        changed: impl Fn(usize, f64) -> Option<f64>,
    ) -> (Course, Option<Untimed>) {
        let waypoint = |index: usize| Waypoint {
            lat: index as f64 * 100.0 / METRES_PER_DEGREE,
            lng: 0.0,
            altitude: None,
            at_s: 0.0,
        };
        let times: Vec<_> = (0..points)
            .map(|index| changed(index, 1.7e9 + index as f64 * 100.0))
            .collect();
        course((0..points).map(waypoint).collect(), &times).expect("a way")
    }

    /// That a way is the right one everywhere.
    fn assert_steady(course: &Course, once_s: f64) {
        assert!(
            (course.once_s() - once_s).abs() < 1e-3,
            "{}",
            course.once_s()
        );
        for tenth in 0..10 {
            let time_s = once_s * f64::from(tenth) / 10.0;
            let place = course.place(time_s);
            let north_m = place.lat * METRES_PER_DEGREE;
            assert!(
                (north_m - time_s).abs() < 1e-3,
                "{north_m} m after {time_s} s"
            );
            assert!((place.speed - 1.0).abs() < 1e-3, "{place:?}");
        }
    }

    #[test]
    fn points_without_a_time_are_passed_in_between_by_distance() {
        assert_steady(&north(50, |_, at_s| Some(at_s)), 4900.0);
        let some = |index: usize, at_s| (!index.is_multiple_of(3)).then_some(at_s);
        assert_steady(&north(50, some), 4900.0);
        // Also before the first time, and behind the last one.
        let middle = |index, at_s| (10..40).contains(&index).then_some(at_s);
        assert_steady(&north(50, middle), 4900.0);
    }

    #[test]
    fn a_time_out_of_order_costs_no_point_but_itself() {
        for stray in [0, 2, 25, 49] {
            for off_s in [-1e9, -86_500.0, 86_500.0, 1e9] {
                let time = |index, at_s| Some(if index == stray { at_s + off_s } else { at_s });
                assert_steady(&north(50, time), 4900.0);
            }
        }
        for off_s in [-3600.0, 3600.0] {
            let time = |index, at_s| Some(if index == 20 { at_s + off_s } else { at_s });
            assert_steady(&north(50, time), 4900.0);
        }
    }

    #[test]
    fn times_in_whole_seconds_may_be_the_same_for_a_few_points() {
        let coarse = |_, at_s: f64| Some((at_s / 400.0).floor() * 400.0);
        assert_steady(&north(41, coarse), 4000.0);
    }

    #[test]
    fn a_pause_of_a_night_stays_one() {
        let night = |index, at_s: f64| Some(if index < 25 { at_s } else { at_s + 36_000.0 });
        let course = north(50, night);
        assert_eq!(course.once_s(), 40_900.0);
        assert!(course.place(20_000.0).speed < 0.01);
    }

    #[test]
    fn times_that_are_few_or_do_not_advance_do_not_count() {
        let ends = |index, at_s| [0, 49].contains(&index).then_some(at_s);
        let few = Untimed::Most {
            timed: 2,
            points: 50,
        };
        let falling = |_, at_s: f64| Some(-at_s);
        for (judged, why) in [
            (judged(50, |_, _| None), Untimed::All),
            (judged(50, ends), few),
            (judged(50, |_, _| Some(5.0)), Untimed::Still),
            (judged(50, falling), Untimed::Still),
        ] {
            let (course, untimed) = judged;
            assert_eq!(untimed, Some(why));
            assert!((course.once_s() - 4900.0 / PACE_WITHOUT_TIMES).abs() < 1e-3);
            assert!((course.place(1000.0).speed - PACE_WITHOUT_TIMES).abs() < 1e-3);
        }
    }

    #[test]
    fn where_all_points_are_one_place_times_do_not_matter() {
        let point = Waypoint {
            lat: 1.0,
            lng: 1.0,
            altitude: None,
            at_s: 0.0,
        };
        for times in [[Some(0.0), Some(60.0)], [None; 2], [Some(1.0); 2]] {
            let refused = course(vec![point; 2], &times);
            assert_eq!(refused.err(), Some("all of it is in one place"));
        }
        assert_eq!(
            course(Vec::new(), &[]).err(),
            Some("there is no point on it")
        );
        // A rest where it begins, and a way without times from there.
        let (course, _) = course(
            vec![point, point, Waypoint { lat: 1.01, ..point }],
            &[Some(0.0), Some(60.0), None],
        )
        .expect("a way");
        assert_eq!(course.place(30.0).speed, 0.0);
        assert!((course.place(100.0).speed - PACE_WITHOUT_TIMES).abs() < 1e-6);
    }
}
