//! The hub against lists that are searched from end to end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::Now;
use super::hub::Hub;
use super::keys::MemberKey;
use crate::fix::{Bounds, Extra, Fix};
use crate::user::{Freshness, Spelling, Written};

const MEMBERS: u32 = 5;
const USERS: u32 = 6;
const LAST_KNOWN_MAX: usize = 4;

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
}

fn operation() -> impl Strategy<Value = Operation> {
    let (connection, user) = (0..MEMBERS, 0..USERS);
    let spelling = prop_oneof![Just(Spelling::Integer), Just(Spelling::String)];
    prop_oneof![
        6 => (connection.clone(), user.clone(), spelling).prop_map(|(c, u, s)| Operation::Follow(c, u, s)),
        3 => (connection.clone(), user.clone()).prop_map(|(c, u)| Operation::Unfollow(c, u)),
        1 => (connection.clone(), user.clone()).prop_map(|(c, u)| Operation::Declare(c, u)),
        1 => connection.clone().prop_map(Operation::Leave),
        2 => (connection.clone(), prop::bool::weighted(0.7)).prop_map(|(c, on)| Operation::AskPresence(c, on)),
        2 => (connection, prop::bool::weighted(0.7)).prop_map(|(c, on)| Operation::AskAudience(c, on)),
        5 => (user, prop::option::of(-90..90i32)).prop_map(|(u, t)| Operation::Publish(u, t)),
        1 => (0..20u32).prop_map(Operation::Forget),
        2 => (0..10u32).prop_map(Operation::Stale),
    ]
}

struct LastKnown {
    lat: String,
    received_at: Instant,
    newest_fix_ms: Option<f64>,
    /// Late fixes since then, and when they came.
    late: Vec<(Instant, f64)>,
    is_live: bool,
}

impl LastKnown {
    fn is_another_clock(&mut self, fix: f64, now: Instant) -> bool {
        self.late.push((now, fix));
        let (first_at, first) = self.late[0];
        let passed_ms = (now - first_at).as_secs_f64() * 1000.0;
        if passed_ms < 30_000.0 {
            return false;
        }
        let advanced = fix - first;
        let is_another = passed_ms / 2.0 <= advanced && advanced <= passed_ms * 2.0;
        self.late = vec![(now, fix)];
        is_another
    }
}

#[derive(Default)]
struct Model {
    /// How each was written first.
    follows: BTreeMap<(u32, String), Spelling>,
    declared: BTreeMap<u32, String>,
    last_known: BTreeMap<String, LastKnown>,
    asks_presence: BTreeSet<u32>,
    /// Whether who asked for the audience wants it still, and what it was told last.
    askers: BTreeMap<u32, (bool, Option<usize>)>,
    /// Those who are to be told, and were not yet.
    owed: BTreeSet<u32>,
    /// When who was told last.
    told_at: BTreeMap<u32, Instant>,
    /// Users whose presence changed and is not told, and when that of whom was told last.
    changed: BTreeSet<String>,
    presence_told_at: BTreeMap<String, Instant>,
}

