//! One trail against a list, and all of them against their ceiling.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::Now;
use super::hub::Hub;
use super::keys::RunnerKey;
use super::model::fix;
use super::trail::{Added, Trail};
use super::trails::{Taken, Trails};
use crate::dialect::Dialect;
use crate::fix::{Bounds, Extra, Fix};
use crate::point::{MS_MAX, TrailPoint};
use crate::user::Written;

/// By the haversine formula, in metres.
fn distance(from: &TrailPoint, to: &TrailPoint) -> f64 {
    let radians = |e6: i32| (f64::from(e6) / 1e6).to_radians();
    let half = |from: i32, to: i32| ((radians(to) - radians(from)) / 2.0).sin().powi(2);
    let cosines = radians(from.lat_e6).cos() * radians(to.lat_e6).cos();
    let a = half(from.lat_e6, to.lat_e6) + cosines * half(from.lng_e6, to.lng_e6);
    2.0 * 6_371_008.8 * a.sqrt().min(1.0).asin()
}

/// What a trail should be.
#[derive(Default)]
struct Model {
    points: Vec<TrailPoint>,
}

impl Model {
    fn add(&mut self, point: TrailPoint, points_max: usize) -> Added {
        if self.points.iter().any(|other| other.ms == point.ms) {
            return Added::Known;
        }
        let at = self.points.partition_point(|other| other.ms < point.ms);
        if at == 0 && self.points.len() == points_max {
            return Added::Left;
        }
        if let Some(before) = at.checked_sub(1).map(|before| self.points[before])
            && point.ms - before.ms < 30_000
            && distance(&before, &point) < 10.0
        {
            return Added::Left;
        }
        self.points.insert(at, point);
        let is_newest = at + 1 == self.points.len();
        if self.points.len() > points_max {
            self.points.remove(0);
        }
        match is_newest {
            true => Added::Behind,
            false => Added::Between,
        }
    }
}

