//! What is taken of a relay is what comes back, and of other bytes nothing does.

mod bounds;
mod faults;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{Fault, Restoring, SLICE_BYTES_MAX, Snapshot};
use crate::dialect::Dialect;
use crate::fix::{Bounds, Extra, Fix};
use crate::point::TrailPoint;
use crate::relay::model::fix;
use crate::relay::names::NamedBy;
use crate::relay::{Now, Relay, Rules, RunnerKey};
use crate::user::{Freshness, Spelling, Written};

const HOUR: Duration = Duration::from_secs(3600);

fn rules() -> Rules {
    Rules {
        needs_grant: false,
        follows_all: true,
        follows_max: 10,
        follows_total_max: 10,
        rate_max: None,
        last_known_max: 100_000,
        trail_points_max: 10,
        trail_bytes_max: 1 << 20,
        stale_after: Duration::from_secs(60),
        forget_after: 6 * HOUR,
    }
}

fn now() -> Now {
    Now {
        monotonic: Instant::now() + 10 * HOUR,
        unix_ms: 1.7e12,
    }
}

/// So much later, by both clocks.
fn later(now: Now, passed: Duration) -> Now {
    Now {
        monotonic: now.monotonic + passed,
        unix_ms: now.unix_ms + passed.as_secs_f64() * 1000.0,
    }
}

fn taken(relay: &Relay, now: Now) -> Vec<u8> {
    let (mut snapshot, mut slice, mut bytes) = (Snapshot::new(relay), Vec::new(), Vec::new());
    loop {
        let is_last = snapshot.slice(relay, now, &mut slice);
        bytes.extend(&slice);
        if is_last {
            return bytes;
        }
    }
}

fn restored(bytes: &[u8], rules: Rules, now: Now) -> Result<Relay, Fault> {
    let mut restoring = Restoring::new(rules, Bounds::Finite, now);
    restoring.take(bytes)?;
    restoring.finish()
}

fn publish(relay: &mut Relay, user: &str, fix: Fix, now: Now) {
    let runner = relay.hub.runner_or_new(user);
    let written = Written::as_string(user);
    (relay.hub).publish(runner, written, fix, Dialect::WebSocket, now);
}

fn trail_of(relay: &Relay, runner: RunnerKey) -> Vec<TrailPoint> {
    let trail = relay.hub.trail(runner);
    trail.map_or(Vec::new(), |trail| trail.points().collect())
}

/// All that is known of everybody, and how long ago it came, in milliseconds.
fn known(relay: &Relay, now: Instant) -> BTreeMap<String, String> {
    let all = relay.everybody_known().map(|runner| {
        let last = relay.hub.last_known(runner).expect("known");
        let names = relay.hub.runners[runner.0 as usize].names.as_deref();
        let said = names.map(|it| [NamedBy::Token, NamedBy::Hello].map(|by| it.said_by(by)));
        let facts = format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {} {:?}",
            last.fix,
            last.written,
            last.dialect,
            last.clock.newest_ms(),
            said.filter(|said| *said != [None, None]),
            relay.freshness(runner),
            last.age(now).as_millis(),
            trail_of(relay, runner)
        );
        (relay.hub.id(runner).to_owned(), facts)
    });
    all.collect()
}

/// One user, as somebody may have sent it.
#[derive(Clone, Debug)]
struct Said {
    user: String,
    written: Written,
    digits: Vec<Option<String>>,
    dialect: Dialect,
    names: [Option<String>; 2],
    is_followed: bool,
    /// How far north it was before, in hundredths of a degree, a minute apart.
    came_from: Vec<u8>,
}

fn said() -> impl Strategy<Value = Said> {
    let written = prop_oneof![
        "[a-z\"\\\\ä😀]{1,9}".prop_map(|user| (Written::as_string(&user), user)),
        (0..10_000u32).prop_map(|user| (Written::Bare, user.to_string())),
        ("[a-z]{1,8}").prop_map(|user| (
            Written::Escaped(format!("\"\\u0078{user}\"").into()),
            format!("x{user}")
        )),
    ];
    let digits = prop::collection::vec(
        prop::option::of("0|0\\.[0-9]{1,30}|1"),
        2 + Extra::ALL.len(),
    );
    let name = || prop::option::of("[A-Zä ]{1,20}");
    let came_from = prop::collection::vec(any::<u8>(), 0..15);
    (
        written,
        digits,
        0..Dialect::ALL.len(),
        [name(), name()],
        any::<bool>(),
        came_from,
    )
        .prop_map(
            |((written, user), digits, dialect, names, is_followed, came_from)| Said {
                user,
                written,
                digits,
                dialect: Dialect::ALL[dialect],
                names,
                is_followed,
                came_from,
            },
        )
}

fn time_before_ms(now: Now, minutes: usize) -> f64 {
    now.unix_ms - minutes as f64 * 60_000.0
}

