//! What the follower asks for: follows, trails, and the end of both.

use std::collections::BTreeSet;

use super::promises::Awaited;
use super::world::{World, number_of};
use crate::queue::SPARSE_FROM;
use crate::relay::{Owed, RunnerKey};
use crate::user::UserId;

impl World {
    pub(super) fn follow_everyone(&mut self, from_ms: u64) {
        if self.has_changed {
            // Follows change once in a tick, and what is held goes out with it.
            self.flush(false);
        }
        let mut refusals = Vec::new();
        (self.relay).follow_everyone(&self.watcher, from_ms, &mut refusals);
        assert!(refusals.is_empty());
        let (mut owes_trails, mut taken_back) = (false, BTreeSet::new());
        for debt in self.relay.take_debts() {
            match debt.owed {
                Owed::Trail { slot, from_ms } => {
                    taken_back.extend(self.last_known(slot).map(|(user, _)| user));
                    self.outbox.mark_trail(slot, from_ms);
                }
                Owed::EveryonesTrails { end, from_ms } => {
                    owes_trails = true;
                    self.outbox.mark_everyones_trails(end, from_ms);
                }
                Owed::EveryonesPresence(end) => self.outbox.introduce_everyone(end),
                Owed::EveryonesLastKnown(end) => {
                    self.outbox.mark_everyones_last_known(end);
                    self.is_introducing = true;
                }
                Owed::Presence(slot) => self.outbox.push_presence(slot),
                // It was left out.
                Owed::LastKnown { slot, .. } => {
                    let (user, number) = self.last_known(slot).expect("there is one");
                    self.owe_last_known(slot, &user, number);
                }
                owed => panic!("{owed:?} for everyone"),
            }
        }
        let known: Vec<RunnerKey> = self.relay.everybody_known().collect();
        for runner in known {
            let known = self.relay.known(runner, self.now.monotonic);
            let known = known.expect("everybody is known");
            let number = number_of(known.fix);
            let user = known.user.to_owned();
            if !self.promises.awaits(&user) {
                let awaited = Awaited {
                    first: number,
                    newest: Some(number),
                    last_known_due: true,
                    presence_due: true,
                    // Who is taken back may be among those whose trails are still owed whole.
                    is_trail_vague: taken_back.contains(&user),
                    trail_due: (owes_trails || taken_back.contains(&user)).then_some(from_ms),
                    ..Awaited::default()
                };
                self.promises.follow(&user, awaited);
            }
        }
    }

    pub(super) fn unfollow_everyone(&mut self) {
        let is_half_sent = self.is_half_sent();
        let users: Vec<String> = (0..super::USERS).map(|user| user.to_string()).collect();
        let users: Vec<&str> = users.iter().map(String::as_str).collect();
        self.promises.unfollow(&users, is_half_sent);
        self.relay.unfollow_everyone(&self.watcher);
        self.end_follows();
    }

    fn end_follows(&mut self) {
        self.has_changed = true;
        for debt in self.relay.take_debts() {
            match debt.owed {
                Owed::Ended { slot, renumbered } => self.outbox.unfollow(slot, renumbered),
                Owed::EveryoneEnded => self.outbox.unfollow_everyone(),
                owed => panic!("{owed:?} for the end of a follow"),
            }
        }
    }