/// A point near to others or far from them, and perhaps of the same time.
fn point() -> impl Strategy<Value = TrailPoint> {
    // So that none is 10 m from another but for rounding: steps of 3 m, and far ones.
    let near = (0..8i32, 0..8i32).prop_map(|(n, e)| (46_950_000 + n * 27, 7_440_000 + e * 40));
    let date_line = (0..8i32, any::<bool>()).prop_map(|(e, is_east)| {
        let east = e * 160;
        (
            80_000_000,
            if is_east {
                180_000_000 - east
            } else {
                -180_000_000 + east
            },
        )
    });
    let far = (-90_000_000..=90_000_000, -180_000_000..=180_000_000);
    let place = prop_oneof![4 => near, 2 => date_line, 1 => far];
    let ms = prop_oneof![20 => (0..200u64).prop_map(|step| 1_714_470_000_000 + step * 2500), 1 => 0..=MS_MAX];
    let altitude = prop::option::of(prop_oneof![4 => 40_000..60_000i32, 1 => any::<i32>()]);
    (place, ms, altitude).prop_map(|((lat_e6, lng_e6), ms, altitude_cm)| TrailPoint {
        lat_e6,
        lng_e6,
        ms,
        altitude_cm,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_trail_agrees_with_a_list(points in prop::collection::vec(point(), 1..200), points_max in 1..40usize) {
        let mut model = Model::default();
        model.add(points[0], points_max);
        let mut trail = Trail::new(points[0]);
        for point in &points[1..] {
            let would_be_left = trail.leaves_out(point);
            let newest = model.points[model.points.len() - 1].ms;
            let added = trail.add(*point, points_max);
            prop_assert_eq!(added, model.add(*point, points_max));
            prop_assert_eq!(would_be_left, added == Added::Left && point.ms > newest);
            prop_assert_eq!(trail.points().collect::<Vec<_>>(), &model.points[..]);
            prop_assert_eq!(trail.len(), model.points.len());
        }
        let again = Trail::of(model.points.iter().copied(), points_max).expect("some");
        prop_assert_eq!(again.points().collect::<Vec<_>>(), &model.points[..], "as it was read off");
        let shorter = Trail::of(model.points.iter().copied(), 1).expect("some");
        prop_assert_eq!(shorter.points().collect::<Vec<_>>(), &model.points[model.points.len() - 1..]);
    }
}

#[test]
fn a_point_takes_twelve_bytes_with_all_that_is_around_it() {
    const POINTS: usize = 240;
    for altitude_cm in [None, Some(41_234)] {
        let at = |second: i32| TrailPoint {
            // 3 m/s, in a direction that changes.
            lat_e6: 46_950_000 + second * 21 + (second % 7) * 5,
            lng_e6: 7_440_000 - second * 25 + (second % 5) * 7,
            ms: 1_714_470_000_000 + second as u64 * 1000 + second as u64 % 13,
            altitude_cm: altitude_cm.map(|cm| cm + second % 200),
        };
        let mut trail = Trail::new(at(0));
        for second in 1..10_000 {
            trail.add(at(second), POINTS);
        }
        assert_eq!(trail.len(), POINTS);
        let each = trail.bytes() as f64 / POINTS as f64;
        assert!((6.0..12.0).contains(&each), "{each} bytes");
    }
}

/// That what is summed up is there, and under its ceiling; and that nothing is before the first that may
/// have a trail.
pub(super) fn check_trails(hub: &Hub) {
    let trails: Vec<(u32, &Trail)> = (hub.runners.iter())
        .filter_map(|(key, _)| Some((key as u32, hub.trail(RunnerKey(key as u32))?)))
        .collect();
    let points: usize = trails.iter().map(|(_, trail)| trail.len()).sum();
    let bytes: usize = trails.iter().map(|(_, trail)| trail.bytes()).sum();
    assert_eq!((hub.trails.points, hub.trails.bytes), (points, bytes));
    let queue = &hub.heard.queue;
    let mut key = hub.heard.first_with_trail;
    let mut reached = 0;
    while let Some(at) = key {
        let last = hub.last_known(RunnerKey(at)).expect("it was heard");
        assert!(!last.is_trail_past, "{at}");
        reached += usize::from(last.trail.is_some());
        key = queue.after(at);
    }
    assert_eq!(reached, trails.len(), "the others have none");
}

#[derive(Clone, Debug)]
enum Operation {
    /// A user's position so many metres north, made so many seconds ago if that is said.
    Publish(u32, u32, Option<u32>),
    Goodbye(u32),
    Unfollowed,
}

fn operation() -> impl Strategy<Value = Operation> {
    let user = 0..12u32;
    prop_oneof![
        20 => (user.clone(), 0..3000u32, prop::option::of(0..100u32)).prop_map(|(u, m, s)| Operation::Publish(u, m, s)),
        1 => user.prop_map(Operation::Goodbye),
        1 => Just(Operation::Unfollowed),
    ]
}

/// So many metres north of the equator.
fn north(metres: u32, made_at_ms: Option<f64>) -> Fix {
    fix(
        &format!("{:.6}", f64::from(metres) / 111_195.08),
        made_at_ms,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn all_trails_stay_under_their_ceiling_and_the_longest_unheard_lose_theirs_first(
        operations in prop::collection::vec(operation(), 0..300),
        bytes_max in prop_oneof![Just(0), 100..4000usize],
    ) {
        let mut hub = Hub::new(10, Trails::new(20, bytes_max));
        let start = Instant::now();
        // The users who were heard, the longest unheard first.
        let mut heard: Vec<String> = Vec::new();
        for (step, operation) in operations.into_iter().enumerate() {
            let step_ms = step as u64 * 700;
            let now = Now { monotonic: start + Duration::from_millis(step_ms), unix_ms: 1.7e12 + step_ms as f64 };
            match operation {
                Operation::Publish(user, metres, ago_s) => {
                    let user = user.to_string();
                    let runner = hub.runner_or_new(&user);
                    let made_at_ms = ago_s.map(|ago| now.unix_ms - f64::from(ago) * 1000.0);
                    let taken = hub.publish(runner, Written::Quoted, north(metres, made_at_ms), Dialect::Json, now);
                    if taken == Taken::Live {
                        heard.retain(|other| *other != user);
                        heard.push(user);
                    }
                }
                Operation::Goodbye(user) => if let Some(runner) = hub.runner(&user.to_string()) {
                    hub.forget_last_known(runner);
                    heard.retain(|other| *other != user.to_string());
                },
                Operation::Unfollowed => hub.give_back_room(),
            }
            heard.retain(|user| hub.runner(user).is_some());
            check_trails(&hub);
            prop_assert!(hub.trails.bytes <= bytes_max, "{} of {}", hub.trails.bytes, bytes_max);
            let have: Vec<bool> = (heard.iter())
                .map(|user| hub.runner(user).is_some_and(|runner| hub.trail(runner).is_some()))
                .collect();
            prop_assert!(have.is_sorted(), "those who were heard last have one: {:?}", have);
        }
    }
}

/// A hub with a user whose positions are published by seconds from a beginning.
struct Run {
    hub: Hub,
    start: Instant,
}

const START_MS: u64 = 1_714_470_000_000;

impl Run {
    fn new(points_max: usize) -> Run {
        Run {
            hub: Hub::new(10, Trails::new(points_max, usize::MAX)),
            start: Instant::now(),
        }
    }

    fn publish(&mut self, second: u64, fix: Fix) -> Taken {
        let now = Now {
            monotonic: self.start + Duration::from_secs(second),
            unix_ms: (START_MS + second * 1000) as f64,
        };
        let runner = self.hub.runner_or_new("5");
        (self.hub).publish(runner, Written::Bare, fix, Dialect::Json, now)
    }

    fn trail(&self) -> Vec<TrailPoint> {
        let runner = self.hub.runner("5").expect("it published");
        let trail = self.hub.trail(runner);
        trail.map_or(Vec::new(), |trail| trail.points().collect())
    }

    /// The seconds of the trail's points.
    fn seconds(&self) -> Vec<u64> {
        let second = |point: &TrailPoint| (point.ms - START_MS) / 1000;
        self.trail().iter().map(second).collect()
    }
}

#[test]
fn a_time_that_is_missing_or_far_ahead_is_that_at_which_the_point_came() {
    let mut run = Run::new(10);
    let at = |second: f64| START_MS as f64 + second * 1000.0;
    run.publish(0, north(0, None));
    run.publish(10, north(100, Some(at(10.0 + 61.0))));
    run.publish(20, north(200, Some(at(20.0 + 59.0))));
    // In seconds.
    run.publish(100, north(300, Some(at(100.0) / 1000.0)));
    // Of two of the same time the first stays.
    run.publish(101, north(400, Some(at(100.0))));
    assert_eq!(run.seconds(), [0, 10, 79, 100]);
    assert_eq!(run.trail()[3].lat_e6, 2698);
}

#[test]
fn a_late_point_that_comes_again_is_known_and_one_that_was_left_out_is_late() {
    let mut run = Run::new(10);
    let at = |second: u64| Some((START_MS + second * 1000) as f64);
    run.publish(100, north(0, at(100)));
    run.publish(120, north(100, at(120)));
    assert_eq!(run.publish(120, north(50, at(110))), Taken::Late);
    assert_eq!(
        run.publish(120, north(52, at(112))),
        Taken::Late,
        "close to that"
    );
    assert_eq!(run.publish(120, north(300, at(90))), Taken::Late);
    for (second, taken) in [
        (110, Taken::Known),
        (112, Taken::Late),
        (100, Taken::Known),
        (90, Taken::Known),
        (91, Taken::Late),
    ] {
        assert_eq!(run.publish(121, north(52, at(second))), taken, "{second}");
    }
    assert_eq!(run.seconds(), [90, 91, 100, 110, 120]);
}

#[test]
fn what_is_no_place_on_earth_is_on_no_trail() {
    let mut run = Run::new(10);
    let fix = |lat: &'static str| {
        let extra = |field| (field == Extra::Altitude).then_some("431.25");
        Fix::new(Bounds::Finite, Some(lat), Some("7"), extra).expect("numbers")
    };
    assert_eq!(run.publish(0, fix("95")), Taken::Live);
    assert_eq!(run.trail(), []);
    run.publish(1, fix("46"));
    run.publish(2, fix("1e300"));
    let trail = run.trail();
    assert_eq!((trail.len(), trail[0].altitude_cm), (1, Some(43_125)));
    let mut off = Run::new(0);
    off.publish(0, fix("46"));
    assert_eq!(off.trail(), []);
}

#[test]
fn a_trail_is_put_back_as_it_was() {
    let mut run = Run::new(10);
    for second in 0..20 {
        run.publish(second, north(second as u32 * 20, None));
    }
    let trail = run.trail();
    assert_eq!(trail.len(), 10);
    let mut again = Run::new(10);
    again.publish(100, north(0, None));
    let runner = again.hub.runner("5").expect("it published");
    again.hub.restore_trail(runner, trail.iter().copied());
    assert_eq!(again.trail(), trail);
    check_trails(&again.hub);
}
