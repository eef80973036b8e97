//! Who follows whom from now on, as far as it is allowed and there is room, and what is owed for it.

use super::authority::Authority;
use super::keys::{MemberKey, RunnerKey};
use super::service::Relay;
use super::terms::Owed;
use crate::refusal::{Refusal, quote};
use crate::user::UserId;

/// How everyone is written.
const EVERYONE: &str = "\"*\"";

/// Why there is no room for a follow.
enum Full {
    /// The member has as many as it may have.
    Member,
    /// All members together have.
    Total,
}

/// How many ids of a list something holds for, and the first of them as JSON.
#[derive(Default)]
struct Those<'a>(Option<(usize, &'a str)>);

impl<'a> Those<'a> {
    fn add(&mut self, json: &'a str) {
        self.0.get_or_insert((0, json)).0 += 1;
    }
}

/// The follows of a list that there is no room for.
#[derive(Default)]
struct Over<'a> {
    of_member: Those<'a>,
    of_all: Those<'a>,
}

impl<'a> Over<'a> {
    fn add(&mut self, full: &Full, json: &'a str) {
        match full {
            Full::Member => self.of_member.add(json),
            Full::Total => self.of_all.add(json),
        }
    }

    fn refuse(self, follows_max: usize, refusals: &mut Vec<Refusal>) {
        let Over { of_member, of_all } = self;
        refusals.extend(
            (of_member.0)
                .map(|(count, first)| Refusal::TooManyFollows(count, follows_max, quote(first))),
        );
        refusals.extend(
            (of_all.0).map(|(count, first)| Refusal::TooManyFollowsTotal(count, quote(first))),
        );
    }
}

impl Relay {
    /// Adds follows, as far as they are allowed and there is room. What is known of the users is
    /// owed at once; of trails, if they are asked for, what is from this time on.
    pub(crate) fn follow(
        &mut self,
        by: &Authority,
        users: &[UserId],
        from_ms: u64,
        refusals: &mut Vec<Refusal>,
    ) {
        let admitted = self.admit(by);
        let (Ok(()), Some(member)) = (&admitted, by.member()) else {
            refusals.extend(admitted.err());
            return;
        };
        let asks_presence = self.hub.asks_presence(member);
        let mut over = Over::default();
        let mut denied = Those::default();
        for user in users {
            if !self.may_follow(by, user.text()) {
                denied.add(user.json());
                continue;
            }
            let is_covered = self.hub.covers(member, user.text());
            // One who was left out has a place already.
            if !self.hub.leaves_out(member, user.text())
                && let Some(full) = self.is_full(member)
            {
                if self.hub.slot(member, user.text()).is_none() {
                    over.add(&full, user.json());
                }
                continue;
            }
            let Some(slot) = (self.hub).follow(member, user.text(), user.spelling()) else {
                continue;
            };
            if is_covered && let Some((runner, _)) = self.hub.in_slot(member, slot) {
                // What is known of it was owed when everyone was followed.
                let from = runner.covered_slot();
                let with_age =
                    (self.hub.last_known(runner)).map(|_| !self.hub.is_newcomer(member, from));
                let to = slot;
                self.owe(member, Owed::Named { from, to, with_age });
            } else if !self.hub.waits_for_others(member, slot, from_ms) {
                self.owe_known(member, slot, asks_presence, from_ms);
            }
        }
        if let Some((count, first)) = denied.0 {
            refusals.push(Refusal::MayNotFollow(count, quote(first)));
        }
        over.refuse(self.rules.follows_max, refusals);
    }

    /// Follows everyone, if that is allowed and there is room; who was left out is so no longer. Trails
    /// are owed as by [`Relay::follow`].
    pub(crate) fn follow_everyone(
        &mut self,
        by: &Authority,
        from_ms: u64,
        refusals: &mut Vec<Refusal>,
    ) {
        let admitted = self.admit(by);
        let (Ok(()), Some(member)) = (&admitted, by.member()) else {
            refusals.extend(admitted.err());
            return;
        };
        if !self.may_follow_everybody(by) {
            refusals.push(Refusal::MayNotFollowEveryone);
            return;
        }
        let asks_presence = self.hub.asks_presence(member);
        if self.hub.follows_everyone(member) {
            for runner in self.hub.take_back(member) {
                let slot = runner.covered_slot();
                self.owe_known(
                    member,
                    slot,
                    asks_presence && self.hub.is_known_in(member, slot),
                    from_ms,
                );
            }
            return;
        }
        if let Some(full) = self.is_full(member) {
            let mut over = Over::default();
            over.add(&full, EVERYONE);
            return over.refuse(self.rules.follows_max, refusals);
        }
        self.hub.follow_everyone(member);
        let end = self.hub.covered_end();
        if asks_presence {
            self.owe(member, Owed::EveryonesPresence(end));
        }
        if self.hub.trail_points(member) > 0 {
            self.owe(member, Owed::EveryonesTrails { end, from_ms });
        }
        self.owe(member, Owed::EveryonesLastKnown(end));
    }

    /// Ends follows, those that there are. Who follows everyone leaves these out, as far as there is
    /// room.
    pub(crate) fn unfollow(
        &mut self,
        by: &Authority,
        users: &[UserId],
        refusals: &mut Vec<Refusal>,
    ) {
        let Some(member) = by.member() else {
            return;
        };
        let mut over = Over::default();
        for user in users {
            if !self.hub.covers(member, user.text()) {
                self.end_follow(member, user.text());
            } else if let Some(full) = self.is_full(member) {
                over.add(&full, user.json());
            } else {
                let slot = self.hub.leave_out(member, user.text());
                let renumbered = slot;
                self.owe(member, Owed::Ended { slot, renumbered });
            }
        }
        over.refuse(self.rules.follows_max, refusals);
    }

    /// Ends all follows of a member.
    pub(crate) fn unfollow_everyone(&mut self, by: &Authority) {
        let Some(member) = by.member() else {
            return;
        };
        self.end_everyone(member);
        // From the last on, so that none is renumbered.
        let users: Vec<String> = self.hub.followed(member).map(str::to_owned).collect();
        for user in users.iter().rev() {
            self.end_follow(member, user);
        }
    }

    pub(super) fn end_follow(&mut self, member: MemberKey, user: &str) {
        if let Some((slot, renumbered)) = self.hub.unfollow(member, user) {
            self.owe(member, Owed::Ended { slot, renumbered });
        }
    }

    /// Ends a member's follow of everyone, and none by name; says whether there was one.
    pub(super) fn end_everyone(&mut self, member: MemberKey) -> bool {
        let was_one = self.hub.unfollow_everyone(member);
        if was_one {
            self.owe(member, Owed::EveryoneEnded);
        }
        was_one
    }

    fn is_full(&self, member: MemberKey) -> Option<Full> {
        if self.hub.follows_of(member) >= self.rules.follows_max {
            return Some(Full::Member);
        }
        (self.hub.follows_total() >= self.rules.follows_total_max).then_some(Full::Total)
    }

    /// Owes what is known of the user in one slot of a member.
    pub(super) fn owe_known(
        &mut self,
        member: MemberKey,
        slot: u32,
        asks_presence: bool,
        from_ms: u64,
    ) {
        if asks_presence {
            self.owe(member, Owed::Presence(slot));
        }
        let known = self.hub.last_known_in(member, slot);
        if let Some(runner) = known.map(|(runner, _): (RunnerKey, _)| runner) {
            if self.hub.trail_points(member) > 0 {
                self.owe(member, Owed::Trail { slot, from_ms });
            }
            self.owe(member, Owed::LastKnown { slot, runner });
        }
    }
}
