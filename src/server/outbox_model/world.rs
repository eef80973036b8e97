//! One follower with its outbox, and the relay behind it.
//!
//! Messages are `p user number`, `k user number` for last known ones, `h user number` for
//! presence, `t user first last` for trails, from a time on and up to a number, `a number` for the
//! audience, `e number` and pongs `o number`; numbers rise.

use std::collections::BTreeSet;
use std::io::{self, Cursor, ErrorKind, Write};
use std::time::{Duration, Instant};

use tungstenite::protocol::frame::FrameHeader;

use super::promises::{Awaited, Promises};
use crate::fix::{Bounds, Fix};
use crate::queue::SPARSE_FROM;
use crate::relay::{Authority, MemberKey, Now, Owed, Published, Relay, Rules, RunnerKey};
use crate::server::wire::frames::{Frames, append_text_frame};
use crate::server::wire::outbox::{Gather, Mark, Outbox, Pushed};
use crate::server::wire::stream::Stream;
use crate::user::UserId;

/// Time between two numbers, so that each is on its trail.
const NUMBER_MS: u64 = 30_000;

/// A socket with little room.
#[derive(Default)]
pub(super) struct Socket {
    pub(super) room: usize,
    pub(super) taken: Vec<u8>,
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let taken = bytes.len().min(self.room);
        self.room -= taken;
        self.taken.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) struct World {
    relay: Relay,
    /// The follower.
    watcher: Authority,
    /// Whoever sends positions.
    gateway: Authority,
    pub(super) outbox: Outbox,
    socket: Stream<Socket>,
    pub(super) frames: Frames,
    pub(super) gather: Gather,
    pub(super) now: Now,
    number: u32,
    pub(super) is_blocked: bool,
    /// Whether everyone was followed since the last flush.
    is_introducing: bool,
    /// Whether some follow ended since.
    has_changed: bool,
    /// Of whom a last known position is owed since as a mark, behind a trail.
    led: BTreeSet<String>,
    /// Whose presence was told since as a frame, which is not done twice in a second.
    announced: BTreeSet<String>,
    read: usize,
    pub(super) promises: Promises,
}

impl World {
    pub(super) fn new() -> World {
        let mut relay = Relay::new(Rules {
            needs_grant: false,
            follows_all: true,
            follows_max: 100,
            follows_total_max: 100,
            rate_max: None,
            last_known_max: 100,
            trail_points_max: 10,
            trail_bytes_max: usize::MAX,
            stale_after: Duration::from_secs(1000),
            forget_after: Duration::from_secs(1000),
        });
        let watcher = Authority::of_member(relay.join(), None);
        relay
            .ask_presence(&watcher, true)
            .expect("no grant is needed");
        World {
            relay,
            watcher,
            gateway: Authority::of_request(None),
            outbox: Outbox::default(),
            socket: Stream::new(Socket::default()),
            frames: Frames::default(),
            gather: Gather::default(),
            now: Now {
                monotonic: Instant::now(),
                unix_ms: 0.0,
            },
            number: 0,
            is_blocked: false,
            is_introducing: false,
            has_changed: false,
            led: BTreeSet::new(),
            announced: BTreeSet::new(),
            read: 0,
            promises: Promises::default(),
        }
    }

    pub(super) fn socket(&mut self) -> &mut Socket {
        self.socket.socket_mut()
    }

    fn member(&self) -> MemberKey {
        self.watcher.member().expect("it joined")
    }

    /// Whether a frame was begun, and is not all there.
    fn is_half_sent(&mut self) -> bool {
        self.socket.socket_mut().taken.len() > self.read
    }

    fn next_number(&mut self) -> u32 {
        self.number += 1;
        self.number
    }

    pub(super) fn publish(&mut self, user: &str) {
        let number = self.next_number();
        let id = UserId::from_integer(user).expect("a number");
        self.now.unix_ms = (u64::from(number) * NUMBER_MS) as f64;
        let published = (self.relay).publish(&mut self.gateway, Some(&id), fix(number), self.now);
        let Ok(Published::Live(runner)) = published else {
            panic!("{published:?}");
        };
        let Some(slot) = self.slot(runner) else {
            return;
        };
        if !self.promises.awaits(user) {
            // A newcomer to one who follows everyone.
            let presence = self.promises.presence.get(user).copied();
            let message = format!("h {user} {}", presence.unwrap_or_default());
            let frame = self.frames.push(message.as_bytes());
            self.outbox.push_announced(frame, slot);
            self.announced.insert(user.to_owned());
            let awaited = Awaited {
                first: number,
                presence_due: true,
                // Its slot may be one of those whose trails are still owed.
                trail_may_come: true,
                ..Awaited::default()
            };
            self.promises.follow(user, awaited);
        }
        self.promises.publish(user, number);
        let message = format!("p {user} {number}");
        let frame = self.frames.push(message.as_bytes());
        if matches!(self.outbox.push(frame, slot), Pushed::First | Pushed::Due) {
            self.promises.push(message);
        } else {
            assert!(
                self.is_blocked || self.is_introducing || self.led.contains(user),
                "{message} as a mark, though the socket takes everything"
            );
        }
    }

    /// The follower's slot of a runner, if it follows it.
    fn slot(&self, runner: RunnerKey) -> Option<u32> {
        let by_name = self.relay.followers(runner).first();
        let (covered, mut covering) = self.relay.covering(runner);
        let covered = covering.next().map(|_| covered);
        assert!(by_name.is_none() || covered.is_none(), "one slot");
        by_name.map(|follower| follower.slot).or(covered)
    }

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

