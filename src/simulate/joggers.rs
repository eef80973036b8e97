//! People who run round a lake, as a function of time: each at a pace and on a line of their own.
//! One stops now and then, and one is without a signal now and then. Pure.

use std::f64::consts::TAU;

use super::course::METRES_PER_DEGREE;
use super::course::motion::whole_degrees;
use super::lake::{self, Lake};

/// The slowest and the fastest pace, in metres a second, before it varies.
const PACE_MIN: f64 = 2.4;
const PACE_MAX: f64 = 4.1;
/// How much a pace varies, as a part of it, and in how many seconds.
const PACE_VARIES: f64 = 0.08;
const PACE_VARIES_S: f64 = 47.0;

/// Every so many-th goes round the other way.
const OTHER_WAY: usize = 8;

/// Of every so many seconds, who stops runs up to the first of these and from the second on.
const STOPS_EVERY_S: f64 = 300.0;
const STANDS_S: (f64, f64) = (40.0, 100.0);
/// Who stops, counted from 1.
pub(crate) const STOPS: usize = 7;

/// Of every so many seconds, who loses the signal is heard up to the first of these and from the
/// second on. In between they turn stale, by a server's usual 60 s.
const LOSES_SIGNAL_EVERY_S: f64 = 420.0;
const UNHEARD_S: (f64, f64) = (75.0, 225.0);
/// Who loses the signal, counted from 1.
pub(crate) const LOSES_SIGNAL: usize = 13;

/// How far from the middle of the track somebody runs, in metres.
const SIDE_M_MAX: f64 = 2.0;

/// How long a full battery lasts, in seconds.
const BATTERY_S: f64 = 36_000.0;

/// The runners.
#[derive(Debug)]
pub(crate) struct Joggers {
    lake: Lake,
}

/// How somebody runs at one moment.
struct Stride {
    /// Metres from the beginning on.
    ran_m: f64,
    /// Metres a second; `None` while they stand.
    speed: Option<f64>,
}

/// Where somebody is at one moment.
struct Spot {
    lat: f64,
    lng: f64,
    /// Degrees clockwise from north.
    heading: f64,
}

impl Joggers {
    /// Who run round this lake.
    pub(crate) fn new(lake: Lake) -> Joggers {
        Joggers { lake }
    }

