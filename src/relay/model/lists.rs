//! What the hub knows, as lists that are searched from end to end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::{LAST_KNOWN_MAX, MEMBERS, USERS};
use crate::relay::Now;
use crate::relay::hub::Hub;
use crate::relay::keys::MemberKey;
use crate::roster::Roster;
use crate::user::{Freshness, Spelling};

pub(super) struct LastKnown {
    pub(super) lat: String,
    pub(super) received_at: Instant,
    newest_fix_ms: Option<f64>,
    /// Late fixes since then, and when they came.
    late: Vec<(Instant, f64)>,
    pub(super) is_live: bool,
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

/// What presence says of a user.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Told {
    pub(super) freshness: Freshness,
    pub(super) is_connected: bool,
    /// A name, and a colour.
    pub(super) called: (Option<String>, Option<String>),
}

#[derive(Default)]
pub(super) struct Model {
    /// How each was written first.
    pub(super) follows: BTreeMap<(u32, String), Spelling>,
    /// Who follows everyone, and whom each of them left out.
    pub(super) everyone: BTreeMap<u32, BTreeSet<String>>,
    /// Users that the hub has, some of them because they were known when somebody followed everyone.
    pub(super) kept: BTreeSet<String>,
    known: BTreeSet<String>,
    pub(super) declared: BTreeMap<u32, String>,
    pub(super) last_known: BTreeMap<String, LastKnown>,
    pub(super) asks_presence: BTreeSet<u32>,
    /// Whether who asked for the audience wants it still, and what it was told last.
    pub(super) askers: BTreeMap<u32, (bool, Option<usize>)>,
    /// Those who are to be told, and were not yet.
    pub(super) owed: BTreeSet<u32>,
    /// When who was told last.
    pub(super) told_at: BTreeMap<u32, Instant>,
    /// What each is called by whom.
    pub(super) by_token: BTreeMap<String, String>,
    pub(super) by_hello: BTreeMap<String, String>,
    pub(super) roster: BTreeMap<String, (String, Option<String>)>,
    /// Users whose presence changed and is not told, and when that of whom was told last.
    changed: BTreeSet<String>,
    presence_told_at: BTreeMap<String, Instant>,
}

impl Model {
    /// Follows a user by name, who may have been left out.
    pub(super) fn follow(&mut self, connection: u32, user: &str, spelling: Spelling) {
        let follow = (connection, user.to_owned());
        self.follows.entry(follow).or_insert(spelling);
        if let Some(left_out) = self.everyone.get_mut(&connection) {
            left_out.remove(user);
        }
    }

    /// Whether the connection follows the user, and not by name.
    pub(super) fn covers(&self, connection: u32, user: &str) -> bool {
        let left_out = self.everyone.get(&connection);
        left_out.is_some_and(|left_out| !left_out.contains(user))
            && !self.follows.contains_key(&(connection, user.to_owned()))
    }

    /// Users are kept as long as they are used. Those that were known, as long as somebody follows
    /// everyone.
    pub(super) fn keep_gone(&mut self) {
        let users: BTreeSet<String> = self.users().into_iter().map(str::to_owned).collect();
        let parts = users.iter().filter(|user| self.is_known(user));
        let known: BTreeSet<String> = parts.cloned().collect();
        let before = std::mem::take(&mut self.kept);
        self.known.retain(|user| before.contains(user));
        self.known.extend(known);
        self.kept = users;
        if !self.everyone.is_empty() {
            self.kept.extend(self.known.iter().cloned());
        }
    }

    pub(super) fn publish(
        &mut self,
        user: &str,
        lat: &str,
        timestamp_ms: Option<f64>,
        now: Now,
    ) -> bool {
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

    pub(super) fn users(&self) -> BTreeSet<&str> {
        let followed = self.follows.keys().map(|(_, user)| user.as_str());
        let declared = self.declared.values().map(String::as_str);
        followed
            .chain(declared)
            .chain(self.everyone.values().flatten().map(String::as_str))
            .chain(self.roster.keys().map(String::as_str))
            .chain(self.last_known.keys().map(String::as_str))
            .collect()
    }

    pub(super) fn state(&self, user: &str) -> Freshness {
        match self.last_known.get(user) {
            Some(last) if last.is_live => Freshness::Live,
            Some(_) => Freshness::Stale,
            None => Freshness::Unknown,
        }
    }

    /// What presence would say of each user.
    pub(super) fn presence(&self) -> BTreeMap<String, Told> {
        (0..USERS)
            .map(|user| user.to_string())
            .map(|user| {
                let told = Told {
                    freshness: self.state(&user),
                    is_connected: self.is_connected(&user),
                    called: self.called(&user),
                };
                (user, told)
            })
            .collect()
    }

    fn is_connected(&self, user: &str) -> bool {
        self.declared.values().any(|declared| declared == user)
    }

    /// Whether it is somebody, or somebody knows where it is.
    pub(super) fn has_part(&self, user: &str) -> bool {
        self.is_connected(user) || self.last_known.contains_key(user)
    }

    pub(super) fn is_known(&self, user: &str) -> bool {
        self.has_part(user) || self.roster.contains_key(user)
    }

    /// Forgets what those were called who have no part any more.
    pub(super) fn forget_names(&mut self) {
        let users: BTreeSet<String> = (self.declared.values())
            .chain(self.last_known.keys())
            .cloned()
            .collect();
        self.by_token.retain(|user, _| users.contains(user));
        self.by_hello.retain(|user, _| users.contains(user));
    }

    pub(super) fn called(&self, user: &str) -> (Option<String>, Option<String>) {
        match self.roster.get(user) {
            Some((name, color)) => (Some(name.clone()), color.clone()),
            None => {
                let name = self.by_token.get(user).or_else(|| self.by_hello.get(user));
                (name.cloned(), None)
            }
        }
    }

    /// The roster as it is read.
    pub(super) fn csv(&self) -> Roster {
        let mut csv = "id,name,color\n".to_owned();
        for (user, (name, color)) in &self.roster {
            csv += &format!("{user},{name},{}\n", color.as_deref().unwrap_or_default());
        }
        Roster::read(csv.as_bytes()).expect("as it should be")
    }

    /// Whose presence is to be told now: it changed, and nothing was told of the user for a second.
    pub(super) fn changed_by_now(
        &mut self,
        before: &BTreeMap<String, Told>,
        now: Instant,
    ) -> BTreeSet<String> {
        for (user, after) in self.presence() {
            if before[&user] != after && self.is_watched(&user) {
                self.changed.insert(user);
            }
        }
        let kept = &self.kept;
        self.changed.retain(|user| kept.contains(user));
        self.presence_told_at.retain(|user, _| kept.contains(user));
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
            || (self.everyone.keys()).any(|connection| self.asks_presence.contains(connection))
    }

    pub(super) fn audience(&self, connection: u32) -> usize {
        let user = &self.declared[&connection];
        let is_follower = |connection: &u32| {
            self.follows.contains_key(&(*connection, user.clone()))
                || self.covers(*connection, user)
        };
        let others = (0..MEMBERS).filter(|connection| self.declared.get(connection) != Some(user));
        others.filter(is_follower).count()
    }

    /// That these are to be told their audience: all of them want it, have something new to hear,
    /// and heard nothing for a second.
    pub(super) fn owe(&mut self, due: &[MemberKey], now: Instant) {
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
    pub(super) fn tell(&mut self, hub: &mut Hub, now: Instant) {
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
}
