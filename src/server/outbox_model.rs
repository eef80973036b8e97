//! The outbox, with the relay behind it, against what a follower may and must see.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor, ErrorKind, Write};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tungstenite::protocol::frame::FrameHeader;

use super::wire::frames::{Frames, append_text_frame};
use super::wire::outbox::{Gather, Mark, Outbox, Pushed};
use super::wire::stream::Stream;
use crate::fix::{Bounds, Fix};
use crate::relay::{Authority, MemberKey, Now, Owed, Published, Relay, Rules};
use crate::user::UserId;

const USERS: u32 = 5;

#[derive(Clone, Debug)]
enum Operation {
    Publish(u32),
    Follow(u32),
    Unfollow(u32),
    /// A user's presence changes.
    Change(u32),
    /// The number of followers changes.
    Audience,
    Error,
    Ping,
    /// The socket takes so many bytes more.
    Room(usize),
    /// The tick ends, and positions are held back or not.
    Flush(bool),
}

fn operation() -> impl Strategy<Value = Operation> {
    let user = 0..USERS;
    prop_oneof![
        8 => user.clone().prop_map(Operation::Publish),
        2 => user.clone().prop_map(Operation::Follow),
        1 => user.clone().prop_map(Operation::Unfollow),
        2 => user.prop_map(Operation::Change),
        1 => Just(Operation::Audience),
        1 => Just(Operation::Error),
        1 => Just(Operation::Ping),
        4 => (0..60usize).prop_map(Operation::Room),
        5 => prop::bool::weighted(0.2).prop_map(Operation::Flush),
    ]
}

/// A socket with little room.
#[derive(Default)]
struct Socket {
    room: usize,
    taken: Vec<u8>,
}

