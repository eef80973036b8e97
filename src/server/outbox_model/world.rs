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
use crate::relay::{Authority, MemberKey, Now, Published, Relay, Rules, RunnerKey};
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
    pub(super) relay: Relay,
    /// The follower.
    pub(super) watcher: Authority,
    /// Whoever sends positions.
    pub(super) gateway: Authority,
    pub(super) outbox: Outbox,
    pub(super) socket: Stream<Socket>,
    pub(super) frames: Frames,
    pub(super) gather: Gather,
    pub(super) now: Now,
    pub(super) number: u32,
    pub(super) is_blocked: bool,
    /// Whether everyone was followed since the last flush.
    pub(super) is_introducing: bool,
    /// Whether some follow ended since.
    pub(super) has_changed: bool,
    /// Of whom a last known position is owed since as a mark, behind a trail.
    pub(super) led: BTreeSet<String>,
    /// Whose presence was told since as a frame, which is not done twice in a second.
    pub(super) announced: BTreeSet<String>,
    pub(super) read: usize,
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
            socket: Stream::plain(Socket::default()),
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

    pub(super) fn member(&self) -> MemberKey {
        self.watcher.member().expect("it joined")
    }

    /// Whether a frame was begun, and is not all there.
    pub(super) fn is_half_sent(&mut self) -> bool {
        self.socket.socket_mut().taken.len() > self.read
    }

    pub(super) fn next_number(&mut self) -> u32 {
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
    pub(super) fn slot(&self, runner: RunnerKey) -> Option<u32> {
        let by_name = self.relay.followers(runner).first();
        let (covered, mut covering) = self.relay.covering(runner);
        let covered = covering.next().map(|_| covered);
        assert!(by_name.is_none() || covered.is_none(), "one slot");
        by_name.map(|follower| follower.slot).or(covered)
    }

    /// The user in a slot, and the newest number of it.
    pub(super) fn last_known(&self, slot: u32) -> Option<(String, u32)> {
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

pub(super) fn number_of(fix: &Fix) -> u32 {
    let digits = fix.lat_digits().strip_suffix("e-3");
    digits.and_then(|digits| digits.parse().ok()).expect("ours")
}

fn last_known(relay: &Relay, member: MemberKey, slot: u32, now: Instant) -> Option<(String, u32)> {
    let known = relay.say_position(member, slot, now)?;
    Some((known.user.to_owned(), number_of(known.fix)))
}