    pub(super) fn follow(&mut self, user: &str, from_ms: u64) {
        if self.has_changed && self.relay.trail_points(self.member()) > 0 {
            // As above.
            self.flush(false);
        }
        let id = UserId::from_integer(user).expect("a number");
        self.relay
            .follow(&self.watcher, &[id], from_ms, &mut Vec::new());
        let debts = self.relay.take_debts();
        match debts.first().map(|debt| debt.owed) {
            None => return,
            Some(Owed::Named { from, to, with_age }) => {
                self.outbox.rename(from, to, with_age);
                if !self.promises.awaits(user) {
                    // Nobody knew it, and it has a name now.
                    self.outbox.push_presence(to);
                    let awaited = Awaited {
                        first: self.number + 1,
                        presence_due: true,
                        trail_may_come: true,
                        ..Awaited::default()
                    };
                    self.promises.follow(user, awaited);
                }
                return;
            }
            Some(_) => {}
        }
        let mut awaited = Awaited {
            first: self.number + 1,
            ..Awaited::default()
        };
        for debt in debts {
            match debt.owed {
                Owed::Presence(slot) => {
                    awaited.presence_due = true;
                    self.outbox.push_presence(slot);
                }
                Owed::Trail { slot, from_ms } => {
                    awaited.trail_due = Some(from_ms);
                    self.outbox.mark_trail(slot, from_ms);
                }
                Owed::LastKnown { slot, .. } => {
                    let number = self.last_known(slot).expect("there is one").1;
                    awaited.first = number;
                    awaited.newest = Some(number);
                    awaited.last_known_due = true;
                    self.owe_last_known(slot, user, number);
                }
                owed => panic!("{owed:?} for a follow"),
            }
        }
        assert!(awaited.presence_due);
        self.promises.follow(user, awaited);
    }

    /// Owes a trail, which is promised if there is one by now.
    fn owe_trail(&mut self, slot: u32, from_ms: u64) {
        let is_half_sent = self.is_half_sent();
        self.outbox.mark_trail(slot, from_ms);
        if let Some((user, _)) = self.last_known(slot) {
            self.promises.owe_trail(&user, from_ms, is_half_sent);
        } else if let Some(presence) =
            (self.relay).say_presence(self.member(), slot, self.now.monotonic)
        {
            // If there is one by the time when it goes, it may be as much as was asked for now.
            self.promises.loosen_trail(presence.user);
        }
    }

    /// The follower asks for trails, or for none any more.
    pub(super) fn ask_trails(&mut self, points: u32, from_ms: u64) {
        (self.relay.ask_trails(&self.watcher, points, from_ms)).expect("no grant is needed");
        let is_half_sent = self.is_half_sent();
        self.promises.ask_trails(points > 0, is_half_sent);
        for debt in self.relay.take_debts() {
            match debt.owed {
                Owed::Trail { slot, from_ms } => self.owe_trail(slot, from_ms),
                Owed::EveryonesTrails { end, from_ms } => {
                    self.outbox.mark_everyones_trails(end, from_ms);
                    let known: Vec<RunnerKey> = self.relay.everybody_known().collect();
                    for runner in known {
                        if let Some((user, _)) =
                            self.slot(runner).and_then(|slot| self.last_known(slot))
                        {
                            self.promises.owe_trail(&user, from_ms, is_half_sent);
                            // Where some are owed whole, all are.
                            self.promises.loosen_trail(&user);
                        }
                    }
                }
                owed => panic!("{owed:?} for trails"),
            }
        }
    }

    /// A late point was put onto a user's trail, which is sent again.
    pub(super) fn send_again(&mut self, user: &str) {
        let runner = self.relay.visible(&self.watcher, user);
        if self.promises.awaits(user)
            && self.relay.trail_points(self.member()) > 0
            && let Some(slot) = runner.and_then(|runner| self.slot(runner))
            && self.last_known(slot).is_some()
        {
            self.owe_trail(slot, 0);
        }
    }

    fn owe_last_known(&mut self, slot: u32, user: &str, number: u32) {
        let message = format!("k {user} {number}");
        if self.outbox.is_behind() || self.outbox.owes_trail(slot) {
            self.outbox.mark_last_known(slot);
            self.led.insert(user.to_owned());
        } else {
            let frame = self.frames.push(message.as_bytes());
            self.outbox.push_with_age(frame, slot);
            if !self.is_introducing || slot < SPARSE_FROM {
                self.promises.push(message);
            }
        }
    }

    pub(super) fn unfollow(&mut self, user: &str) {
        let is_half_sent = self.is_half_sent();
        self.promises.unfollow(&[user], is_half_sent);
        let id = UserId::from_integer(user).expect("a number");
        let mut refusals = Vec::new();
        self.relay.unfollow(&self.watcher, &[id], &mut refusals);
        assert!(refusals.is_empty());
        self.end_follows();
    }
}
