//! The outbox, with the hub behind it, against what a follower may and must see.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor, ErrorKind, Write};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use spectate::hub::{Hub, Now};
use spectate::position::Spelling;
use spectate::server::frames::{Frames, append_text_frame};
use spectate::server::outbox::{Gather, Mark, Outbox, Pushed};
use tungstenite::protocol::frame::FrameHeader;

const USERS: u32 = 5;
const CONNECTION: u32 = 3;

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
    hub: Hub,
    outbox: Outbox,
    socket: Socket,
    frames: Frames,
    gather: Gather,
    now: Now,
    number: u32,
    is_blocked: bool,
    /// Positions pushed while the socket took everything, and not flushed since.
    certain: Vec<String>,
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
        let mut world = World {
            hub: Hub::new(100),
            outbox: Outbox::default(),
            socket: Socket::default(),
            frames: Frames::default(),
            gather: Gather::default(),
            now: Now {
                monotonic: Instant::now(),
                unix_ms: 0.0,
            },
            number: 0,
            is_blocked: false,
            certain: Vec::new(),
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
        };
        world.hub.ask_presence(CONNECTION, true);
        world
    }

    fn next_number(&mut self) -> u32 {
        self.number += 1;
        self.number
    }

    fn publish(&mut self, user: &str) {
        let number = self.next_number();
        let message = format!("p {user} {number}");
        let runner = self.hub.runner_or_new(user);
        assert!(self.hub.publish(runner, message.as_bytes(), None, self.now));
        if let Some(awaited) = self.awaited.get_mut(user) {
            awaited.newest = Some(number);
        }
        let follower = self.hub.followers(runner).first().copied();
        let Some(follower) = follower else { return };
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
        let Some(slot) = self.hub.follow(CONNECTION, user, Spelling::String) else {
            return;
        };
        let last_known =
            self.hub
                .newest(CONNECTION, slot, self.now.monotonic)
                .map(|(message, _)| {
                    let text = String::from_utf8(message.to_vec()).expect("ours");
                    text.rsplit(' ')
                        .next()
                        .expect("a number")
                        .parse()
                        .expect("a number")
                });
        let awaited = Awaited {
            first: last_known.unwrap_or(self.number + 1),
            newest: last_known,
            last_known_due: last_known.is_some(),
            presence_due: true,
        };
        self.awaited.insert(user.to_owned(), awaited);
        // After an unfollow, the same may come again.
        self.seen.remove(user);
        self.seen_presence.remove(user);
        self.outbox.push_presence(slot);
        if last_known.is_some() {
            self.outbox.push_last_known(slot);
        }
        self.flush(true);
    }

    fn change(&mut self, user: &str) {
        let number = self.next_number();
        self.presence.insert(user.to_owned(), number);
        if let Some(slot) = self.hub.slot(CONNECTION, user) {
            self.outbox.push_presence(slot);
        }
    }

    fn change_audience(&mut self) {
        self.audience = self.next_number();
        self.outbox.push_audience();
    }

    fn unfollow(&mut self, user: &str) {
        self.flush(false);
        if self.socket.taken.len() > self.read {
            self.half_sent.insert(user.to_owned());
        }
        if let Some(unfollowed) = self.hub.unfollow(CONNECTION, user) {
            self.outbox.unfollow(unfollowed.slot, unfollowed.renumbered);
            self.awaited.remove(user);
        }
    }

    fn flush(&mut self, hold: bool) {
        let (hub, now) = (&self.hub, self.now.monotonic);
        let (presence, audience) = (&self.presence, self.audience);
        let newest = |mark: Mark, out: &mut Vec<u8>| {
            let (slot, kind) = match mark {
                Mark::Audience => {
                    append_text_frame(format!("a {audience}").as_bytes(), out);
                    return true;
                }
                Mark::Presence(slot) => {
                    let user = hub.presence(CONNECTION, slot, now).expect("asked for").user;
                    let number = presence.get(user).copied().unwrap_or_default();
                    append_text_frame(format!("h {user} {number}").as_bytes(), out);
                    return true;
                }
                Mark::LastKnown(slot) => (slot, b'k'),
                Mark::Newest(slot) => (slot, b'p'),
            };
            let Some((message, _)) = hub.newest(CONNECTION, slot, now) else {
                return false;
            };
            let mut message = message.to_vec();
            message[0] = kind;
            append_text_frame(&message, out);
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
            self.certain.clear();
        } else if !hold {
            assert!(
                self.certain.is_empty(),
                "lost while the socket took everything: {:?}",
                self.certain
            );
        }
        if !hold || flushed.blocked {
            self.frames.clear();
        }
    }

    /// Reads whole frames, and judges each.
    fn read_all(&mut self) {
        loop {
            let mut cursor = Cursor::new(&self.socket.taken[self.read..]);
            let Some((header, length)) = FrameHeader::parse(&mut cursor).expect("a frame") else {
                return;
            };
            let start = self.read + cursor.position() as usize;
            let end = start + length as usize;
            let Some(payload) = self.socket.taken.get(start..end) else {
                return;
            };
            let text = String::from_utf8(payload.to_vec()).expect("ours");
            assert!(header.is_final);
            self.read = end;
            let unfollowed = std::mem::take(&mut self.half_sent);
            self.judge(&text, &unfollowed);
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
        assert!(self.outbox.push_error(text.as_bytes()));
        self.errors.push(text);
    }

    fn ping(&mut self) {
        let text = format!("o {}", self.next_number());
        let mut frame = Vec::new();
        append_text_frame(text.as_bytes(), &mut frame);
        self.outbox.push_pong(&frame);
        self.pongs.push(text);
    }

    /// When all room is given, everybody's newest has arrived, and nothing is owed.
    fn check_end(&mut self) {
        self.socket.room = usize::MAX;
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]
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
                Operation::Room(bytes) => world.socket.room += bytes,
                Operation::Flush(hold) => world.flush(hold),
            }
        }
        world.check_end();
    }
}

/// A follower of this many users whose socket takes nothing.
fn stalled(users: u32) -> World {
    let mut world = World::new();
    world.socket.room = usize::MAX;
    for user in 0..users {
        world.follow(&user.to_string());
    }
    world.socket.room = 0;
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
    world.socket.room = usize::MAX;
    world.flush(false);
    let text = String::from_utf8_lossy(&world.socket.taken).into_owned();
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
    while world.outbox.push_error(&[b'x'; 100]) {
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
    let mut socket = OneWrite(Vec::new());
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
    assert_eq!(socket.0.len(), 2);
    assert_eq!(socket.0[0], socket.0[1]);
}

#[test]
fn ages_are_told_as_they_are_when_they_go() {
    let mut world = stalled(2);
    world.unfollow("0");
    world.follow("0");
    world.now.monotonic += Duration::from_secs(5);
    world.socket.room = usize::MAX;
    world.flush(false);
    assert!(String::from_utf8_lossy(&world.socket.taken).contains("k 0 1"));
}

#[test]
fn room_that_a_burst_needed_is_given_back() {
    let mut world = World::new();
    world.follow("0");
    world.socket.room = usize::MAX;
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
