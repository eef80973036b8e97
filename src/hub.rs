//! Who follows whom, and where everyone was last. Connections are plain numbers here: the hub
//! never sees a socket, a clock or a message's meaning.

mod member;

use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use slab::Slab;

use crate::queue::SlotQueue;
use member::{Follow, Member, SPARE_ENTRIES_MAX, give_back_spare};

/// A fix this far ahead of the server's clock, in milliseconds, counts as made now: a phone's
/// wrong clock must not freeze its dot.
const FUTURE_MS_MAX: f64 = 60_000.0;

/// What a last known position may weigh on average, in bytes: with more, fewer are kept.
const LAST_KNOWN_BYTES_MEAN_MAX: usize = 256;

/// The clocks' readings, taken once per tick and handed in.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For ages: never jumps.
    pub monotonic: Instant,
    /// For the comparison with the senders' timestamps: milliseconds since the start of 1970 UTC.
    pub unix_ms: f64,
}

/// A user whom somebody follows, publishes for or is. Valid while one of these holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunnerKey(u32);

/// One connection's follow of one runner, seen from the runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follower {
    /// The connection that follows.
    pub connection: u32,
    /// Which of that connection's follows this is: 0 up to how many it has.
    pub slot: u32,
}

/// A follow that was ended. Slots stay dense: the connection's last follow took the free slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfollowed {
    /// The slot that became free.
    pub slot: u32,
    /// The slot that now answers to `slot` instead, unless they are the same.
    pub renumbered: u32,
}

#[derive(Debug)]
struct Runner {
    id: Rc<str>,
    followers: Vec<Follower>,
    /// Connections that declared this id.
    declared: u32,
    last: Option<LastKnown>,
}

#[derive(Debug)]
struct LastKnown {
    message: Vec<u8>,
    received_at: Instant,
    newest_fix_ms: Option<f64>,
}

/// The registry of follows and last known positions.
#[derive(Debug)]
pub struct Hub {
    keys: HashMap<Rc<str>, u32>,
    runners: Slab<Runner>,
    members: Vec<Member>,
    /// Runners with a last known position, the longest unheard first.
    heard: SlotQueue,
    last_known: usize,
    last_known_bytes: usize,
    last_known_max: usize,
    follows: usize,
}

impl Hub {
    /// An empty hub that keeps at most `last_known_max` last known positions.
    pub fn new(last_known_max: usize) -> Hub {
        Hub {
            keys: HashMap::new(),
            runners: Slab::new(),
            members: Vec::new(),
            heard: SlotQueue::default(),
            last_known: 0,
            last_known_bytes: 0,
            last_known_max,
            follows: 0,
        }
    }

    /// Adds a follow and says its slot, or `None` if the connection follows the user already.
    pub fn follow(&mut self, connection: u32, user: &str) -> Option<u32> {
        if self.slot(connection, user).is_some() {
            return None;
        }
        let key = self.key_or_new(user);
        let member = self.member(connection);
        let slot = member.following.len() as u32;
        let runner = &mut self.runners[key as usize];
        let at = runner.followers.len() as u32;
        runner.followers.push(Follower { connection, slot });
        self.members[connection as usize].push(Follow { runner: key, at });
        self.follows += 1;
        Some(slot)
    }

    /// Ends a follow; `None` if there was none.
    pub fn unfollow(&mut self, connection: u32, user: &str) -> Option<Unfollowed> {
        let slot = self.slot(connection, user)?;
        let member = &mut self.members[connection as usize];
        let follow = member.swap_remove(slot);
        let renumbered = member.following.len() as u32;
        if let Some(moved) = member.following.get(slot as usize) {
            self.runners[moved.runner as usize].followers[moved.at as usize].slot = slot;
        }
        self.detach(follow);
        Some(Unfollowed { slot, renumbered })
    }

    /// Which of the connection's follows the user is; `None` if it does not follow the user.
    pub fn slot(&self, connection: u32, user: &str) -> Option<u32> {
        let key = *self.keys.get(user)?;
        self.members.get(connection as usize)?.slot(key)
    }

