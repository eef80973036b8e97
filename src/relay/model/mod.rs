//! The hub against lists that are searched from end to end.

mod check;
mod lists;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use self::lists::Model;
use super::Now;
use super::hub::Hub;
use super::keys::MemberKey;
use super::names::NamedBy;
use super::trail_model::check_trails;
use super::trails::{Taken, Trails};
use crate::dialect::Dialect;
use crate::fix::{Bounds, Extra, Fix};
use crate::user::{Freshness, Spelling, Written};

const MEMBERS: u32 = 5;
const USERS: u32 = 6;
const LAST_KNOWN_MAX: usize = 4;

/// There is room for most of the trails, and not for all.
const TRAIL_POINTS_MAX: usize = 4;
const TRAIL_BYTES_MAX: usize = 500;

/// Few, so that one that outranks another is often the same.
const NAMES: Range<u32> = 0..2;

/// A fix that can be told from others by its latitude.
pub(super) fn fix(lat: &str, timestamp_ms: Option<f64>) -> Fix {
    let timestamp = timestamp_ms.map(|ms| format!("{ms}"));
    let fix = Fix::new(Bounds::Finite, Some(lat), Some("0"), |extra| match extra {
        Extra::Timestamp => timestamp.as_deref(),
        _ => None,
    });
    fix.expect("numbers")
}

/// All members, as the hub knows them.
fn everybody(hub: &mut Hub) -> Vec<MemberKey> {
    (0..MEMBERS).map(|_| hub.join()).collect()
}

#[derive(Clone, Debug)]
enum Operation {
    Follow(u32, u32, Spelling),
    Unfollow(u32, u32),
    FollowEveryone(u32),
    UnfollowEveryone(u32),
    /// Cover those again who were left out.
    TakeBack(u32),
    Declare(u32, u32),
    Leave(u32),
    /// A user's position, with a timestamp so many seconds from now.
    Publish(u32, Option<i32>),
    /// Forget what is older than so many steps.
    Forget(u32),
    /// What is older than so many steps is stale.
    Stale(u32),
    AskPresence(u32, bool),
    AskAudience(u32, bool),
    /// What the user of a member calls itself, by one of few names.
    Hello(u32, u32),
    /// What a token calls a user, at a moment at which it is kept.
    Token(u32, u32),
    /// Another roster: of each user on it a name, and perhaps a colour.
    Roster(Vec<(u32, u32, bool)>),
    /// The user of a member leaves.
    Goodbye(u32),
}

fn operation() -> impl Strategy<Value = Operation> {
    let (connection, user) = (0..MEMBERS, 0..USERS);
    let entries = prop::collection::btree_map(user.clone(), (NAMES, any::<bool>()), 0..3);
    let roster = entries.prop_map(|entries| entries.into_iter().map(|(u, (n, c))| (u, n, c)));
    let spelling = prop_oneof![Just(Spelling::Integer), Just(Spelling::String)];
    prop_oneof![
        6 => (connection.clone(), user.clone(), spelling).prop_map(|(c, u, s)| Operation::Follow(c, u, s)),
        3 => (connection.clone(), user.clone()).prop_map(|(c, u)| Operation::Unfollow(c, u)),
        1 => connection.clone().prop_map(Operation::FollowEveryone),
        1 => connection.clone().prop_map(Operation::UnfollowEveryone),
        1 => connection.clone().prop_map(Operation::TakeBack),
        1 => (connection.clone(), user.clone()).prop_map(|(c, u)| Operation::Declare(c, u)),
        1 => connection.clone().prop_map(Operation::Leave),
        2 => (connection.clone(), prop::bool::weighted(0.7)).prop_map(|(c, on)| Operation::AskPresence(c, on)),
        2 => (connection.clone(), prop::bool::weighted(0.7)).prop_map(|(c, on)| Operation::AskAudience(c, on)),
        2 => (connection.clone(), NAMES).prop_map(|(c, n)| Operation::Hello(c, n)),
        1 => (user.clone(), NAMES).prop_map(|(u, n)| Operation::Token(u, n)),
        1 => roster.prop_map(|entries| Operation::Roster(entries.collect())),
        1 => connection.prop_map(Operation::Goodbye),
        5 => (user, prop::option::of(-90..90i32)).prop_map(|(u, t)| Operation::Publish(u, t)),
        1 => (0..20u32).prop_map(Operation::Forget),
        2 => (0..10u32).prop_map(Operation::Stale),
    ]
}

