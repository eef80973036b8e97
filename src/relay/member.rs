//! One member as the hub knows it: whom it follows, and who it is. Knows no other member.

use std::collections::{HashMap, HashSet};

use crate::user::{Spelling, Written};

/// Follows of one member that are searched one by one; more are looked up.
const SEARCHED_MAX: usize = 64;

/// A list's unused room below which giving it back is not worth the work, in entries.
pub(super) const SPARE_ENTRIES_MAX: usize = 64;

/// Stands for no runner.
const NOBODY: u32 = u32::MAX;

/// Marks a follow whose user was written as an integer. What it marks is smaller: a runner has no
/// more followers than there are members, and there are fewer.
const INTEGER: u32 = 1 << 31;

/// A member's follow of a runner. `Follower` is its mirror in the runner.
#[derive(Clone, Copy, Debug)]
pub(super) struct Followed {
    pub(super) runner: u32,
    /// Where in the runner's `followers`, and [`INTEGER`].
    at: u32,
}

impl Followed {
    pub(super) fn new(runner: u32, at: u32, spelling: Spelling) -> Followed {
        let mark = match spelling {
            Spelling::Integer => INTEGER,
            Spelling::String => 0,
        };
        Followed {
            runner,
            at: at | mark,
        }
    }

    /// Where in the runner's `followers`.
    pub(super) fn at(self) -> u32 {
        self.at & !INTEGER
    }

    pub(super) fn move_to(&mut self, at: u32) {
        self.at = at | self.at & INTEGER;
    }

    pub(super) fn spelling(self) -> Spelling {
        if self.at & INTEGER == 0 {
            Spelling::String
        } else {
            Spelling::Integer
        }
    }
}

/// A member's follow of everyone, mirrored in a list of those who do.
#[derive(Debug, Default)]
pub(super) struct Everyone {
    /// Where in that list.
    pub(super) at: u32,
    /// The number of this follow among all that anybody made of everyone.
    pub(super) turn: u32,
    /// Runners whom it does not cover. None of them is followed by name.
    pub(super) left_out: HashSet<u32>,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) following: Vec<Followed>,
    /// The slot of each runner, where there are too many follows to search.
    #[expect(clippy::box_collection, reason = "most members have none")]
    pub(super) slots: Option<Box<HashMap<u32, u32>>>,
    /// The runner that it is, or [`NOBODY`]: there is one of these for each member, and an
    /// `Option` would double it.
    declared: u32,
    /// How it wrote that.
    written: Written,
    pub(super) asks_presence: bool,
    /// How many points of each trail it asked for; 0 if for none.
    pub(super) trail_points: u32,
    /// Its follow of everyone, if it does.
    pub(super) everyone: Option<Box<Everyone>>,
}

impl Default for Member {
    fn default() -> Member {
        Member {
            following: Vec::new(),
            slots: None,
            declared: NOBODY,
            written: Written::Quoted,
            asks_presence: false,
            trail_points: 0,
            everyone: None,
        }
    }
}

impl Member {
    pub(super) fn declared(&self) -> Option<u32> {
        (self.declared != NOBODY).then_some(self.declared)
    }

    /// How the member wrote the id that it declared.
    pub(super) fn written(&self) -> &Written {
        &self.written
    }

    pub(super) fn declare(&mut self, runner: u32, written: Written) {
        self.declared = runner;
        self.written = written;
    }

    pub(super) fn slot(&self, runner: u32) -> Option<u32> {
        match &self.slots {
            Some(slots) => slots.get(&runner).copied(),
            None => (self.following.iter())
                .position(|follow| follow.runner == runner)
                .map(|slot| slot as u32),
        }
    }

    /// Whether it follows the runner by following everyone, and not by name.
    pub(super) fn covers(&self, runner: u32) -> bool {
        let covers = |everyone: &Everyone| !everyone.left_out.contains(&runner);
        self.everyone.as_deref().is_some_and(covers) && self.slot(runner).is_none()
    }

    /// Whether it follows the runner, by name or not.
    pub(super) fn follows(&self, runner: u32) -> bool {
        self.slot(runner).is_some() || self.covers(runner)
    }

    pub(super) fn push(&mut self, follow: Followed) {
        let slot = self.following.len() as u32;
        self.following.push(follow);
        if let Some(slots) = &mut self.slots {
            slots.insert(follow.runner, slot);
        } else if self.following.len() > SEARCHED_MAX {
            let runners = self.following.iter().map(|follow| follow.runner);
            self.slots = Some(Box::new(runners.zip(0..).collect()));
        }
    }

    /// Takes the follow in a slot out; the last one takes its place.
    pub(super) fn swap_remove(&mut self, slot: u32) -> Followed {
        let follow = self.following.swap_remove(slot as usize);
        give_back_spare(&mut self.following);
        let moved = self.following.get(slot as usize);
        if let Some(slots) = &mut self.slots {
            slots.remove(&follow.runner);
            slots.extend(moved.map(|moved| (moved.runner, slot)));
        }
        if self.following.len() < SEARCHED_MAX / 2 {
            self.slots = None;
        }
        follow
    }
}

/// Gives back the room of a list that was much longer.
pub(super) fn give_back_spare<T>(list: &mut Vec<T>) {
    if list.capacity() > 4 * list.len() + SPARE_ENTRIES_MAX {
        list.shrink_to(2 * list.len());
    }
}