    /// The user, if anybody follows, declared or published it.
    pub fn runner(&self, user: &str) -> Option<RunnerKey> {
        self.keys.get(user).copied().map(RunnerKey)
    }

    /// How many users the connection follows.
    pub fn following(&self, connection: u32) -> usize {
        self.members
            .get(connection as usize)
            .map_or(0, |member| member.following.len())
    }

    /// The users that the connection follows.
    pub fn followed(&self, connection: u32) -> impl Iterator<Item = &str> {
        self.members
            .get(connection as usize)
            .map_or(&[][..], |member| &member.following)
            .iter()
            .map(|follow| &*self.runners[follow.runner as usize].id)
    }

    /// Binds the connection to a user id for good; `false` if it is bound to another one.
    pub fn declare(&mut self, connection: u32, user: &str) -> bool {
        if let Some(declared) = self.member(connection).declared {
            return &*self.runners[declared as usize].id == user;
        }
        let key = self.key_or_new(user);
        self.runners[key as usize].declared += 1;
        self.members[connection as usize].declared = Some(key);
        true
    }

    /// The user that the connection declared.
    pub fn declared(&self, connection: u32) -> Option<RunnerKey> {
        self.members
            .get(connection as usize)?
            .declared
            .map(RunnerKey)
    }

    /// A user's id.
    pub fn id(&self, runner: RunnerKey) -> &str {
        self.runners
            .get(runner.0 as usize)
            .map_or("", |runner| &runner.id)
    }

    /// Forgets everything about a connection. Costs what it followed, not what others follow.
    pub fn leave(&mut self, connection: u32) {
        let Some(member) = self.members.get_mut(connection as usize) else {
            return;
        };
        let Member {
            following,
            declared,
            ..
        } = std::mem::take(member);
        for follow in following {
            self.detach(follow);
        }
        while self.members.last().is_some_and(Member::is_nobody) {
            self.members.pop();
        }
        give_back_spare(&mut self.members);
        if let Some(key) = declared {
            self.runners[key as usize].declared -= 1;
            self.forget_unused(key);
        }
    }

    /// The user of this id. One that is new stays only if it is published for, and must be
    /// forgotten with [`Hub::forget_if_unused`] otherwise.
    pub fn runner_or_new(&mut self, user: &str) -> RunnerKey {
        RunnerKey(self.key_or_new(user))
    }

    /// Forgets a user whom nobody follows, declared or published for.
    pub fn forget_if_unused(&mut self, runner: RunnerKey) {
        self.forget_unused(runner.0);
    }

    /// Keeps `message` as the user's last known position; `false` if its fix, made at
    /// `timestamp_ms` by its sender's clock, is older than the user's newest.
    pub fn publish(
        &mut self,
        runner: RunnerKey,
        message: &[u8],
        timestamp_ms: Option<f64>,
        now: Now,
    ) -> bool {
        let key = runner.0;
        let fix_ms = fix_ms(timestamp_ms, now);
        match &mut self.runners[key as usize].last {
            Some(last) => {
                if matches!((fix_ms, last.newest_fix_ms), (Some(fix), Some(newest)) if fix < newest)
                {
                    return false;
                }
                self.last_known_bytes = self.last_known_bytes + message.len() - last.message.len();
                last.message.clear();
                last.message.shrink_to(2 * message.len());
                last.message.extend_from_slice(message);
                last.received_at = now.monotonic;
                last.newest_fix_ms = fix_ms.or(last.newest_fix_ms);
            }
            last => {
                self.last_known += 1;
                self.last_known_bytes += message.len();
                *last = Some(LastKnown {
                    message: message.to_vec(),
                    received_at: now.monotonic,
                    newest_fix_ms: fix_ms,
                });
            }
        }
        self.heard.remove(key);
        self.heard.push(key);
        while self.last_known > self.last_known_max
            || self.last_known_bytes
                > self
                    .last_known_max
                    .saturating_mul(LAST_KNOWN_BYTES_MEAN_MAX)
        {
            // The newest always stays: it is on its way to followers.
            match self.heard.first() {
                Some(oldest) if oldest != key => self.forget_last_known(oldest),
                _ => break,
            }
        }
        true
    }