proptest! {
    // The input is printed; a file of it is nobody's here.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_hub_agrees_with_lists(operations in prop::collection::vec((operation(), any::<bool>()), 0..120)) {
        let mut hub = Hub::new(LAST_KNOWN_MAX, Trails::new(TRAIL_POINTS_MAX, TRAIL_BYTES_MAX));
        assert!(everybody(&mut hub).into_iter().eq((0..MEMBERS).map(MemberKey)));
        let mut model = Model::default();
        let start = Instant::now();
        for (step, (operation, is_flushed)) in operations.into_iter().enumerate() {
            let monotonic = start + Duration::from_millis(400 * step as u64);
            let now = Now { monotonic, unix_ms: 1.7e12 + step as f64 * 400.0 };
            let before = model.presence();
            match operation {
                Operation::Follow(connection, user, spelling) => {
                    let user = user.to_string();
                    let known = model.follows.contains_key(&(connection, user.clone()));
                    prop_assert_eq!(hub.follow(MemberKey(connection), &user, spelling).is_none(), known);
                    model.follow(connection, &user, spelling);
                }
                Operation::Unfollow(connection, user) => {
                    let user = user.to_string();
                    let known = model.follows.remove(&(connection, user.clone()));
                    let is_covered = known.is_none() && model.covers(connection, &user);
                    prop_assert_eq!(hub.covers(MemberKey(connection), &user), is_covered);
                    if is_covered {
                        hub.leave_out(MemberKey(connection), &user);
                    } else {
                        prop_assert_eq!(hub.unfollow(MemberKey(connection), &user).is_some(), known.is_some());
                    }
                    if let Some(left_out) = model.everyone.get_mut(&connection) {
                        left_out.insert(user);
                    }
                }
                Operation::FollowEveryone(connection) => {
                    let is_new = !model.everyone.contains_key(&connection);
                    prop_assert_eq!(hub.follow_everyone(MemberKey(connection)), is_new);
                    model.everyone.entry(connection).or_default();
                }
                Operation::UnfollowEveryone(connection) => {
                    let was_one = model.everyone.remove(&connection).is_some();
                    prop_assert_eq!(hub.unfollow_everyone(MemberKey(connection)), was_one);
                }
                Operation::TakeBack(connection) => {
                    let left_out = model.everyone.get_mut(&connection).map(std::mem::take);
                    let taken = hub.take_back(MemberKey(connection)).len();
                    prop_assert_eq!(taken, left_out.map_or(0, |left_out| left_out.len()));
                }
                Operation::Declare(connection, user) => {
                    let user = user.to_string();
                    let bound = model.declared.entry(connection).or_insert_with(|| user.clone());
                    prop_assert_eq!(hub.declare(MemberKey(connection), &user, Written::Quoted), *bound == user);
                }
                Operation::Leave(connection) => {
                    hub.leave(MemberKey(connection));
                    prop_assert_eq!(hub.join(), MemberKey(connection), "its number is free");
                    model.follows.retain(|(other, _), _| *other != connection);
                    model.everyone.remove(&connection);
                    model.declared.remove(&connection);
                    model.asks_presence.remove(&connection);
                    model.askers.remove(&connection);
                    model.owed.remove(&connection);
                    model.told_at.remove(&connection);
                }
                Operation::Publish(user, offset_s) => {
                    let (user, lat) = (user.to_string(), format!("{user}.{step}"));
                    let timestamp_ms = offset_s.map(|offset| now.unix_ms + f64::from(offset) * 1000.0);
                    let runner = hub.runner_or_new(&user);
                    let taken = hub.publish(runner, Written::Quoted, fix(&lat, timestamp_ms), Dialect::WebSocket, now);
                    prop_assert_eq!(taken == Taken::Live, model.publish(&user, &lat, timestamp_ms, now));
                }
                Operation::Forget(steps) => {
                    if let Some(time) = monotonic.checked_sub(Duration::from_secs(u64::from(steps))) {
                        prop_assert!(!hub.forget_before(time, 100));
                        model.last_known.retain(|_, last| last.received_at >= time);
                    }
                }
                Operation::Stale(steps) => {
                    if let Some(time) = monotonic.checked_sub(Duration::from_secs(u64::from(steps))) {
                        while hub.stale_before(time, 1) {}
                        for last in model.last_known.values_mut() {
                            last.is_live &= last.received_at >= time;
                        }
                    }
                }
                Operation::AskPresence(connection, asks) => {
                    let is_new = match asks {
                        true => model.asks_presence.insert(connection),
                        false => {
                            model.asks_presence.remove(&connection);
                            false
                        }
                    };
                    prop_assert_eq!(hub.ask_presence(MemberKey(connection), asks), is_new);
                }
                Operation::Hello(connection, name) => {
                    if let Some(user) = model.declared.get(&connection) {
                        let runner = hub.runner(user).expect("declared");
                        hub.set_name(runner, NamedBy::Hello, Some(&name.to_string()));
                        model.by_hello.insert(user.clone(), name.to_string());
                    }
                }
                Operation::Token(user, name) => {
                    let user = user.to_string();
                    if model.has_part(&user) {
                        let runner = hub.runner(&user).expect("it has a part");
                        hub.set_name(runner, NamedBy::Token, Some(&name.to_string()));
                        model.by_token.insert(user, name.to_string());
                    }
                }
                Operation::Roster(entries) => {
                    model.roster = (entries.into_iter())
                        .map(|(user, name, has_color)| (user.to_string(), (name.to_string(), has_color.then(|| "#cc3300".to_owned()))))
                        .collect();
                    hub.set_roster(model.csv());
                }
                Operation::Goodbye(connection) => {
                    if let Some(user) = model.declared.get(&connection) {
                        let runner = hub.runner(user).expect("declared");
                        hub.set_name(runner, NamedBy::Hello, None);
                        hub.forget_last_known(runner);
                        model.by_hello.remove(user);
                        model.last_known.remove(user);
                    }
                }
                Operation::AskAudience(connection, wants) => {
                    let is_first = wants && model.declared.contains_key(&connection) && !model.askers.contains_key(&connection);
                    prop_assert_eq!(hub.ask_audience(MemberKey(connection), wants), is_first);
                    if is_first {
                        model.askers.insert(connection, (true, None));
                        model.owed.insert(connection);
                    } else if let Some(asker) = model.askers.get_mut(&connection) {
                        *asker = (wants, None);
                    }
                }
            }
            check_trails(&hub);
            model.forget_names();
            model.keep_gone();
            model.check(&hub, monotonic);
            let changed: BTreeSet<String> = hub.take_changed(monotonic, usize::MAX).into_iter().map(|runner| hub.id(runner).to_owned()).collect();
            prop_assert_eq!(changed, model.changed_by_now(&before, monotonic), "whose presence changed");
            model.owe(&hub.due_audiences(monotonic, 100), monotonic);
            if is_flushed {
                model.tell(&mut hub, monotonic);
            }
        }
        let end = start + Duration::from_secs(1000);
        for second in 0..3 {
            let now = end + Duration::from_secs(second);
            model.owe(&hub.due_audiences(now, 100), now);
            model.tell(&mut hub, now);
        }
        for (connection, (wants, told)) in &model.askers {
            prop_assert!(!wants || *told == Some(model.audience(*connection)), "{} knows", connection);
        }
        let counted: BTreeMap<&str, usize> = hub.runners_by_freshness().map(|(state, count)| (state.word(), count)).into();
        for state in [Freshness::Live, Freshness::Stale, Freshness::Unknown] {
            let users = model.kept.iter().filter(|user| model.state(user) == state);
            prop_assert_eq!(counted[state.word()], users.count());
        }
        for member in 0..MEMBERS {
            hub.leave(MemberKey(member));
        }
        while hub.forget_before(start + Duration::from_secs(1_000_000), 1) {}
        hub.set_roster(Model::default().csv());
        prop_assert_eq!((hub.follows_total(), hub.runners_total()), (0, 0), "nothing stays behind");
        prop_assert_eq!((hub.trails.points, hub.trails.bytes), (0, 0), "no trail does");
        prop_assert_eq!(hub.take_changed(end, usize::MAX).len(), 0);
        prop_assert_eq!(hub.due_audiences(end + Duration::from_secs(4), 100).len(), 0);
    }
}