impl Model {
    fn publish(&mut self, user: &str, lat: &str, timestamp_ms: Option<f64>, now: Now) -> bool {
        let counts_as = |fix: f64| match fix > now.unix_ms + 60_000.0 {
            true => now.unix_ms,
            false => fix,
        };
        let fix = timestamp_ms.map(counts_as);
        let before = self.last_known.get_mut(user);
        let newest = before.as_ref().and_then(|last| last.newest_fix_ms);
        if let (Some(fix), Some(newest), Some(before)) = (fix, newest, before)
            && fix < counts_as(newest)
            && !before.is_another_clock(fix, now.monotonic)
        {
            return false;
        }
        let last = LastKnown {
            lat: lat.to_owned(),
            received_at: now.monotonic,
            newest_fix_ms: fix.or(newest),
            late: Vec::new(),
            is_live: true,
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
        let followed = self.follows.keys().map(|(_, user)| user.as_str());
        let declared = self.declared.values().map(String::as_str);
        followed
            .chain(declared)
            .chain(self.last_known.keys().map(String::as_str))
            .collect()
    }

    fn state(&self, user: &str) -> Freshness {
        match self.last_known.get(user) {
            Some(last) if last.is_live => Freshness::Live,
            Some(_) => Freshness::Stale,
            None => Freshness::Unknown,
        }
    }

    /// What presence would say of each user.
    fn presence(&self) -> BTreeMap<String, (Freshness, bool)> {
        (0..USERS)
            .map(|user| user.to_string())
            .map(|user| {
                let is_connected = self.declared.values().any(|declared| *declared == user);
                (user.clone(), (self.state(&user), is_connected))
            })
            .collect()
    }

    /// Whose presence is to be told now: it changed, and nothing was told of the user for a second.
    fn changed_by_now(
        &mut self,
        before: &BTreeMap<String, (Freshness, bool)>,
        now: Instant,
    ) -> BTreeSet<String> {
        for (user, after) in self.presence() {
            if before[&user] != after && self.is_watched(&user) {
                self.changed.insert(user);
            }
        }
        let known: BTreeSet<String> = self.users().into_iter().map(str::to_owned).collect();
        self.changed.retain(|user| known.contains(user));
        self.presence_told_at.retain(|user, _| known.contains(user));
        let told_at = &mut self.presence_told_at;
        let second = Duration::from_secs(1);
        let (due, later) = std::mem::take(&mut self.changed)
            .into_iter()
            .partition(|user| told_at.get(user).is_none_or(|at| now - *at >= second));
        self.changed = later;
        told_at.extend(due.iter().map(|user: &String| (user.clone(), now)));
        due
    }

    fn is_watched(&self, user: &str) -> bool {
        (self.follows.keys())
            .any(|(c, followed)| followed == user && self.asks_presence.contains(c))
    }

    fn audience(&self, connection: u32) -> usize {
        let user = &self.declared[&connection];
        let followers = (self.follows.keys()).filter(|(_, followed)| followed == user);
        let others = followers.filter(|(follower, _)| self.declared.get(follower) != Some(user));
        others.count()
    }

    /// That these are to be told their audience: all of them want it, have something new to hear,
    /// and heard nothing for a second.
    fn owe(&mut self, due: &[MemberKey], now: Instant) {
        let due: Vec<u32> = due.iter().map(|member| member.0).collect();
        let once: BTreeSet<u32> = due.iter().copied().collect();
        assert_eq!(once.len(), due.len(), "once each: {due:?}");
        for connection in &due {
            let (wants, told) = self.askers[connection];
            assert!(wants, "{connection} wants it no more");
            let audience = self.audience(*connection);
            assert_ne!(told, Some(audience), "nothing new for {connection}");
            if let Some(told_at) = self.told_at.get(connection) {
                let pause = now.saturating_duration_since(*told_at);
                assert!(
                    pause >= Duration::from_secs(1),
                    "{connection} after {pause:?}"
                );
            }
            self.owed.insert(*connection);
        }
    }

    /// Tells all who are owed it, perhaps long after they were.
    fn tell(&mut self, hub: &mut Hub, now: Instant) {
        for connection in std::mem::take(&mut self.owed) {
            let Some((wants, told)) = self.askers.get(&connection).copied() else {
                continue;
            };
            let audience = wants.then(|| self.audience(connection));
            assert_eq!(hub.tell_audience(MemberKey(connection), now), audience);
            if wants {
                self.askers.insert(connection, (wants, audience.or(told)));
                self.told_at.insert(connection, now);
            }
        }
    }

    /// That the hub agrees, from both of its sides.
    fn check(&self, hub: &Hub, now: Instant) {
        assert_eq!(hub.follows_total(), self.follows.len());
        assert_eq!(hub.runners_total(), self.users().len());
        for connection in 0..MEMBERS {
            let member = MemberKey(connection);
            let followed: Vec<&str> = self
                .follows
                .keys()
                .filter(|(c, _)| *c == connection)
                .map(|(_, user)| user.as_str())
                .collect();
            assert_eq!(hub.following(member), followed.len());
            assert_eq!(
                hub.declared(member).map(|runner| hub.id(runner)),
                self.declared.get(&connection).map(String::as_str)
            );
            let slots: BTreeSet<u32> = followed
                .iter()
                .map(|user| hub.slot(member, user).expect("followed"))
                .collect();
            assert!(
                slots.iter().copied().eq(0..followed.len() as u32),
                "slots are dense: {slots:?}"
            );
            let wants = self
                .askers
                .get(&connection)
                .is_some_and(|(wants, _)| *wants);
            assert_eq!(
                hub.audience(member),
                wants.then(|| self.audience(connection))
            );
            for user in followed {
                let slot = hub.slot(member, user).expect("followed");
                let Some(presence) = hub.presence(member, slot, now) else {
                    assert!(!self.asks_presence.contains(&connection));
                    continue;
                };
                assert!(self.asks_presence.contains(&connection));
                let spelling = self.follows[&(connection, user.to_owned())];
                assert_eq!((presence.user, presence.spelling), (user, spelling));
                let told = (presence.freshness, presence.is_connected);
                assert_eq!(told, self.presence()[user]);
                let age = (self.last_known.get(user)).map(|last| now - last.received_at);
                assert_eq!(presence.age, age);
            }
        }
        for user in (0..USERS).map(|user| user.to_string()) {
            let followers: BTreeSet<(u32, u32)> =
                hub.runner(&user).map_or(BTreeSet::new(), |runner| {
                    hub.followers(runner)
                        .iter()
                        .map(|follower| (follower.member.0, follower.slot))
                        .collect()
                });
            let expected: BTreeSet<(u32, u32)> = (0..MEMBERS)
                .filter(|connection| self.follows.contains_key(&(*connection, user.clone())))
                .map(|connection| {
                    (
                        connection,
                        hub.slot(MemberKey(connection), &user).expect("followed"),
                    )
                })
                .collect();
            assert_eq!(followers, expected);
            assert_eq!(
                hub.runner(&user).is_some(),
                self.users().contains(user.as_str()),
                "{user} is kept as needed"
            );
            for (connection, slot) in followers {
                let newest = (hub.last_known_in(MemberKey(connection), slot))
                    .map(|(_, last)| (last.fix().lat_digits().to_owned(), last.age(now)));
                let expected = self.last_known.get(&user).map(|last| {
                    (
                        last.lat.clone(),
                        now.saturating_duration_since(last.received_at),
                    )
                });
                assert_eq!(newest, expected);
            }
        }
    }
}

proptest! {
    // The input is printed; a file of it is nobody's here.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_hub_agrees_with_lists(operations in prop::collection::vec((operation(), any::<bool>()), 0..120)) {
        let mut hub = Hub::new(LAST_KNOWN_MAX);
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
                    model.follows.entry((connection, user)).or_insert(spelling);
                }
                Operation::Unfollow(connection, user) => {
                    let user = user.to_string();
                    let known = model.follows.remove(&(connection, user.clone()));
                    prop_assert_eq!(hub.unfollow(MemberKey(connection), &user).is_some(), known.is_some());
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
                    let taken = hub.publish(runner, Written::Quoted, fix(&lat, timestamp_ms), now);
                    prop_assert_eq!(taken, model.publish(&user, &lat, timestamp_ms, now));
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
            model.check(&hub, monotonic);
            let changed: BTreeSet<String> = hub.take_changed(monotonic).into_iter().map(|runner| hub.id(runner).to_owned()).collect();
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
            let users = model.users().into_iter().filter(|user| model.state(user) == state);
            prop_assert_eq!(counted[state.word()], users.count());
        }
        for member in 0..MEMBERS {
            hub.leave(MemberKey(member));
        }
        while hub.forget_before(start + Duration::from_secs(1_000_000), 1) {}
        prop_assert_eq!((hub.follows_total(), hub.runners_total()), (0, 0), "nothing stays behind");
        prop_assert_eq!(hub.take_changed(end).len(), 0);
        prop_assert_eq!(hub.due_audiences(end + Duration::from_secs(4), 100).len(), 0);
    }
}
