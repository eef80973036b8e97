//! What the relay refuses, and what a crowd costs it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::hub::Hub;
use super::keys::MemberKey;
use super::model::fix;
use super::trails::{Taken, Trails};
use super::{Authority, Now, Published, Relay, Rules};
use crate::auth::{Follow, Grant, Publish};
use crate::dialect::Dialect;
use crate::fix::{Bounds, Fix};
use crate::refusal::Refusal;
use crate::user::{Freshness, Spelling, UserId, Written};

/// A hub that keeps so many last known positions, and no trails.
fn empty(last_known_max: usize) -> Hub {
    Hub::new(last_known_max, Trails::new(0, 0))
}

#[test]
fn heavy_last_known_positions_crowd_out_the_oldest() {
    let mut hub = empty(4);
    let now = Now {
        monotonic: Instant::now(),
        unix_ms: 0.0,
    };
    let member = hub.join();
    let longest = format!("0.{}", "1".repeat(30));
    let heavy = || {
        Fix::new(Bounds::Finite, Some(&longest), Some(&longest), |_| {
            Some(&longest)
        })
    };
    for user in ["1", "2", "3"] {
        hub.follow(member, user, Spelling::String);
        let runner = hub.runner_or_new(user);
        let fix = heavy().expect("long, and not too long");
        let taken = hub.publish(runner, Written::Quoted, fix, Dialect::WebSocket, now);
        assert_eq!(taken, Taken::Live);
    }
    // Four of them may weigh 4 × 256 bytes together, and each of these is almost 400.
    let known: Vec<bool> = (0..3)
        .map(|slot| hub.last_known_in(member, slot).is_some())
        .collect();
    assert_eq!(known, [false, true, true]);
}