fn say(relay: &mut Relay, said: &Said, now: Now) {
    for (minute, north) in said.came_from.iter().enumerate() {
        let made_at_ms = time_before_ms(now, said.came_from.len() - minute);
        let lat = format!("{}", f64::from(*north) / 100.0);
        publish(relay, &said.user, fix(&lat, Some(made_at_ms)), now);
    }
    let runner = relay.hub.runner_or_new(&said.user);
    let digits = |at: usize| said.digits[at].as_deref();
    let fix = Fix::new(
        Bounds::Finite,
        digits(0).or(Some("1.50")),
        digits(1).or(Some("-2")),
        |extra| digits(2 + extra as usize),
    );
    let (written, fix) = (said.written.clone(), fix.expect("numbers"));
    (relay.hub).publish(runner, written, fix, said.dialect, now);
    for (by, name) in [NamedBy::Token, NamedBy::Hello]
        .into_iter()
        .zip(&said.names)
    {
        if let Some(name) = name {
            relay.hub.set_name(runner, by, Some(name));
        }
    }
    if said.is_followed {
        let member = relay.hub.join();
        relay.hub.follow(member, "somebody else", Spelling::String);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_was_taken_comes_back_with_its_age_and_goes_on_ageing(
        all in prop::collection::vec((said(), 0..100_000u64), 0..40),
        stopped_ms in 0..100_000u64,
        piece in 1..200usize,
    ) {
        let (mut relay, mut time) = (Relay::new(rules()), now());
        for (said, pause_ms) in &all {
            time = later(time, Duration::from_millis(*pause_ms));
            say(&mut relay, said, time);
        }
        let bytes = taken(&relay, time);
        // On another machine, whose own clock began elsewhere.
        let then = Now { monotonic: time.monotonic - HOUR, ..later(time, Duration::from_millis(stopped_ms)) };
        let mut restoring = Restoring::new(rules(), Bounds::Finite, then);
        for piece in bytes.chunks(piece) {
            prop_assert_eq!(restoring.take(piece), Ok(()));
        }
        let mut restored = restoring.finish().expect("whole");
        let expected_at = later(time, Duration::from_millis(stopped_ms));
        relay.advance(expected_at.monotonic);
        restored.advance(then.monotonic);
        prop_assert_eq!(known(&restored, then.monotonic), known(&relay, expected_at.monotonic));
        let counted = |relay: &Relay| relay.runners_by_freshness().map(|(_, count)| count)[..2].to_vec();
        prop_assert_eq!(counted(&restored), counted(&relay));
        restored.advance(then.monotonic + 7 * HOUR);
        prop_assert_eq!((restored.known_total(), restored.runners_total()), (0, 0), "all is forgotten in time");
    }
}

/// A small relay with all that there can be.
fn small() -> (Relay, Now) {
    let (mut relay, time) = (Relay::new(rules()), now());
    for (user, written) in [
        ("5", Written::Bare),
        ("Anna", Written::Quoted),
        ("x", Written::Escaped("\"\\u0078\"".into())),
    ] {
        let said = Said {
            user: user.to_owned(),
            written,
            digits: vec![Some("0.50".to_owned()); 2 + Extra::ALL.len()],
            dialect: Dialect::Overland,
            names: [Some("Anna Berg".to_owned()), Some("Anna".to_owned())],
            is_followed: false,
            came_from: vec![10, 20, 5, 5, 130],
        };
        say(&mut relay, &said, time);
    }
    (relay, time)
}

#[test]
fn a_clock_that_was_set_back_makes_no_age_negative() {
    let (relay, time) = small();
    let bytes = taken(&relay, time);
    let before = Now {
        unix_ms: time.unix_ms - 1e9,
        ..time
    };
    let relay = restored(&bytes, rules(), before).expect("whole");
    for runner in relay.everybody_known() {
        let known = relay.known(runner, before.monotonic).expect("known");
        assert_eq!(known.age, Duration::ZERO);
        assert_eq!(relay.freshness(runner), Freshness::Live);
    }
    assert_eq!(relay.known_total(), 3);
}

#[test]
fn a_fix_that_was_late_before_a_restart_is_late_after_it() {
    let (mut relay, time) = (Relay::new(rules()), now());
    publish(&mut relay, "5", fix("1", Some(time.unix_ms)), time);
    let mut relay = restored(&taken(&relay, time), rules(), time).expect("whole");
    publish(&mut relay, "5", fix("2", Some(time.unix_ms - 1000.0)), time);
    let lat = |relay: &Relay| {
        let runner = relay.hub.runner("5").expect("known");
        relay.hub.last_known(runner).expect("known").fix.lat()
    };
    assert_eq!(lat(&relay), 1.0);
    publish(&mut relay, "5", fix("3", Some(time.unix_ms + 1000.0)), time);
    assert_eq!(lat(&relay), 3.0);
}

#[test]
fn what_changes_a_snapshot_is_another_revision_and_nothing_else_is() {
    let (mut relay, time) = (Relay::new(rules()), now());
    let mut before = taken(&relay, time);
    let mut revision = relay.revision();
    let mut check = |relay: &Relay, what: &str| {
        let after = taken(relay, time);
        let is_other = after != before;
        assert_eq!(relay.revision() != revision, is_other, "{what}");
        (before, revision) = (after, relay.revision());
        is_other
    };
    publish(&mut relay, "5", fix("1", Some(time.unix_ms)), time);
    assert!(check(&relay, "a position"));
    publish(&mut relay, "5", fix("2", Some(time.unix_ms - 1.0)), time);
    assert!(check(&relay, "a late one, on the trail"));
    publish(&mut relay, "5", fix("2", Some(time.unix_ms - 1.0)), time);
    assert!(!check(&relay, "the same again"));
    let five = relay.hub.runner("5").expect("known");
    for by in [NamedBy::Token, NamedBy::Hello] {
        relay.hub.set_name(five, by, Some("Anna"));
        assert!(check(&relay, "a name"));
    }
    let member = relay.hub.join();
    relay.hub.follow(member, "5", Spelling::String);
    assert!(!check(&relay, "a follow"));
    relay.hub.stale_before(time.monotonic + HOUR, 10);
    assert!(!check(&relay, "a state"));
    relay.hub.forget_last_known(five);
    assert!(check(&relay, "a goodbye"));
}

#[test]
fn a_crowd_is_taken_in_slices_while_it_moves() {
    const RUNNERS: u32 = 20_000;
    let (mut relay, time) = (Relay::new(rules()), now());
    for user in 0..RUNNERS {
        publish(&mut relay, &user.to_string(), fix("1", None), time);
    }
    let (mut snapshot, mut slice, mut bytes) = (Snapshot::new(&relay), Vec::new(), Vec::new());
    let mut slices = 0;
    loop {
        let is_last = snapshot.slice(&relay, time, &mut slice);
        assert!(slice.len() < SLICE_BYTES_MAX, "{}", slice.len());
        bytes.extend(&slice);
        slices += 1;
        if is_last {
            break;
        }
        // The first of them comes back under a number that is still to come, and one more comes.
        let first = relay.hub.runner("0").expect("known");
        relay.hub.forget_last_known(first);
        publish(&mut relay, &format!("new {slices}"), fix("2", None), time);
        publish(&mut relay, "0", fix(&format!("3.{slices}"), None), time);
        publish(&mut relay, "19999", fix("2", None), time);
    }
    assert!(slices > 3, "{slices}");
    let relay = restored(&bytes, rules(), time).expect("whole");
    let lat = |user: &str| {
        let runner = relay.hub.runner(user)?;
        Some(relay.hub.last_known(runner)?.fix.lat())
    };
    for user in 1..RUNNERS - 1 {
        assert_eq!(lat(&user.to_string()), Some(1.0), "{user}");
    }
    assert_eq!(lat("19999"), Some(2.0));
}

#[test]
fn a_runner_that_is_there_twice_is_where_it_was_heard_last() {
    let time = now();
    let mut relay = Relay::new(rules());
    publish(&mut relay, "5", fix("1", None), time);
    publish(
        &mut relay,
        "6",
        fix("1", None),
        later(time, Duration::from_secs(1)),
    );
    let newer = later(time, Duration::from_secs(2));
    let (mut snapshot, mut slice) = (Snapshot::new(&relay), Vec::new());
    snapshot.slice(&relay, newer, &mut slice);
    let record = |bytes: &[u8], at: usize| {
        let length: [u8; 4] = bytes[at..at + 4].try_into().expect("four");
        at..at + 4 + u32::from_le_bytes(length) as usize
    };
    let head = b"spectate state 1\n".len();
    let five = record(&slice, head);
    let six = record(&slice, five.end);
    publish(&mut relay, "5", fix("2", None), newer);
    let later_slice = taken(&relay, newer);
    let newer_five = record(&later_slice, head);
    for order in [
        [&slice[five.clone()], &later_slice[newer_five.clone()]],
        [&later_slice[newer_five], &slice[five]],
    ] {
        let mut bytes = [
            &slice[..head],
            order[0],
            &slice[six.clone()],
            order[1],
            &[0; 4],
            &3u64.to_le_bytes(),
        ]
        .concat();
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        let relay = restored(&bytes, rules(), newer).expect("whole");
        let runner = relay.hub.runner("5").expect("known");
        assert_eq!(relay.hub.last_known(runner).expect("known").fix.lat(), 2.0);
        let order: Vec<&str> = relay.everybody_known().map(|it| relay.hub.id(it)).collect();
        assert_eq!((order, relay.known_total()), (vec!["6", "5"], 2));
    }
}