    /// Forgets last known positions that were received before this time, so many at most; says
    /// whether there may be more of them.
    pub fn forget_before(&mut self, time: Instant, forget_max: usize) -> bool {
        for _ in 0..forget_max {
            let oldest = self.heard.first().filter(|oldest| {
                let last = self.runners[*oldest as usize].last.as_ref();
                last.is_none_or(|last| last.received_at < time)
            });
            match oldest {
                Some(oldest) => self.forget_last_known(oldest),
                None => {
                    self.give_back_room();
                    return false;
                }
            }
        }
        true
    }

    fn give_back_room(&mut self) {
        if self.keys.capacity() > 4 * self.keys.len() + SPARE_ENTRIES_MAX {
            self.keys.shrink_to(2 * self.keys.len());
            self.runners.shrink_to_fit();
            self.heard.shrink_to(self.runners.capacity());
        }
    }

    /// The connections that follow a runner.
    pub fn followers(&self, runner: RunnerKey) -> &[Follower] {
        self.runners
            .get(runner.0 as usize)
            .map_or(&[], |runner| &runner.followers)
    }

    /// The newest message about the runner in one slot of a connection, and its age.
    pub fn newest(&self, connection: u32, slot: u32, now: Instant) -> Option<(&[u8], Duration)> {
        let follow = self
            .members
            .get(connection as usize)?
            .following
            .get(slot as usize)?;
        let last = self.runners[follow.runner as usize].last.as_ref()?;
        Some((
            &last.message,
            now.saturating_duration_since(last.received_at),
        ))
    }

    /// How many follows there are, over all connections.
    pub fn follows_total(&self) -> usize {
        self.follows
    }

    /// How many users are followed, declared or remembered.
    pub fn runners_total(&self) -> usize {
        self.runners.len()
    }

    fn member(&mut self, connection: u32) -> &mut Member {
        let index = connection as usize;
        if self.members.len() <= index {
            self.members.resize_with(index + 1, Member::default);
        }
        &mut self.members[index]
    }

    fn key_or_new(&mut self, user: &str) -> u32 {
        if let Some(key) = self.keys.get(user) {
            return *key;
        }
        let id: Rc<str> = Rc::from(user);
        let runner = Runner {
            id: Rc::clone(&id),
            followers: Vec::new(),
            declared: 0,
            last: None,
        };
        let key = self.runners.insert(runner) as u32;
        self.keys.insert(id, key);
        key
    }

    /// Takes a follow out of its runner's list.
    fn detach(&mut self, follow: Follow) {
        let followers = &mut self.runners[follow.runner as usize].followers;
        followers.swap_remove(follow.at as usize);
        give_back_spare(followers);
        if let Some(moved) = followers.get(follow.at as usize) {
            self.members[moved.connection as usize].following[moved.slot as usize].at = follow.at;
        }
        self.follows -= 1;
        self.forget_unused(follow.runner);
    }

    fn forget_last_known(&mut self, key: u32) {
        self.heard.remove(key);
        if let Some(last) = self.runners[key as usize].last.take() {
            self.last_known -= 1;
            self.last_known_bytes -= last.message.len();
        }
        self.forget_unused(key);
    }

    fn forget_unused(&mut self, key: u32) {
        let runner = &self.runners[key as usize];
        if runner.followers.is_empty() && runner.declared == 0 && runner.last.is_none() {
            let runner = self.runners.remove(key as usize);
            self.keys.remove(&runner.id);
        }
    }
}

/// What a sender's timestamp counts as: nothing if it is missing, now if it is in the far future.
fn fix_ms(timestamp_ms: Option<f64>, now: Now) -> Option<f64> {
    timestamp_ms.map(|fix| {
        if fix > now.unix_ms + FUTURE_MS_MAX {
            now.unix_ms
        } else {
            fix
        }
    })
}
