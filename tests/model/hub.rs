//! The hub against lists that are searched from end to end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use spectate::hub::{Hub, Now};

const CONNECTIONS: u32 = 5;
const USERS: u32 = 6;
const LAST_KNOWN_MAX: usize = 4;

#[derive(Clone, Debug)]
enum Operation {
    Follow(u32, u32),
    Unfollow(u32, u32),
    Declare(u32, u32),
    Leave(u32),
    /// A user's position, with a timestamp so many seconds from now.
    Publish(u32, Option<i32>),
    /// Forget what is older than so many steps.
    Forget(u32),
}

fn operation() -> impl Strategy<Value = Operation> {
    let (connection, user) = (0..CONNECTIONS, 0..USERS);
    prop_oneof![
        6 => (connection.clone(), user.clone()).prop_map(|(c, u)| Operation::Follow(c, u)),
        3 => (connection.clone(), user.clone()).prop_map(|(c, u)| Operation::Unfollow(c, u)),
        1 => (connection.clone(), user.clone()).prop_map(|(c, u)| Operation::Declare(c, u)),
        1 => connection.prop_map(Operation::Leave),
        5 => (user, prop::option::of(-90..90i32)).prop_map(|(u, t)| Operation::Publish(u, t)),
        1 => (0..20u32).prop_map(Operation::Forget),
    ]
}

struct LastKnown {
    message: String,
    received_at: Instant,
    newest_fix_ms: Option<f64>,
}

#[derive(Default)]
struct Model {
    follows: BTreeSet<(u32, String)>,
    declared: BTreeMap<u32, String>,
    last_known: BTreeMap<String, LastKnown>,
}

impl Model {
    fn publish(&mut self, user: &str, message: &str, timestamp_ms: Option<f64>, now: Now) -> bool {
        let fix = timestamp_ms.map(|fix| {
            if fix > now.unix_ms + 60_000.0 {
                now.unix_ms
            } else {
                fix
            }
        });
        let newest = self
            .last_known
            .get(user)
            .and_then(|last| last.newest_fix_ms);
        if matches!((fix, newest), (Some(fix), Some(newest)) if fix < newest) {
            return false;
        }
        let last = LastKnown {
            message: message.to_owned(),
            received_at: now.monotonic,
            newest_fix_ms: fix.or(newest),
        };
        self.last_known.insert(user.to_owned(), last);
        while self.last_known.len() > LAST_KNOWN_MAX {
            let oldest = self
                .last_known
                .iter()
                .min_by_key(|(_, last)| last.received_at);
            let oldest = oldest.expect("more than none").0.clone();
            self.last_known.remove(&oldest);
        }
        true
    }

    fn users(&self) -> BTreeSet<&str> {
        let followed = self.follows.iter().map(|(_, user)| user.as_str());
        let declared = self.declared.values().map(String::as_str);
        followed
            .chain(declared)
            .chain(self.last_known.keys().map(String::as_str))
            .collect()
    }

    /// That the hub agrees, from both of its sides.
    fn check(&self, hub: &Hub, now: Instant) {
        assert_eq!(hub.follows_total(), self.follows.len());
        assert_eq!(hub.runners_total(), self.users().len());
        for connection in 0..CONNECTIONS {
            let followed: Vec<&str> = self
                .follows
                .iter()
                .filter(|(c, _)| *c == connection)
                .map(|(_, user)| user.as_str())
                .collect();
            assert_eq!(hub.following(connection), followed.len());
            assert_eq!(
                hub.declared(connection).map(|runner| hub.id(runner)),
                self.declared.get(&connection).map(String::as_str)
            );
            let slots: BTreeSet<u32> = followed
                .iter()
                .map(|user| hub.slot(connection, user).expect("followed"))
                .collect();
            assert!(
                slots.iter().copied().eq(0..followed.len() as u32),
                "slots are dense: {slots:?}"
            );
        }
        for user in (0..USERS).map(|user| user.to_string()) {
            let followers: BTreeSet<(u32, u32)> =
                hub.runner(&user).map_or(BTreeSet::new(), |runner| {
                    hub.followers(runner)
                        .iter()
                        .map(|follower| (follower.connection, follower.slot))
                        .collect()
                });
            let expected: BTreeSet<(u32, u32)> = (0..CONNECTIONS)
                .filter(|connection| self.follows.contains(&(*connection, user.clone())))
                .map(|connection| (connection, hub.slot(connection, &user).expect("followed")))
                .collect();
            assert_eq!(followers, expected);
            assert_eq!(
                hub.runner(&user).is_some(),
                self.users().contains(user.as_str()),
                "{user} is kept as needed"
            );
            for (connection, slot) in followers {
                let newest = hub
                    .newest(connection, slot, now)
                    .map(|(message, age)| (message.to_vec(), age));
                let expected = self.last_known.get(&user).map(|last| {
                    (
                        last.message.clone().into_bytes(),
                        now.saturating_duration_since(last.received_at),
                    )
                });
                assert_eq!(newest, expected);
            }
        }
    }
}

