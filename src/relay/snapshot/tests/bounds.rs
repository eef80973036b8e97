//! What is too old, too much or beyond its bounds by now does not come back.

use std::time::Duration;

use super::super::Restoring;
use super::{HOUR, later, now, publish, restored, rules, taken, trail_of};
use crate::fix::Bounds;
use crate::relay::model::fix;
use crate::relay::{Now, Relay, Rules};

#[test]
fn what_is_too_old_or_too_much_does_not_come_back() {
    let (mut relay, start) = (Relay::new(rules()), now());
    for minute in 0..10u32 {
        let time = later(start, minute * Duration::from_secs(60));
        publish(&mut relay, &minute.to_string(), fix("1", None), time);
    }
    let end = later(start, Duration::from_secs(9 * 60));
    let bytes = taken(&relay, end);
    let users = |rules: Rules, now: Now| -> Vec<String> {
        let relay = restored(&bytes, rules, now).expect("whole");
        let known = relay.everybody_known();
        known
            .map(|runner| relay.hub.id(runner).to_owned())
            .collect()
    };
    let few = Rules {
        last_known_max: 3,
        ..rules()
    };
    assert_eq!(users(few, end), ["7", "8", "9"], "the newest");
    let short = Rules {
        forget_after: Duration::from_secs(150),
        ..rules()
    };
    assert_eq!(users(short, end), ["7", "8", "9"]);
    assert_eq!(users(rules(), later(end, 7 * HOUR)), [""; 0]);
}

#[test]
fn where_there_is_less_room_for_trails_the_longest_unheard_have_none() {
    let (mut relay, start) = (Relay::new(rules()), now());
    for number in 0..30u32 {
        let time = later(start, number * Duration::from_secs(60));
        let fix = fix(&format!("{number}"), None);
        publish(&mut relay, &(number % 3).to_string(), fix, time);
    }
    let end = later(start, Duration::from_secs(1800));
    let bytes = taken(&relay, end);
    let trails = |trail_bytes_max: usize| {
        let rules = Rules {
            trail_bytes_max,
            ..rules()
        };
        let relay = restored(&bytes, rules, end).expect("whole");
        ["0", "1", "2"].map(|user| {
            let runner = relay.hub.runner(user).expect("known");
            trail_of(&relay, runner).len()
        })
    };
    let all = relay.hub.trails.bytes;
    assert_eq!(trails(all), [10, 10, 10]);
    assert_eq!(trails(all - 1), [0, 10, 10]);
    assert_eq!(trails(all / 2), [0, 0, 10]);
    assert_eq!(trails(0), [0, 0, 0]);
}

#[test]
fn what_lies_beyond_the_bounds_does_not_come_back() {
    let (mut relay, time) = (Relay::new(rules()), now());
    publish(&mut relay, "5", fix("95", None), time);
    publish(&mut relay, "6", fix("85", None), time);
    let bytes = taken(&relay, time);
    let mut restoring = Restoring::new(rules(), Bounds::Wgs84, time);
    restoring.take(&bytes).expect("whole");
    let relay = restoring.finish().expect("whole");
    assert_eq!(relay.known_total(), 1);
    assert!(relay.hub.runner("6").is_some());
}