#[test]
fn a_crowd_leaving_one_runner_costs_each_of_them_the_same() {
    // A hub that searched the runner's followers would need 10^10 steps for this.
    const FOLLOWERS: u32 = 100_000;
    let mut hub = empty(1);
    for _ in 0..FOLLOWERS {
        let member = hub.join();
        hub.follow(member, "runner", Spelling::String);
    }
    for member in 0..FOLLOWERS {
        hub.leave(MemberKey(member));
    }
    assert_eq!(hub.runners_total(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn many_follows_are_found_as_few_are(changes in prop::collection::vec((prop::bool::weighted(0.6), 0..200u32), 0..600)) {
        let mut hub = empty(1);
        let member = hub.join();
        let mut followed = BTreeSet::new();
        for (follow, user) in changes {
            let name = user.to_string();
            if follow {
                prop_assert_eq!(hub.follow(member, &name, Spelling::String).is_some(), followed.insert(user));
            } else {
                prop_assert_eq!(hub.unfollow(member, &name).is_some(), followed.remove(&user));
            }
            let slots: BTreeSet<u32> = followed.iter().filter_map(|user| hub.slot(member, &user.to_string())).collect();
            prop_assert!(slots.into_iter().eq(0..followed.len() as u32), "slots are dense");
            prop_assert_eq!(hub.slot(member, &name).is_some(), follow);
        }
        hub.leave(member);
        prop_assert_eq!(hub.runners_total(), 0);
    }
}

#[test]
fn an_audience_that_changes_all_the_time_is_told_once_a_second() {
    const FOLLOWERS: u32 = 100_000;
    let start = Instant::now();
    let mut hub = empty(1);
    let asker = hub.join();
    hub.declare(asker, "runner", Written::Quoted);
    assert!(hub.ask_audience(asker, true), "at once");
    assert_eq!(hub.tell_audience(asker, start), Some(0));
    let mut told = Vec::new();
    // They come within 10 seconds, and go within another 10.
    for step in 0..2 * FOLLOWERS {
        let now = start + Duration::from_secs(10) * step / FOLLOWERS;
        if step < FOLLOWERS {
            let member = hub.join();
            hub.follow(member, "runner", Spelling::String);
        } else {
            hub.leave(MemberKey(1 + step % FOLLOWERS));
        }
        if hub.due_audiences(now, 10) == [asker] {
            told.push((now, hub.tell_audience(asker, now)));
        }
    }
    assert!((18..=20).contains(&told.len()), "{told:?}");
    for pair in told.windows(2) {
        assert!(pair[1].0 - pair[0].0 >= Duration::from_secs(1), "{pair:?}");
    }
    let end = start + Duration::from_secs(22);
    assert_eq!(hub.due_audiences(end, 10), [asker]);
    assert_eq!(hub.tell_audience(asker, end), Some(0));
    assert!(
        hub.due_audiences(end + Duration::from_secs(1), 10)
            .is_empty()
    );
}

#[test]
fn many_with_one_id_that_asked_for_its_audience_leave_at_the_same_cost_each() {
    // A list of those who asked that is searched would need 10^10 steps for this.
    const CROWD: u32 = 100_000;
    let mut hub = empty(1);
    for _ in 0..CROWD {
        let member = hub.join();
        hub.declare(member, "runner", Written::Quoted);
        assert!(hub.ask_audience(member, true));
    }
    for member in 0..CROWD {
        hub.leave(MemberKey(member));
    }
    assert_eq!(hub.runners_total(), 0);
}

#[test]
fn a_crowd_whose_positions_turn_stale_together_does_so_in_steps() {
    const RUNNERS: usize = 100_000;
    let now = Now {
        monotonic: Instant::now(),
        unix_ms: 0.0,
    };
    let mut hub = empty(RUNNERS);
    for runner in 0..RUNNERS {
        let runner = hub.runner_or_new(&runner.to_string());
        let taken = hub.publish(
            runner,
            Written::Quoted,
            fix("0", None),
            Dialect::WebSocket,
            now,
        );
        assert_eq!(taken, Taken::Live);
    }
    let later = now.monotonic + Duration::from_secs(1);
    let mut steps = 1;
    while hub.stale_before(later, 1000) {
        steps += 1;
        assert_eq!(hub.runners_by_freshness()[1].1, 1000 * (steps - 1));
    }
    assert_eq!(steps, 101);
    assert_eq!(hub.runners_by_freshness()[0], (Freshness::Live, 0));
}

#[test]
fn an_authority_without_a_grant_can_do_nothing_where_one_is_needed() {
    let mut relay = Relay::new(Rules {
        needs_grant: true,
        follows_all: false,
        follows_max: 10,
        follows_total_max: 10,
        rate_max: None,
        last_known_max: 10,
        trail_points_max: 10,
        trail_bytes_max: usize::MAX,
        stale_after: Duration::from_secs(60),
        forget_after: Duration::from_secs(60),
    });
    let now = Now {
        monotonic: Instant::now(),
        unix_ms: 1.7e12,
    };
    let five = UserId::from_integer("5").expect("an id");
    let member = relay.join();
    let granted = |user: &str| Grant {
        user: user.to_owned(),
        publish: Publish::Own,
        follow: Follow::Everybody,
        name: None,
        expires_at_s: 2_000_000_000,
    };
    let mut runner = Authority::of_request(Some(granted("5")));
    let published = relay.publish(&mut runner, None, fix("1", None), now);
    assert!(
        matches!(published, Ok(Published::Live(_))),
        "without a userId it is its own"
    );
    let mut stranger = Authority::of_member(member, None);
    let unauthorized: Result<(), _> = Err(Refusal::Unauthorized);
    assert_eq!(relay.declare(&stranger, &five), unauthorized);
    assert_eq!(relay.ask_presence(&stranger, true), unauthorized);
    assert_eq!(relay.ask_audience(&stranger, true), unauthorized);
    let published = relay.publish(&mut stranger, Some(&five), fix("2", None), now);
    assert_eq!(published, Err(Refusal::Unauthorized));
    let mut refusals = Vec::new();
    relay.follow(&stranger, std::slice::from_ref(&five), 0, &mut refusals);
    assert_eq!(relay.ask_trails(&stranger, 5, 0), unauthorized);
    assert_eq!(refusals, [Refusal::Unauthorized]);
    assert!(relay.visible(&stranger, "5").is_none());
    assert_eq!((relay.follows_total(), relay.has_debts()), (0, false));
    let watcher = Authority::of_member(member, Some(granted("6")));
    relay.follow(&watcher, &[five], 0, &mut refusals);
    assert_eq!((relay.follows_total(), relay.has_debts()), (1, true));
    relay.leave(member);
    assert!(!relay.has_debts(), "nobody is left to be owed something");
}

#[test]
fn a_crowd_whose_presence_changes_is_told_step_by_step_and_who_moves_at_once() {
    const RUNNERS: usize = 30;
    let start = Instant::now();
    let mut hub = empty(RUNNERS);
    let watchers = [(); 10].map(|()| hub.join());
    for watcher in watchers {
        hub.ask_presence(watcher, true);
    }
    let members: Vec<MemberKey> = (0..RUNNERS)
        .map(|number| {
            let id = number.to_string();
            for watcher in watchers {
                hub.follow(watcher, &id, Spelling::String);
            }
            let member = hub.join();
            hub.declare(member, &id, Written::Quoted);
            member
        })
        .collect();
    // The last of them moves, at a time when the others do not.
    let now = Now {
        monotonic: start + Duration::from_secs(10),
        unix_ms: 0.0,
    };
    let last = hub.runner_or_new("29");
    let taken = hub.publish(
        last,
        Written::Quoted,
        fix("1", None),
        Dialect::WebSocket,
        now,
    );
    assert_eq!(taken, Taken::Live);
    let first_step = hub.take_changed(now.monotonic, 95);
    assert_eq!(first_step.len(), 10 + 1);
    assert!(first_step.contains(&last));
    let mut told: Vec<_> = first_step;
    while let step = hub.take_changed(now.monotonic, 95)
        && !step.is_empty()
    {
        assert!(step.len() <= 10);
        told.extend(step);
    }
    let names: BTreeSet<&str> = told.iter().map(|runner| hub.id(*runner)).collect();
    assert_eq!((told.len(), names.len()), (RUNNERS, RUNNERS));
    for member in members {
        hub.leave(member);
    }
}