proptest! {
    #[test]
    fn the_hub_agrees_with_lists(operations in prop::collection::vec(operation(), 0..120)) {
        let mut hub = Hub::new(LAST_KNOWN_MAX);
        let mut model = Model::default();
        let start = Instant::now();
        for (step, operation) in operations.into_iter().enumerate() {
            let monotonic = start + Duration::from_secs(step as u64);
            let now = Now { monotonic, unix_ms: 1.7e12 + step as f64 * 1000.0 };
            match operation {
                Operation::Follow(connection, user) => {
                    let user = user.to_string();
                    let known = model.follows.contains(&(connection, user.clone()));
                    prop_assert_eq!(hub.follow(connection, &user).is_none(), known);
                    model.follows.insert((connection, user));
                }
                Operation::Unfollow(connection, user) => {
                    let user = user.to_string();
                    let known = model.follows.remove(&(connection, user.clone()));
                    prop_assert_eq!(hub.unfollow(connection, &user).is_some(), known);
                }
                Operation::Declare(connection, user) => {
                    let user = user.to_string();
                    let bound = model.declared.entry(connection).or_insert_with(|| user.clone());
                    prop_assert_eq!(hub.declare(connection, &user), *bound == user);
                }
                Operation::Leave(connection) => {
                    hub.leave(connection);
                    model.follows.retain(|(other, _)| *other != connection);
                    model.declared.remove(&connection);
                }
                Operation::Publish(user, offset_s) => {
                    let (user, message) = (user.to_string(), format!("{user} at {step}"));
                    let timestamp_ms = offset_s.map(|offset| now.unix_ms + f64::from(offset) * 1000.0);
                    let runner = hub.runner_or_new(&user);
                    let taken = hub.publish(runner, message.as_bytes(), timestamp_ms, now);
                    prop_assert_eq!(taken, model.publish(&user, &message, timestamp_ms, now));
                }
                Operation::Forget(steps) => {
                    if let Some(time) = monotonic.checked_sub(Duration::from_secs(u64::from(steps))) {
                        prop_assert!(!hub.forget_before(time, 100));
                        model.last_known.retain(|_, last| last.received_at >= time);
                    }
                }
            }
            model.check(&hub, monotonic);
        }
        for connection in 0..CONNECTIONS {
            hub.leave(connection);
        }
        while hub.forget_before(start + Duration::from_secs(1_000_000), 1) {}
        prop_assert_eq!((hub.follows_total(), hub.runners_total()), (0, 0), "nothing stays behind");
    }
}

#[test]
fn heavy_last_known_positions_crowd_out_the_oldest() {
    let mut hub = Hub::new(4);
    let now = Now {
        monotonic: Instant::now(),
        unix_ms: 0.0,
    };
    for user in ["1", "2", "3"] {
        hub.follow(0, user);
        let runner = hub.runner_or_new(user);
        assert!(hub.publish(runner, &[b'x'; 400], None, now));
    }
    // Four of them may weigh 4 × 256 bytes together.
    let known: Vec<bool> = (0..3)
        .map(|slot| hub.newest(0, slot, now.monotonic).is_some())
        .collect();
    assert_eq!(known, [false, true, true]);
}

#[test]
fn a_crowd_leaving_one_runner_costs_each_of_them_the_same() {
    // A hub that searched the runner's followers would need 10^10 steps for this.
    const FOLLOWERS: u32 = 100_000;
    let mut hub = Hub::new(1);
    for connection in 0..FOLLOWERS {
        hub.follow(connection, "runner");
    }
    for connection in 0..FOLLOWERS {
        hub.leave(connection);
    }
    assert_eq!(hub.runners_total(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]
    #[test]
    fn many_follows_are_found_as_few_are(changes in prop::collection::vec((prop::bool::weighted(0.6), 0..200u32), 0..600)) {
        let mut hub = Hub::new(1);
        let mut followed = BTreeSet::new();
        for (follow, user) in changes {
            let name = user.to_string();
            if follow {
                prop_assert_eq!(hub.follow(0, &name).is_some(), followed.insert(user));
            } else {
                prop_assert_eq!(hub.unfollow(0, &name).is_some(), followed.remove(&user));
            }
            let slots: BTreeSet<u32> = followed.iter().filter_map(|user| hub.slot(0, &user.to_string())).collect();
            prop_assert!(slots.into_iter().eq(0..followed.len() as u32), "slots are dense");
            prop_assert_eq!(hub.slot(0, &name).is_some(), follow);
        }
        hub.leave(0);
        prop_assert_eq!(hub.runners_total(), 0);
    }
}