/// A position with a number in the place of its latitude.
fn fix(number: u32) -> Fix {
    let lat = number.to_string();
    Fix::new(Bounds::Finite, Some(&lat), Some("0"), |_| None).expect("numbers")
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

/// What must arrive about a followed user.
struct Awaited {
    /// The first number that may arrive.
    first: u32,
    /// The newest that must, if any.
    newest: Option<u32>,
    /// Whether a last known position must come before all others.
    last_known_due: bool,
    /// Whether presence must come before that.
    presence_due: bool,
}

/// Messages are `p user number`, `k user number` for last known ones, `h user number` for
/// presence, `a number` for the audience, `e number` and pongs `o number`; numbers rise.
struct World {
    relay: Relay,
    /// The follower.
    watcher: Authority,
    /// Whoever sends positions.
    gateway: Authority,
    outbox: Outbox,
    socket: Stream<Socket>,
    frames: Frames,
    gather: Gather,
    now: Now,
    number: u32,
    is_blocked: bool,
    /// Positions pushed while the socket took everything, and not flushed since.
    certain: Vec<String>,
    /// Those of them that are about a user who was unfollowed since.
    leftover: Vec<String>,
    /// The one of those that was begun when the socket took no more, perhaps: what comes next.
    begun: Option<String>,
    errors: Vec<String>,
    pongs: Vec<String>,
    awaited: BTreeMap<String, Awaited>,
    /// The newest number received per user.
    seen: BTreeMap<String, u32>,
    /// The number of each user's presence now, and the newest received.
    presence: BTreeMap<String, u32>,
    seen_presence: BTreeMap<String, u32>,
    audience: u32,
    seen_audience: u32,
    read: usize,
    /// Users that were unfollowed after the frame that comes next was begun.
    half_sent: BTreeSet<String>,
}

impl World {
    fn new() -> World {
        let mut relay = Relay::new(Rules {
            needs_grant: false,
            follows_max: 100,
            follows_total_max: 100,
            rate_max: None,
            last_known_max: 100,
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
            certain: Vec::new(),
            leftover: Vec::new(),
            begun: None,
            errors: Vec::new(),
            pongs: Vec::new(),
            awaited: BTreeMap::new(),
            seen: BTreeMap::new(),
            presence: BTreeMap::new(),
            seen_presence: BTreeMap::new(),
            audience: 0,
            seen_audience: 0,
            read: 0,
            half_sent: BTreeSet::new(),
        }
    }

    fn member(&self) -> MemberKey {
        self.watcher.member().expect("it joined")
    }

    fn next_number(&mut self) -> u32 {
        self.number += 1;
        self.number
    }

    fn publish(&mut self, user: &str) {
        let number = self.next_number();
        let id = UserId::from_integer(user).expect("a number");
        let published = (self.relay).publish(&mut self.gateway, Some(&id), fix(number), self.now);
        let Ok(Published::Live(runner)) = published else {
            panic!("{published:?}");
        };
        if let Some(awaited) = self.awaited.get_mut(user) {
            awaited.newest = Some(number);
        }
        let Some(follower) = self.relay.followers(runner).first().copied() else {
            return;
        };
        let message = format!("p {user} {number}");
        let frame = self.frames.push(message.as_bytes());
        if matches!(
            self.outbox.push(frame, follower.slot),
            Pushed::First | Pushed::Due
        ) {
            self.certain.push(message);
        } else {
            assert!(
                self.is_blocked,
                "{message} as a mark, though the socket takes everything"
            );
        }
    }

    fn follow(&mut self, user: &str) {
        let id = UserId::from_integer(user).expect("a number");
        let before = self.relay.following(self.member());
        self.relay.follow(&self.watcher, &[id], &mut Vec::new());
        if self.relay.following(self.member()) == before {
            assert!(!self.relay.has_debts());
            return;
        }
        // After an unfollow, the same may come again.
        self.seen.remove(user);
        self.seen_presence.remove(user);
        let mut awaited = Awaited {
            first: self.number + 1,
            newest: None,
            last_known_due: false,
            presence_due: false,
        };
        for debt in self.relay.take_debts() {
            match debt.owed {
                Owed::Presence(slot) => {
                    awaited.presence_due = true;
                    self.outbox.push_presence(slot);
                }
                Owed::LastKnown { slot, .. } => {
                    let number = self.last_known(slot).expect("there is one").1;
                    awaited.first = number;
                    awaited.newest = Some(number);
                    awaited.last_known_due = true;
                    self.owe_last_known(slot, &format!("k {user} {number}"));
                }
                owed => panic!("{owed:?} for a follow"),
            }
        }
        assert!(awaited.presence_due);
        self.awaited.insert(user.to_owned(), awaited);
    }

    fn owe_last_known(&mut self, slot: u32, message: &str) {
        if self.outbox.is_behind() {
            self.outbox.mark_last_known(slot);
        } else {
            let frame = self.frames.push(message.as_bytes());
            self.outbox.push_with_age(frame, slot);
            self.certain.push(message.to_owned());
        }
    }

    /// The user in a slot, and the newest number of it.
    fn last_known(&self, slot: u32) -> Option<(String, u32)> {
        last_known(&self.relay, self.member(), slot, self.now.monotonic)
    }

    fn change(&mut self, user: &str) {
        let number = self.next_number();
        self.presence.insert(user.to_owned(), number);
        let following = self.relay.following(self.member()) as u32;
        let is_of_user = |slot: &u32| {
            let presence = self
                .relay
                .say_presence(self.member(), *slot, self.now.monotonic);
            presence.is_some_and(|presence| presence.user == user)
        };
        if let Some(slot) = (0..following).find(is_of_user) {
            self.outbox.push_presence(slot);
        }
    }

    fn change_audience(&mut self) {
        self.audience = self.next_number();
        self.outbox.push_audience();
    }

    fn unfollow(&mut self, user: &str) {
        if self.socket.socket_mut().taken.len() > self.read {
            self.half_sent.insert(user.to_owned());
        }
        let id = UserId::from_integer(user).expect("a number");
        self.relay.unfollow(&self.watcher, &[id]);
        for debt in self.relay.take_debts() {
            let Owed::Ended { slot, renumbered } = debt.owed else {
                panic!("{debt:?} for the end of a follow");
            };
            self.outbox.unfollow(slot, renumbered);
            self.awaited.remove(user);
            // What was accepted before still arrives, but a new follow begins anew.
            let is_about = |message: &mut String| message.split(' ').nth(1) == Some(user);
            self.leftover.extend(self.certain.extract_if(.., is_about));
        }
    }

    fn flush(&mut self, hold: bool) {
        let (relay, member, now) = (&self.relay, self.member(), self.now.monotonic);
        let (presence, audience) = (&self.presence, self.audience);
        let newest = |mark: Mark, out: &mut Vec<u8>| {
            let text = match mark {
                Mark::Audience => format!("a {audience}"),
                Mark::Presence(slot) => {
                    let user = relay
                        .say_presence(member, slot, now)
                        .expect("asked for")
                        .user;
                    let number = presence.get(user).copied().unwrap_or_default();
                    format!("h {user} {number}")
                }
                Mark::LastKnown(slot) | Mark::Newest(slot) => {
                    let Some((user, number)) = last_known(relay, member, slot, now) else {
                        return false;
                    };
                    let kind = match mark {
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
        self.is_blocked = flushed.blocked;
        self.read_all();
        if flushed.blocked {
            let begun = &self.socket.socket_mut().taken[self.read..];
            let is_begun = |message: &String| {
                let mut frame = Vec::new();
                append_text_frame(message.as_bytes(), &mut frame);
                !begun.is_empty() && frame.starts_with(begun)
            };
            let first = std::mem::take(&mut self.leftover)
                .into_iter()
                .find(is_begun);
            self.begun = self.begun.take().or(first);
            self.certain.clear();
        } else if !hold {
            assert!(
                self.certain.is_empty() && self.leftover.is_empty(),
                "lost while the socket took everything: {:?} {:?}",
                self.certain,
                self.leftover
            );
        }
        if !hold || flushed.blocked {
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
            let text = String::from_utf8(payload.to_vec()).expect("ours");
            assert!(header.is_final);
            self.read = end;
            let unfollowed = std::mem::take(&mut self.half_sent);
            if self.begun.take().as_ref() != Some(&text) {
                self.judge(&text, &unfollowed);
            }
        }
    }

    fn judge(&mut self, text: &str, unfollowed: &BTreeSet<String>) {
        let words: Vec<&str> = text.split(' ').collect();
        match words[..] {
            ["e", _] => assert_eq!(self.errors.remove(0), text, "errors come in order"),
            ["o", _] => {
                let at = self
                    .pongs
                    .iter()
                    .position(|pong| pong == text)
                    .expect("answers a ping, once, in order");
                self.pongs.drain(..=at);
            }
            ["a", number] => {
                let number: u32 = number.parse().expect("a number");
                assert!(number > self.seen_audience, "{text}: older, or twice");
                self.seen_audience = number;
            }
            ["h", user, number] => {
                let number: u32 = number.parse().expect("a number");
                let Some(awaited) = self.awaited.get_mut(user) else {
                    return;
                };
                if unfollowed.contains(user) {
                    return;
                }
                awaited.presence_due = false;
                let seen = self.seen_presence.insert(user.to_owned(), number);
                assert!(seen <= Some(number), "{text} after {seen:?}");
            }
            [kind, user, number] => {
                let number: u32 = number.parse().expect("a number");
                self.certain.retain(|message| message != text);
                if let Some(at) = self.leftover.iter().position(|message| message == text) {
                    self.leftover.remove(at);
                    return;
                }
                let Some(awaited) = self.awaited.get_mut(user) else {
                    return;
                };
                if number < awaited.first || unfollowed.contains(user) {
                    // From before the user was unfollowed and followed again.
                    return;
                }
                assert_eq!(
                    kind == "k",
                    awaited.last_known_due,
                    "{text}: last known ones come first, once"
                );
                awaited.last_known_due = false;
                assert!(!awaited.presence_due, "{text}: presence comes first");
                let seen = self.seen.insert(user.to_owned(), number);
                assert!(
                    seen < Some(number),
                    "{text} after {seen:?}: older after newer, or twice"
                );
            }
            _ => panic!("{text:?} was never sent"),
        }
    }

    fn error(&mut self) {
        let text = format!("e {}", self.next_number());
        let fits = self
            .outbox
            .push_error(text.as_bytes(), &mut self.frames, false);
        assert!(fits);
        self.errors.push(text);
    }

    fn ping(&mut self) {
        let text = format!("o {}", self.next_number());
        (self.outbox).push_pong_message(text.as_bytes(), &mut self.frames, false);
        self.pongs.push(text);
    }

    /// When all room is given, everybody's newest has arrived, and nothing is owed.
    fn check_end(&mut self) {
        self.socket.socket_mut().room = usize::MAX;
        self.flush(false);
        assert!(!self.is_blocked && self.outbox.is_empty());
        assert!(self.errors.is_empty() && self.pongs.is_empty());
        for (user, Awaited { newest, .. }) in &self.awaited {
            assert_eq!(self.seen.get(user), newest.as_ref(), "the newest of {user}");
            let presence = self.presence.get(user).copied().unwrap_or_default();
            let seen = self.seen_presence.get(user);
            assert_eq!(seen, Some(&presence), "the presence of {user}");
        }
        assert_eq!(self.seen_audience, self.audience);
    }
}

fn last_known(relay: &Relay, member: MemberKey, slot: u32, now: Instant) -> Option<(String, u32)> {
    let known = relay.say_position(member, slot, now)?;
    let number = known.fix.lat_digits().parse().expect("a number");
    Some((known.user.to_owned(), number))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_follower_gets_everything_or_else_the_newest_of_each(operations in prop::collection::vec(operation(), 0..150)) {
        let mut world = World::new();
        for operation in operations {
            match operation {
                Operation::Publish(user) => world.publish(&user.to_string()),
                Operation::Follow(user) => world.follow(&user.to_string()),
                Operation::Unfollow(user) => world.unfollow(&user.to_string()),
                Operation::Change(user) => world.change(&user.to_string()),
                Operation::Audience => world.change_audience(),
                Operation::Error => world.error(),
                Operation::Ping => world.ping(),
                Operation::Room(bytes) => world.socket.socket_mut().room += bytes,
                Operation::Flush(hold) => world.flush(hold),
            }
        }
        world.check_end();
    }
}

/// A follower of this many users whose socket takes nothing.
fn stalled(users: u32) -> World {
    let mut world = World::new();
    world.socket.socket_mut().room = usize::MAX;
    for user in 0..users {
        world.follow(&user.to_string());
    }
    world.flush(false);
    world.socket.socket_mut().room = 0;
    world.publish("0");
    world.flush(false);
    assert!(world.is_blocked);
    world
}

#[test]
fn a_stalled_follower_costs_what_it_follows_whatever_the_traffic() {
    let mut world = stalled(USERS);
    let mut room = 0;
    for round in 0..10_000 {
        for user in 0..USERS {
            world.publish(&user.to_string());
        }
        world.ping();
        world.flush(false);
        room = room.max(world.outbox.heap_bytes());
        assert!(round < 10 || room <= 1024, "{room} bytes");
    }
    world.pongs.drain(..world.pongs.len() - 1);
    world.check_end();
    assert_eq!(world.outbox.heap_bytes(), 0, "all room is given back");
}

#[test]
fn who_was_owed_first_is_served_first() {
    let mut world = stalled(4);
    for user in ["2", "0", "3", "2", "1", "0"] {
        world.publish(user);
    }
    world.socket.socket_mut().room = usize::MAX;
    world.flush(false);
    let text = String::from_utf8_lossy(&world.socket.socket_mut().taken).into_owned();
    let order: Vec<char> = text
        .match_indices("p ")
        .filter_map(|(at, _)| text[at + 2..].chars().next())
        .collect();
    assert_eq!(order, ['0', '2', '3', '1']);
}

#[test]
fn errors_that_nobody_reads_are_bounded() {
    let mut world = stalled(1);
    let mut bytes = 0;
    while (world.outbox).push_error(&[b'x'; 100], &mut world.frames, false) {
        bytes += 102;
        assert!(bytes <= 64 * 1024);
    }
    assert!(bytes > 63 * 1024);
}

#[test]
fn followers_of_the_same_runners_are_written_to_without_a_copy() {
    // What reaches the socket is one write of the frames' own bytes.
    struct OneWrite(Vec<usize>);
    impl Write for OneWrite {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.as_ptr() as usize);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut frames = Frames::default();
    let mut socket = Stream::new(OneWrite(Vec::new()));
    let mut outboxes = [Outbox::default(), Outbox::default()];
    for number in 0..20 {
        let frame = frames.push(b"{}");
        for outbox in &mut outboxes {
            outbox.push(frame, number);
        }
    }
    for outbox in &mut outboxes {
        let flushed = outbox
            .flush(
                &mut socket,
                &frames,
                false,
                &mut Gather::default(),
                |_: Mark, _: &mut Vec<u8>| false,
            )
            .expect("the socket does not fail");
        assert_eq!((flushed.bytes, flushed.positions), (80, 20));
    }
    assert_eq!(socket.socket_mut().0.len(), 2);
    let begins = &socket.socket_mut().0;
    assert_eq!(begins[0], begins[1]);
}

#[test]
fn ages_are_told_as_they_are_when_they_go() {
    let mut world = stalled(2);
    world.unfollow("0");
    world.follow("0");
    world.now.monotonic += Duration::from_secs(5);
    world.socket.socket_mut().room = usize::MAX;
    world.flush(false);
    assert!(String::from_utf8_lossy(&world.socket.socket_mut().taken).contains("k 0 1"));
}

#[test]
fn room_that_a_burst_needed_is_given_back() {
    let mut world = World::new();
    world.follow("0");
    world.socket.socket_mut().room = usize::MAX;
    for _ in 0..64 {
        world.publish("0");
    }
    world.flush(false);
    world.outbox.shrink();
    assert!(
        world.outbox.heap_bytes() <= 32,
        "{} bytes",
        world.outbox.heap_bytes()
    );
}