    /// The user in a slot, and the newest number of it.
    fn last_known(&self, slot: u32) -> Option<(String, u32)> {
        last_known(&self.relay, self.member(), slot, self.now.monotonic)
    }

    pub(super) fn change(&mut self, user: &str) {
        if self.announced.contains(user) {
            return;
        }
        let number = self.next_number();
        self.promises.presence.insert(user.to_owned(), number);
        let runner = self.relay.visible(&self.watcher, user);
        if self.promises.awaits(user)
            && let Some(slot) = runner.and_then(|runner| self.slot(runner))
        {
            self.outbox.push_presence(slot);
        }
    }

    pub(super) fn change_audience(&mut self) {
        self.promises.audience = self.next_number();
        self.outbox.push_audience();
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

    pub(super) fn flush(&mut self, hold: bool) {
        let (relay, member, now) = (&self.relay, self.member(), self.now.monotonic);
        let promises = &self.promises;
        let newest = |mark: Mark, out: &mut Vec<u8>| {
            let text = match mark {
                Mark::Audience => format!("a {}", promises.audience),
                Mark::Presence(slot) | Mark::Introduction(slot) => {
                    let presence = match mark {
                        Mark::Presence(_) => relay.say_presence(member, slot, now),
                        _ => relay.introduce(member, slot, now),
                    };
                    let Some(presence) = presence else {
                        return false;
                    };
                    let user = presence.user;
                    let number = promises.presence.get(user).copied().unwrap_or_default();
                    format!("h {user} {number}")
                }
                Mark::Trail(slot, from_ms) | Mark::CoveredTrail(slot, from_ms) => {
                    let Some(trail) = relay.say_trail(member, slot, from_ms) else {
                        return false;
                    };
                    let last = trail.points.last().expect("at least one");
                    format!("t {} {from_ms} {}", trail.user, last.ms / NUMBER_MS)
                }
                Mark::LastKnown(slot) | Mark::Whereabouts(slot) | Mark::Newest(slot) => {
                    let Some((user, number)) = last_known(relay, member, slot, now) else {
                        return false;
                    };
                    let kind = match mark {
                        Mark::Whereabouts(slot) if relay.is_news(member, slot) => 'p',
                        Mark::Newest(_) => 'p',
                        _ => 'k',
                    };
                    format!("{kind} {user} {number}")
                }
            };
            append_text_frame(text.as_bytes(), out);
            true
        };
        let flushed = self
            .outbox
            .flush(
                &mut self.socket,
                &self.frames,
                hold,
                &mut self.gather,
                newest,
            )
            .expect("the socket does not fail");
        let is_blocked = flushed.blocked || flushed.paused;
        self.is_blocked = is_blocked;
        self.is_introducing = false;
        self.led.clear();
        if !hold || is_blocked {
            self.announced.clear();
        }
        self.has_changed &= hold && !is_blocked;
        self.read_all();
        if is_blocked {
            self.promises
                .block(&self.socket.socket_mut().taken[self.read..]);
        } else if !hold {
            self.promises.check_flushed();
        }
        if !hold || is_blocked {
            self.frames.clear();
        }
    }

    /// Reads whole frames, and judges each.
    fn read_all(&mut self) {
        loop {
            let mut cursor = Cursor::new(&self.socket.socket_mut().taken[self.read..]);
            let Some((header, length)) = FrameHeader::parse(&mut cursor).expect("a frame") else {
                return;
            };
            let start = self.read + cursor.position() as usize;
            let end = start + length as usize;
            let Some(payload) = self.socket.socket_mut().taken.get(start..end) else {
                return;
            };
            let text = std::str::from_utf8(payload).expect("ours");
            assert!(header.is_final);
            self.read = end;
            self.promises.judge(text);
        }
    }

    pub(super) fn error(&mut self) {
        let text = format!("e {}", self.next_number());
        let fits = self
            .outbox
            .push_error(text.as_bytes(), &mut self.frames, false);
        assert!(fits);
        self.promises.errors.push(text);
    }

    pub(super) fn ping(&mut self) {
        let text = format!("o {}", self.next_number());
        (self.outbox).push_pong_message(text.as_bytes(), &mut self.frames, false);
        self.promises.pongs.push(text);
    }

    /// When all room is given, everybody's newest has arrived, and nothing is owed.
    pub(super) fn check_end(&mut self) {
        self.socket().room = usize::MAX;
        self.gather.allow_trails(usize::MAX);
        self.flush(false);
        assert!(!self.is_blocked && self.outbox.is_empty());
        self.promises.check_end();
    }
}

/// A position with a number as the thousandths of its latitude.
fn fix(number: u32) -> Fix {
    let lat = format!("{number}e-3");
    Fix::new(Bounds::Finite, Some(&lat), Some("0"), |_| None).expect("numbers")
}

fn number_of(fix: &Fix) -> u32 {
    let digits = fix.lat_digits().strip_suffix("e-3");
    digits.and_then(|digits| digits.parse().ok()).expect("ours")
}

fn last_known(relay: &Relay, member: MemberKey, slot: u32, now: Instant) -> Option<(String, u32)> {
    let known = relay.say_position(member, slot, now)?;
    Some((known.user.to_owned(), number_of(known.fix)))
}
