//! Who follows whom, and where everyone was last. Connections are plain numbers here: the hub
//! never sees a socket, a clock or a message's meaning.

mod audience;
mod last_known;
mod member;
mod presence;

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

use slab::Slab;

use crate::position::Spelling;
use crate::queue::SlotQueue;
use audience::Audiences;
use last_known::LastKnown;
use member::{Follow, Member, give_back_spare};

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
    /// Of those, the ones that follow it.
    own_followers: u32,
    /// Followers that asked for presence.
    watchers: u32,
    /// Whether its last known position is a live one.
    is_live: bool,
    /// Whether its presence changed, and the watchers are to be told.
    has_changed: bool,
    /// Whether somebody asked for its audience.
    has_askers: bool,
    /// Whether its audience changed, and they are to be told.
    is_awaited: bool,
    last: Option<LastKnown>,
}

/// The registry of follows and last known positions.
#[derive(Debug)]
pub struct Hub {
    keys: HashMap<Rc<str>, u32>,
    runners: Slab<Runner>,
    members: Vec<Member>,
    /// Runners with a last known position, the longest unheard first.
    heard: SlotQueue,
    /// The first of them that is live: those behind it are too, those before it are stale.
    first_live: Option<u32>,
    live: usize,
    /// Runners whose presence changed since it was last asked for.
    changed: Vec<u32>,
    audiences: Audiences,
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
            first_live: None,
            live: 0,
            changed: Vec::new(),
            audiences: Audiences::default(),
            last_known: 0,
            last_known_bytes: 0,
            last_known_max,
            follows: 0,
        }
    }

    /// Adds a follow and says its slot, or `None` if the connection follows the user already.
    /// How the id is written here is how presence messages write it.
    pub fn follow(&mut self, connection: u32, user: &str, spelling: Spelling) -> Option<u32> {
        if self.slot(connection, user).is_some() {
            return None;
        }
        let key = self.key_or_new(user);
        let member = self.member(connection);
        let slot = member.following.len() as u32;
        let (is_own, asks_presence) = (member.declared() == Some(key), member.asks_presence);
        let runner = &mut self.runners[key as usize];
        let at = runner.followers.len() as u32;
        runner.followers.push(Follower { connection, slot });
        runner.own_followers += u32::from(is_own);
        runner.watchers += u32::from(asks_presence);
        self.members[connection as usize].push(Follow::new(key, at, spelling));
        self.follows += 1;
        self.await_audience(key);
        Some(slot)
    }

    /// Ends a follow; `None` if there was none.
    pub fn unfollow(&mut self, connection: u32, user: &str) -> Option<Unfollowed> {
        let slot = self.slot(connection, user)?;
        let member = &mut self.members[connection as usize];
        let follow = member.swap_remove(slot);
        let (declared, asks_presence) = (member.declared(), member.asks_presence);
        let renumbered = member.following.len() as u32;
        if let Some(moved) = member.following.get(slot as usize) {
            self.runners[moved.runner as usize].followers[moved.at() as usize].slot = slot;
        }
        self.detach(follow, declared, asks_presence);
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
        if let Some(declared) = self.member(connection).declared() {
            return &*self.runners[declared as usize].id == user;
        }
        let key = self.key_or_new(user);
        let member = &mut self.members[connection as usize];
        member.declare(key);
        let is_follower = member.slot(key).is_some();
        let runner = &mut self.runners[key as usize];
        runner.declared += 1;
        runner.own_followers += u32::from(is_follower);
        let is_first = runner.declared == 1;
        if is_first {
            self.note_change(key);
        }
        if is_follower {
            self.await_audience(key);
        }
        true
    }

    /// The user that the connection declared.
    pub fn declared(&self, connection: u32) -> Option<RunnerKey> {
        let member = self.members.get(connection as usize)?;
        member.declared().map(RunnerKey)
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
        let member = std::mem::take(member);
        let declared = member.declared();
        for follow in member.following {
            self.detach(follow, declared, member.asks_presence);
        }
        while self.members.last().is_some_and(Member::is_nobody) {
            self.members.pop();
        }
        give_back_spare(&mut self.members);
        if let Some(key) = declared {
            self.forget_asker(key, connection);
            let runner = &mut self.runners[key as usize];
            runner.declared -= 1;
            if runner.declared == 0 {
                self.note_change(key);
            }
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

    /// The connections that follow a runner.
    pub fn followers(&self, runner: RunnerKey) -> &[Follower] {
        self.runners
            .get(runner.0 as usize)
            .map_or(&[], |runner| &runner.followers)
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
            own_followers: 0,
            watchers: 0,
            is_live: false,
            has_changed: false,
            has_askers: false,
            is_awaited: false,
            last: None,
        };
        let key = self.runners.insert(runner) as u32;
        self.keys.insert(id, key);
        key
    }

    /// Takes a follow out of its runner's list: that of a connection which declared this user, and
    /// asked for presence or not.
    fn detach(&mut self, follow: Follow, declared: Option<u32>, asks_presence: bool) {
        let runner = &mut self.runners[follow.runner as usize];
        runner.own_followers -= u32::from(declared == Some(follow.runner));
        runner.watchers -= u32::from(asks_presence);
        let followers = &mut runner.followers;
        followers.swap_remove(follow.at() as usize);
        give_back_spare(followers);
        if let Some(moved) = followers.get(follow.at() as usize) {
            self.members[moved.connection as usize].following[moved.slot as usize]
                .move_to(follow.at());
        }
        self.follows -= 1;
        self.await_audience(follow.runner);
        self.forget_unused(follow.runner);
    }

    fn forget_unused(&mut self, key: u32) {
        let runner = &self.runners[key as usize];
        if runner.followers.is_empty() && runner.declared == 0 && runner.last.is_none() {
            let runner = self.runners.remove(key as usize);
            self.keys.remove(&runner.id);
        }
    }
}
