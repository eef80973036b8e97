//! That the hub agrees with the lists, from both of its sides.

use std::collections::BTreeSet;
use std::time::Instant;

use super::lists::{Model, Told};
use super::{MEMBERS, USERS};
use crate::relay::hub::Hub;
use crate::relay::keys::MemberKey;
use crate::user::{Called, Spelling};

impl Model {
    /// That the hub agrees, from both of its sides.
    pub(super) fn check(&self, hub: &Hub, now: Instant) {
        let left_out: usize = self.everyone.values().map(BTreeSet::len).sum();
        let follows = self.follows.len() + self.everyone.len() + left_out;
        assert_eq!(hub.follows_total(), follows);
        assert_eq!(hub.runners_total(), self.kept.len());
        for connection in 0..MEMBERS {
            let member = MemberKey(connection);
            let followed: Vec<&str> = self
                .follows
                .keys()
                .filter(|(c, _)| *c == connection)
                .map(|(_, user)| user.as_str())
                .collect();
            assert_eq!(hub.following(member), followed.len());
            let everyone = self.everyone.get(&connection);
            assert_eq!(hub.follows_everyone(member), everyone.is_some());
            let follows = followed.len() + everyone.map_or(0, |left_out| 1 + left_out.len());
            assert_eq!(hub.follows_of(member), follows);
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
                let Called { name, color } = presence.called;
                let told = Told {
                    freshness: presence.freshness,
                    is_connected: presence.is_connected,
                    called: (name.map(str::to_owned), color.map(str::to_owned)),
                };
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
            self.check_covering(hub, &user, now);
            let called = hub.runner(&user).map(|runner| hub.called(runner).name);
            let expected_name = hub.runner(&user).map(|_| self.called(&user).0);
            assert_eq!(called, expected_name.as_ref().map(Option::as_deref));
            assert_eq!(
                hub.runner(&user).is_some(),
                self.kept.contains(user.as_str()),
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

    /// Who follows a user by following everyone, and what is said of it there.
    fn check_covering(&self, hub: &Hub, user: &str, now: Instant) {
        let covering: BTreeSet<u32> = (0..MEMBERS)
            .filter(|connection| self.covers(*connection, user))
            .collect();
        for connection in 0..MEMBERS {
            let (member, left_out) = (MemberKey(connection), self.everyone.get(&connection));
            assert_eq!(hub.covers(member, user), covering.contains(&connection));
            let is_left_out = left_out.is_some_and(|left_out| left_out.contains(user));
            assert_eq!(hub.leaves_out(member, user), is_left_out);
        }
        let Some(runner) = hub.runner(user) else {
            return;
        };
        let members: Vec<u32> = hub.covering(runner).map(|member| member.0).collect();
        assert_eq!(members.len(), covering.len(), "once each");
        assert_eq!(members.into_iter().collect::<BTreeSet<u32>>(), covering);
        let slot = runner.covered_slot();
        assert!(slot < hub.covered_end());
        for connection in 0..MEMBERS {
            let member = MemberKey(connection);
            let is_covering = covering.contains(&connection);
            let asks = self.asks_presence.contains(&connection);
            let presence = hub.presence(member, slot, now);
            assert_eq!(presence.is_some(), is_covering && asks);
            if let Some(presence) = presence {
                assert_eq!((presence.user, presence.spelling), (user, Spelling::String));
                assert_eq!(presence.freshness, self.state(user));
            }
            let is_known = is_covering && self.is_known(user);
            assert_eq!(hub.is_known_in(member, slot), is_known);
            let has_position = is_covering && self.last_known.contains_key(user);
            assert_eq!(hub.last_known_in(member, slot).is_some(), has_position);
        }
    }
}
