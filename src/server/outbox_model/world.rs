//! One follower with its outbox, and the relay behind it.
//!
//! Messages are `p user number`, `k user number` for last known ones, `h user number` for
//! presence, `a number` for the audience, `e number` and pongs `o number`; numbers rise.

use std::io::{self, Cursor, ErrorKind, Write};
use std::time::{Duration, Instant};

use tungstenite::protocol::frame::FrameHeader;

use super::promises::{Awaited, Promises};
use crate::fix::{Bounds, Fix};
use crate::relay::{Authority, MemberKey, Now, Owed, Published, Relay, Rules};
use crate::server::wire::frames::{Frames, append_text_frame};
use crate::server::wire::outbox::{Gather, Mark, Outbox, Pushed};
use crate::server::wire::stream::Stream;
use crate::user::UserId;

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
    gather: Gather,
    pub(super) now: Now,
    number: u32,
    pub(super) is_blocked: bool,
    read: usize,
    pub(super) promises: Promises,
}

impl World {
    pub(super) fn new() -> World {
        let mut relay = Relay::new(Rules {
            needs_grant: false,
            follows_all: false,
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

    fn next_number(&mut self) -> u32 {
        self.number += 1;
        self.number
    }

    pub(super) fn publish(&mut self, user: &str) {
        let number = self.next_number();
        let id = UserId::from_integer(user).expect("a number");
        let published = (self.relay).publish(&mut self.gateway, Some(&id), fix(number), self.now);
        let Ok(Published::Live(runner)) = published else {
            panic!("{published:?}");
        };
        self.promises.publish(user, number);
        let Some(follower) = self.relay.followers(runner).first().copied() else {
            return;
        };
        let message = format!("p {user} {number}");
        let frame = self.frames.push(message.as_bytes());
        if matches!(
            self.outbox.push(frame, follower.slot),
            Pushed::First | Pushed::Due
        ) {
            self.promises.certain.push(message);
        } else {
            assert!(
                self.is_blocked,
                "{message} as a mark, though the socket takes everything"
            );
        }
    }

    pub(super) fn follow(&mut self, user: &str) {
        let id = UserId::from_integer(user).expect("a number");
        let before = self.relay.following(self.member());
        self.relay.follow(&self.watcher, &[id], &mut Vec::new());
        if self.relay.following(self.member()) == before {
            assert!(!self.relay.has_debts());
            return;
        }
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
        self.promises.follow(user, awaited);
    }

    fn owe_last_known(&mut self, slot: u32, message: &str) {
        if self.outbox.is_behind() {
            self.outbox.mark_last_known(slot);
        } else {
            let frame = self.frames.push(message.as_bytes());
            self.outbox.push_with_age(frame, slot);
            self.promises.certain.push(message.to_owned());
        }
    }

    /// The user in a slot, and the newest number of it.
    fn last_known(&self, slot: u32) -> Option<(String, u32)> {
        last_known(&self.relay, self.member(), slot, self.now.monotonic)
    }

    pub(super) fn change(&mut self, user: &str) {
        let number = self.next_number();
        self.promises.presence.insert(user.to_owned(), number);
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

    pub(super) fn change_audience(&mut self) {
        self.promises.audience = self.next_number();
        self.outbox.push_audience();
    }

    pub(super) fn unfollow(&mut self, user: &str) {
        let is_half_sent = self.socket.socket_mut().taken.len() > self.read;
        self.promises.unfollow(user, is_half_sent);
        let id = UserId::from_integer(user).expect("a number");
        self.relay.unfollow(&self.watcher, &[id]);
        for debt in self.relay.take_debts() {
            let Owed::Ended { slot, renumbered } = debt.owed else {
                panic!("{debt:?} for the end of a follow");
            };
            self.outbox.unfollow(slot, renumbered);
        }
    }

    pub(super) fn flush(&mut self, hold: bool) {
        let (relay, member, now) = (&self.relay, self.member(), self.now.monotonic);
        let promises = &self.promises;
        let newest = |mark: Mark, out: &mut Vec<u8>| {
            let text = match mark {
                Mark::Audience => format!("a {}", promises.audience),
                Mark::Presence(slot) => {
                    let user = relay
                        .say_presence(member, slot, now)
                        .expect("asked for")
                        .user;
                    let number = promises.presence.get(user).copied().unwrap_or_default();
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
            self.promises
                .block(&self.socket.socket_mut().taken[self.read..]);
        } else if !hold {
            self.promises.check_flushed();
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
        self.flush(false);
        assert!(!self.is_blocked && self.outbox.is_empty());
        self.promises.check_end();
    }
}

/// A position with a number in the place of its latitude.
fn fix(number: u32) -> Fix {
    let lat = number.to_string();
    Fix::new(Bounds::Finite, Some(&lat), Some("0"), |_| None).expect("numbers")
}

fn last_known(relay: &Relay, member: MemberKey, slot: u32, now: Instant) -> Option<(String, u32)> {
    let known = relay.say_position(member, slot, now)?;
    let number = known.fix.lat_digits().parse().expect("a number");
    Some((known.user.to_owned(), number))
}