    /// The message with which a runner, counted from 1, says under this id where they are so many
    /// seconds after the beginning, which was at that unix time; `None` while they have no signal.
    pub(crate) fn text(
        &self,
        runner: usize,
        id: usize,
        time_s: f64,
        begun_at_ms: u64,
    ) -> Option<String> {
        let in_cycle_s = time_s % LOSES_SIGNAL_EVERY_S;
        if runner == LOSES_SIGNAL && (UNHEARD_S.0..UNHEARD_S.1).contains(&in_cycle_s) {
            return None;
        }
        let stride = stride(runner, time_s);
        let Spot { lat, lng, heading } = self.spot(runner, time_s, stride.ran_m);
        let accuracy = 6.0 + 3.0 * oscillation(runner, time_s, 190.0);
        let altitude = lake::ALTITUDE_M + 0.4 * oscillation(runner, time_s, 150.0);
        let battery = (0.5 + 0.5 * spread(runner, 13) - time_s / BATTERY_S).max(0.03);
        let timestamp = begun_at_ms + (time_s * 1000.0).round() as u64;
        let moves = match stride.speed {
            Some(speed) => format!(r#""heading":{},"speed":{speed:.2}"#, whole_degrees(heading)),
            None => r#""speed":0"#.to_owned(),
        };
        Some(format!(
            r#"{{"userId":{id},"lat":{lat:.6},"lng":{lng:.6},"accuracy":{accuracy:.1},"altitude":{altitude:.1},{moves},"timestamp":{timestamp},"battery":{battery:.2}}}"#
        ))
    }

    /// Where they are after so many metres: on a line of their own on a track some 5 m wide, as a
    /// receiver sees it.
    fn spot(&self, runner: usize, time_s: f64, ran_m: f64) -> Spot {
        let goes_other_way = runner.is_multiple_of(OTHER_WAY);
        let (along_m, turned) = match goes_other_way {
            true => (-ran_m, 180.0),
            false => (ran_m, 0.0),
        };
        let begin_m = self.lake.lap_m() * spread(runner, 11);
        let place = self.lake.place(begin_m + along_m);
        let heading = (place.heading.unwrap_or_default() + turned).rem_euclid(360.0);
        let (east, north) = heading.to_radians().sin_cos();
        let side_m = SIDE_M_MAX * (2.0 * spread(runner, 5) - 1.0);
        let drift_m = |period_s| oscillation(runner, time_s, period_s);
        let north_m = -side_m * east + drift_m(83.0) + 0.5 * drift_m(31.0);
        let east_m = side_m * north + drift_m(71.0) + 0.5 * drift_m(37.0);
        Spot {
            lat: place.lat + north_m / METRES_PER_DEGREE,
            lng: place.lng + east_m / METRES_PER_DEGREE / place.lat.to_radians().cos(),
            heading,
        }
    }
}

/// How far a runner has come, at a pace that varies a little around their own. The speed is the
/// way's derivative.
fn stride(runner: usize, time_s: f64) -> Stride {
    let (run_s, runs) = match runner {
        STOPS => run(time_s),
        _ => (time_s, true),
    };
    let pace = PACE_MIN + (PACE_MAX - PACE_MIN) * spread(runner, 7);
    let sway = TAU * run_s / PACE_VARIES_S + phase(runner);
    let speed = pace * (1.0 + PACE_VARIES * sway.cos());
    Stride {
        ran_m: pace * (run_s + PACE_VARIES * PACE_VARIES_S / TAU * sway.sin()),
        speed: runs.then_some(speed),
    }
}

/// What comes and goes in so many seconds, from -1 to 1.
fn oscillation(runner: usize, time_s: f64, period_s: f64) -> f64 {
    (TAU * time_s / period_s + 2.0 * phase(runner)).sin()
}

/// Where in their cycles a runner begins, so that no two are in step.
fn phase(runner: usize) -> f64 {
    TAU * spread(runner, 3)
}

/// How long who stops has run by then, and whether they do.
fn run(time_s: f64) -> (f64, bool) {
    let (stops_s, goes_on_s) = STANDS_S;
    let in_cycle_s = time_s % STOPS_EVERY_S;
    let stood_s = (in_cycle_s - stops_s).clamp(0.0, goes_on_s - stops_s);
    let cycles = (time_s / STOPS_EVERY_S).floor();
    let ran_s = time_s - stood_s - cycles * (goes_on_s - stops_s);
    (ran_s, !(stops_s..goes_on_s).contains(&in_cycle_s))
}

/// A number from 0 up to 1 that is far from those of the runners before and after, and another
/// for each purpose: multiples of the golden ratio never cluster.
fn spread(runner: usize, purpose: u32) -> f64 {
    (runner as f64 * f64::from(purpose) * 0.618_033_988_749_894_8).fract()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const RUNNERS: usize = 25;
    const BEGUN_AT_MS: u64 = 1_795_262_400_000;

    fn fix(runner: usize, time_s: f64) -> Option<Value> {
        let text = Joggers::new(Lake::central_park()).text(runner, runner, time_s, BEGUN_AT_MS)?;
        Some(serde_json::from_str(&text).expect("JSON"))
    }

    fn number(fix: &Value, field: &str) -> f64 {
        fix[field]
            .as_f64()
            .unwrap_or_else(|| panic!("{field} of {fix}"))
    }

    fn distance_m(from: &Value, to: &Value) -> f64 {
        let north = number(to, "lat") - number(from, "lat");
        let east = (number(to, "lng") - number(from, "lng")) * number(to, "lat").to_radians().cos();
        north.hypot(east) * METRES_PER_DEGREE
    }

    #[test]
    fn everybody_is_where_their_speed_and_heading_took_them() {
        for runner in 1..=RUNNERS {
            let mut before: Option<Value> = None;
            for second in 0..1200 {
                let now = fix(runner, f64::from(second));
                if let (Some(before), Some(now)) = (&before, &now) {
                    let (step_m, speed) = (distance_m(before, now), number(now, "speed"));
                    let earlier = number(before, "speed");
                    let between = earlier.min(speed) - 1.0..earlier.max(speed) + 1.0;
                    assert!(between.contains(&step_m), "{step_m} m: {before} {now}");
                    assert!(speed == 0.0 || (2.2..=4.5).contains(&speed), "{now}");
                    assert_eq!(speed == 0.0, now["heading"].is_null());
                    assert!((1.0..=20.0).contains(&number(now, "accuracy")));
                    assert!((0.0..=1.0).contains(&number(now, "battery")));
                }
                before = now;
            }
        }
        let (from, to) = (fix(2, 500.0), fix(2, 503.0));
        let (from, to) = (from.expect("heard"), to.expect("heard"));
        let north = number(&to, "lat") - number(&from, "lat");
        let east = (number(&to, "lng") - number(&from, "lng")) * 0.757;
        let turned = (east.atan2(north).to_degrees() - number(&from, "heading")).rem_euclid(360.0);
        assert!(!(40.0..320.0).contains(&turned), "{turned}");
    }

    #[test]
    fn paces_and_places_differ() {
        let mut paces: Vec<f64> = (1..=RUNNERS)
            .map(|runner| {
                let (from, to) = (fix(runner, 0.0), fix(runner, 47.0));
                let chord = distance_m(&from.expect("heard"), &to.expect("heard"));
                chord.round()
            })
            .collect();
        paces.sort_by(f64::total_cmp);
        paces.dedup();
        assert!(paces.len() > RUNNERS / 2, "{paces:?}");
        for runner in 1..RUNNERS {
            for other in runner + 1..=RUNNERS {
                let (one, two) = (fix(runner, 0.0), fix(other, 0.0));
                assert!(distance_m(&one.expect("heard"), &two.expect("heard")) > 2.0);
            }
        }
    }

    #[test]
    fn one_stops_and_goes_on_and_another_falls_silent_and_comes_back() {
        let stands =
            |second: u32| number(&fix(STOPS, second.into()).expect("heard"), "speed") == 0.0;
        assert!(!stands(39) && stands(40) && stands(99) && !stands(100) && stands(350));
        let heard = |second: u32| fix(LOSES_SIGNAL, second.into()).is_some();
        assert!(heard(74) && !heard(75) && !heard(224) && heard(225) && heard(494) && !heard(495));
        let others = (1..=RUNNERS).filter(|runner| ![STOPS, LOSES_SIGNAL].contains(runner));
        for runner in others {
            assert!((0..500).all(|second| fix(runner, second.into()).is_some()));
        }
    }

    #[test]
    fn timestamps_are_those_of_the_fixes() {
        let fix = fix(1, 2.04).expect("heard");
        assert_eq!(fix["timestamp"], BEGUN_AT_MS + 2040);
        assert_eq!(fix["userId"], 1);
    }
}
